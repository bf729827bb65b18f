//! An engine with fake models, listening on a socket of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ecommerce_ml_engine::engine::{Engine, ProcessInfo};
use ecommerce_ml_engine::registry::Registry;
use ecommerce_ml_predictor::ModelKind;
use ecommerce_ml_protocol::{
    EngineStats, FileEntry, Input, ModelRef, ModelSource, Output, Purpose, ReplyBody, RequestBody, Sha256,
};
use ecommerce_ml_serving::cache::ModelCache;
use ecommerce_ml_serving::server;
use ecommerce_ml_text::scheduler::{Scheduler, SchedulerOptions};
use sha2::Digest;
use tempfile::TempDir;

use crate::client::Client;
use crate::fake::{Control, FakeKind};

/// Name of the model that every kit has built in.
pub const BUILTIN: &str = "fake";

/// Memory that the built-in model claims to take.
pub const BUILTIN_BYTES: u64 = 10;

/// Tokens of a batch in every kit.
pub const BUDGET: usize = 256;

pub struct Kit {
    pub control: Arc<Control>,
    directory: TempDir,
}

impl Kit {
    pub fn new() -> Self {
        Self::with_cache(1000)
    }

    /// With memory for models of `capacity` bytes.
    pub fn with_cache(capacity: u64) -> Self {
        Self::with_caches(capacity, 0)
    }

    /// With memory for models of `capacity` bytes, and for answers of `result_cache` bytes.
    pub fn with_caches(capacity: u64, result_cache: u64) -> Self {
        Self::with_kinds(capacity, result_cache, Vec::new())
    }

    /// The same, with these kinds beside that of the fakes.
    pub fn with_kinds(capacity: u64, result_cache: u64, mut kinds: Vec<Box<dyn ModelKind>>) -> Self {
        let kit = Self { control: Arc::default(), directory: TempDir::new().unwrap() };
        let builtin = kit.directory.path().join("models");
        std::fs::create_dir_all(builtin.join(BUILTIN)).unwrap();
        let options = SchedulerOptions { tokenizing_threads: 2, batch_tokens: Some(BUDGET), result_cache };
        let scheduler = Arc::new(Scheduler::start(options).unwrap());
        let control = Arc::clone(&kit.control);
        kinds.push(Box::new(FakeKind { control, scheduler, builtin_bytes: BUILTIN_BYTES }));
        let registry = Arc::new(Registry::of(kinds));
        let cache = ModelCache::new(capacity, Some(builtin), Arc::clone(&registry) as _);
        let (device, kernels) = ("cpu".to_owned(), "abacus".to_owned());
        let process = ProcessInfo { device, accelerator: None, kernels, threads: 2, restarts: 3 };
        let engine = Engine::new(cache, registry, process);
        serve(engine, kit.socket());
        kit
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket())
    }

    pub fn stats(&self) -> EngineStats {
        match self.client().call(RequestBody::Stats) {
            ReplyBody::Stats(stats) => stats,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the statistics are as they should be.
    pub fn wait_for(&self, wanted: impl Fn(&EngineStats) -> bool) {
        wait_until(|| wanted(&self.stats()));
    }

    /// Waits until a number of batches has begun.
    pub fn wait_for_batches(&self, count: usize) {
        wait_until(|| self.control.batches().len() >= count);
    }
}

fn serve(engine: Engine, socket: PathBuf) {
    let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            server::serve(listener, Arc::new(engine), None).await
        })
    });
}

/// Fails the test if it doesn't come true in good time.
pub fn wait_until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain");
        thread::sleep(Duration::from_millis(5));
    }
}

pub fn builtin() -> ModelRef {
    ModelRef { source: ModelSource::Builtin(BUILTIN.to_owned()), pinned: false, purpose: Purpose::Predict }
}

pub fn predict(model: &ModelRef, texts: &[&str]) -> RequestBody {
    let input = Input::Texts(texts.iter().map(|&text| text.to_owned()).collect());
    RequestBody::Predict { model: model.clone(), input, output: Output::Prediction }
}

/// Asks the built-in model for something else.
pub fn ask_for(output: Output, texts: &[impl AsRef<str>]) -> RequestBody {
    let input = Input::Texts(texts.iter().map(|text| text.as_ref().to_owned()).collect());
    RequestBody::Predict { model: builtin(), input, output }
}

/// A text of so many words of one letter.
pub fn words(count: usize) -> String {
    vec!["a"; count].join(" ")
}

/// A model to upload.
#[derive(Clone)]
pub struct Content {
    pub sha: Sha256,
    pub manifest: Vec<FileEntry>,
    pub data: Vec<u8>,
}

impl Content {
    /// A model that will claim to take so much memory; `name` tells models of one size apart.
    pub fn new(name: &str, bytes: u64) -> Self {
        let mark = name.bytes().map(|byte| usize::from(byte % 16)).sum();
        Self::of(format!("{bytes}{}", " ".repeat(mark)))
    }

    pub fn of(data: String) -> Self {
        Self::named("size", data)
    }

    /// A model of one file.
    pub fn named(file: &str, data: String) -> Self {
        let data = data.into_bytes();
        let sha256 = Sha256(sha2::Sha256::digest(&data).into());
        let manifest = vec![FileEntry { name: file.to_owned(), size: data.len() as u64, sha256 }];
        Self { sha: ecommerce_ml_checkpoint::files::content_address(&manifest), manifest, data }
    }

    pub fn model(&self) -> ModelRef {
        ModelRef { source: ModelSource::Content(self.sha), pinned: false, purpose: Purpose::Predict }
    }
}
