//! A scheduler with a fake model, without cache of models, server or clients.

use std::sync::Arc;

use ecommerce_ml_predictor::ModelHandle;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_text::scheduler::{Computed, Promised, Scheduler, SchedulerOptions, TextRequest};
use ecommerce_ml_text_model::{ForwardOutput, Prediction, TextModel};

use crate::fake::{Control, Fake};
use crate::kit::{BUDGET, wait_until, words};

pub struct Bench {
    pub control: Arc<Control>,
    pub model: ModelHandle<dyn TextModel>,
    pub scheduler: Scheduler,
}

impl Bench {
    /// Two threads tokenize, no answers are kept.
    pub fn new() -> Self {
        Self::with(2, 0)
    }

    /// So many threads tokenize, so many bytes of answers are kept.
    pub fn with(tokenizing_threads: usize, result_cache: u64) -> Self {
        let control = Arc::<Control>::default();
        let options = SchedulerOptions { tokenizing_threads, batch_tokens: Some(BUDGET), result_cache };
        let scheduler = Scheduler::start(options).unwrap();
        Self { model: ModelHandle::new(Fake::model(Arc::clone(&control), 1)), control, scheduler }
    }

    /// With a model on a device that works by itself.
    pub fn with_device() -> Self {
        let bench = Self::new();
        Self { model: ModelHandle::new(Fake::on_device(Arc::clone(&bench.control))), ..bench }
    }

    pub fn submit(&self, texts: Vec<String>) -> Promised<Computed> {
        self.submit_to(&self.model, texts)
    }

    pub fn submit_to(&self, model: &ModelHandle<dyn TextModel>, texts: Vec<String>) -> Promised<Computed> {
        self.scheduler.submit(TextRequest { model: model.clone(), texts, output: ForwardOutput::Head })
    }

    /// Has the compute thread wait inside a batch, so that what comes next piles up.
    pub fn block(&self) -> Promised<Computed> {
        self.control.close();
        let promised = self.submit(vec!["blocker".to_owned()]);
        wait_until(|| self.control.batches().len() == 1);
        promised
    }

    /// Waits until everything is queued for the compute thread.
    pub fn settle(&self) {
        wait_until(|| self.scheduler.untokenized_texts() == 0);
    }
}

pub fn values(
    model: &ModelHandle<dyn TextModel>,
    outcome: Result<Computed, EngineError>,
) -> Vec<Option<f64>> {
    outcome.unwrap().rows(|rows| match model.predict(rows) {
        Prediction::Number(value) => value,
        Prediction::Probabilities(_) => panic!("the fake is a regression"),
    })
}

/// Distinct texts of so many words each.
pub fn bulk(texts: usize, length: usize) -> Vec<String> {
    (0..texts).map(|index| format!("{} {}", words(length - 1), "b".repeat(index + 1))).collect()
}
