//! A model whose answers are easy to check and whose misdeeds are easy to order.
//!
//! A text's words are its tokens, the length of a word is its id, and the value of a text is the sum of its ids:
//! the number of its letters. The word `PANIC` makes the forward pass panic, `FAIL` makes it fail, `PANIC_LATE`
//! makes the model panic after it. `UNTOKENIZABLE` makes the tokenizer panic, and a text that begins with `HOLD` is
//! held by the tokenizer for as long as it is told to.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_checkpoint::tokenizer::{TokenDetail, Tokens};
use ecommerce_ml_predictor::{ModelKind, ModelPrecision, Predictor, Trainer, Workload};
use ecommerce_ml_protocol::{Answer, EngineError, ErrorKind, ModelInfo, ModelSource, Reads, Signature};
use ecommerce_ml_text::TextPredictor;
use ecommerce_ml_text::scheduler::Scheduler;
use ecommerce_ml_text_model::{Deferred, ForwardOutput, Prediction, TextModel, Window, WindowRow};
use parking_lot::{Condvar, Mutex};

/// Longest window in tokens.
pub const WINDOW: usize = 128;

const PANIC: u32 = 10_000;
const FAIL: u32 = 10_001;
const PANIC_LATE: u32 = 10_002;

/// What the test can do to the models, and see of them.
#[derive(Default)]
pub struct Control {
    /// Batches that may still run; `None` for any number.
    allowed: Mutex<Option<usize>>,
    changed: Condvar,
    /// Lengths of the windows of each batch that began.
    batches: Mutex<Vec<Vec<usize>>>,
    /// Batches that ended, and how many were under way at most.
    ended: Mutex<usize>,
    most_underway: Mutex<usize>,
    /// Texts that a tokenizer began with on their way to a model: the last word of each.
    tokenized: Mutex<Vec<String>>,
    /// Whether texts are held by the tokenizer.
    held: Mutex<bool>,
    released: Condvar,
}

impl Control {
    /// Lets no batch run until told otherwise.
    pub fn close(&self) {
        *self.allowed.lock() = Some(0);
    }

    /// Lets one more batch run.
    pub fn step(&self) {
        if let Some(allowed) = self.allowed.lock().as_mut() {
            *allowed += 1;
        }
        self.changed.notify_all();
    }

    /// Lets all batches run.
    pub fn open(&self) {
        *self.allowed.lock() = None;
        self.changed.notify_all();
    }

    /// Lengths of the windows of each batch that began.
    pub fn batches(&self) -> Vec<Vec<usize>> {
        self.batches.lock().clone()
    }

    /// Has the tokenizer hold texts.
    pub fn hold(&self) {
        *self.held.lock() = true;
    }

    /// Has the tokenizer go on.
    pub fn release(&self) {
        *self.held.lock() = false;
        self.released.notify_all();
    }

    /// Texts that a tokenizer began with on their way to a model: the last word of each.
    pub fn tokenized(&self) -> Vec<String> {
        self.tokenized.lock().clone()
    }

    fn tokenize(&self, text: &str) {
        self.tokenized.lock().push(text.split_whitespace().next_back().unwrap_or_default().to_owned());
        let mut held = self.held.lock();
        while *held && text.starts_with("HOLD") {
            self.released.wait(&mut held);
        }
    }

    /// How many batches were under way at a time, at most.
    pub fn most_underway(&self) -> usize {
        *self.most_underway.lock()
    }

    fn begin(&self, batch: Vec<usize>) {
        let mut batches = self.batches.lock();
        batches.push(batch);
        let mut most = self.most_underway.lock();
        *most = (*most).max(batches.len() - *self.ended.lock());
    }

    fn wait(&self) {
        let mut allowed = self.allowed.lock();
        while *allowed == Some(0) {
            self.changed.wait(&mut allowed);
        }
        if let Some(allowed) = allowed.as_mut() {
            *allowed -= 1;
        }
        *self.ended.lock() += 1;
    }
}

/// A model of a size that it is told.
pub struct Fake {
    control: Arc<Control>,
    /// Whether it computes on a device that works by itself.
    on_device: bool,
    info: ModelInfo,
    precision: ModelPrecision,
}

impl Fake {
    pub fn model(control: Arc<Control>, bytes: u64) -> Arc<dyn TextModel> {
        Self::computing(control, bytes, false)
    }

    /// A model on a device that works by itself.
    pub fn on_device(control: Arc<Control>) -> Arc<dyn TextModel> {
        Self::computing(control, 1, true)
    }

    fn computing(control: Arc<Control>, bytes: u64, on_device: bool) -> Arc<dyn TextModel> {
        let answers = vec![Answer::Number, Answer::Embedding(1), Answer::Tokens];
        let info = ModelInfo {
            kind: "text".to_owned(),
            signature: Signature { reads: Reads::Text, answers, labels: Vec::new() },
            parameters: 1,
            bytes,
            details: "{}".to_owned(),
        };
        let precision = ModelPrecision { name: "f32", note: "nothing is computed".to_owned() };
        Arc::new(Self { control, on_device, info, precision })
    }

    /// A model that consists of one file, which tells its size.
    pub fn load(control: &Arc<Control>, files: &ModelFiles) -> Result<Arc<dyn TextModel>, EngineError> {
        let size = files.get("size").and_then(|bytes| std::str::from_utf8(bytes).ok()?.trim().parse().ok());
        let size =
            size.ok_or_else(|| EngineError::new(ErrorKind::DamagedModel, "file \"size\" has no number"))?;
        Ok(Self::model(Arc::clone(control), size))
    }
}

impl TextModel for Fake {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn tokenize(&self, text: &str, detail: TokenDetail) -> Result<Tokens, EngineError> {
        let words = text.split_whitespace();
        Ok(match detail {
            // As large as they can be on the wire.
            TokenDetail::Ids => Tokens::Ids(words.map(|_| u32::MAX).collect()),
            TokenDetail::Pieces => Tokens::Pieces(words.map(str::to_owned).collect()),
            TokenDetail::Count => Tokens::Count(words.count() as u64),
        })
    }

    fn windows(&self, text: &str) -> Result<Vec<Window>, EngineError> {
        self.control.tokenize(text);
        assert!(!text.contains("UNTOKENIZABLE"), "can't tokenize this\nsecond line");
        let ids: Vec<u32> = text.split_whitespace().map(id).collect();
        Ok(ids.chunks(WINDOW).map(|ids| Window { ids: ids.to_vec(), content_tokens: ids.len() }).collect())
    }

    fn can_read(&self, text: &str, _: &[Window]) -> Result<bool, EngineError> {
        Ok(!text.contains("UNREADABLE"))
    }

    fn begin(&self, windows: &[&Window], _: ForwardOutput) -> Result<Deferred<Vec<Vec<f32>>>, EngineError> {
        self.control.begin(windows.iter().map(|window| window.ids.len()).collect());
        let windows: Vec<Vec<u32>> = windows.iter().map(|window| window.ids.clone()).collect();
        let control = Arc::clone(&self.control);
        let compute = move || {
            control.wait();
            let contain = |id| windows.iter().any(|ids| ids.contains(&id));
            assert!(!contain(PANIC), "told to panic");
            if contain(FAIL) {
                return Err(EngineError::new(ErrorKind::OutOfMemory, "told to fail"));
            }
            Ok(windows.iter().map(|ids| vec![ids.iter().sum::<u32>() as f32]).collect())
        };
        if self.on_device { Ok(Deferred::Pending(Box::new(compute))) } else { compute().map(Deferred::Ready) }
    }

    fn predict(&self, rows: &[WindowRow]) -> Prediction {
        assert!(sum(rows) as u32 != PANIC_LATE, "told to panic late");
        Prediction::Number(f64::from(sum(rows)))
    }

    fn embed(&self, rows: &[WindowRow]) -> Vec<f32> {
        vec![sum(rows)]
    }

    fn precision(&self) -> &ModelPrecision {
        &self.precision
    }
}

/// The kind of all fakes: text, without a trainer.
pub struct FakeKind {
    pub control: Arc<Control>,
    pub scheduler: Arc<Scheduler>,
    /// Memory that a model without files takes.
    pub builtin_bytes: u64,
}

impl ModelKind for FakeKind {
    fn name(&self) -> &'static str {
        "text"
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        // The built-in folder is empty: its files would be passed over, having no name that matters.
        *files == ModelFiles::default() || files.get("size").is_some()
    }

    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        let model = match *files == ModelFiles::default() {
            true => Fake::model(Arc::clone(&self.control), self.builtin_bytes),
            false => Fake::load(&self.control, files)?,
        };
        Ok(Arc::new(TextPredictor::new(model, &self.scheduler)))
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        None
    }

    fn workload(&self) -> Workload {
        Workload { queued: self.scheduler.queued_texts(), utilisation: self.scheduler.utilisation() }
    }
}

fn id(word: &str) -> u32 {
    match word {
        "PANIC" => PANIC,
        "FAIL" => FAIL,
        "PANIC_LATE" => PANIC_LATE,
        _ => word.len() as u32,
    }
}

fn sum(rows: &[WindowRow]) -> f32 {
    rows.iter().map(|row| row.values[0]).sum()
}

/// What the model says of a text.
pub fn letters(text: &str) -> Option<f64> {
    let letters = text.split_whitespace().map(str::len).sum::<usize>();
    (letters > 0).then_some(letters as f64)
}
