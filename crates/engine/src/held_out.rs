//! What a training is told of the program around it; above all what models say of texts, as queries would get it: all windows
//! of what it is given, in the precision that is set.
//!
//! It must not know labels. Invariant: one answer for each text, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Load, Loaded, Output};
use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelSource};
use ecommerce_ml_serving::scheduler::{Finished, Scheduler, SchedulerOptions, Ticket, Work};
use ecommerce_ml_tensor_cpu::Cpu;
use ecommerce_ml_text_train::cuda::TrainingMachine;
use ecommerce_ml_text_train::trainer::Surroundings;
use ecommerce_ml_text_train::trainer::comparison::Predicted;

use crate::loader::ModelLoader;
use crate::process;

/// Texts that are submitted together.
const TEXTS: usize = 256;

/// Submissions under way.
const UNDER_WAY: usize = 4;

impl Surroundings for ModelLoader {
    fn require_cpu(&self) -> Result<&Cpu, EngineError> {
        self.require_cpu()
    }

    fn training_machine(&self) -> Option<Arc<dyn TrainingMachine>> {
        self.training_machine()
    }

    fn predict(&self, files: &ModelFiles, texts: &[&str]) -> Result<Predicted, EngineError> {
        predict(files, self, texts)
    }
}

/// Predictions for all texts.
///
/// # Errors
/// If the model can't be loaded or fails.
fn predict(files: &ModelFiles, loader: &ModelLoader, texts: &[&str]) -> Result<Predicted, EngineError> {
    // The source only tells where prepared weights would be kept, and none are.
    let model = Loaded::new(loader.load(&ModelSource::Builtin(String::new()), files)?);
    let tokenizing_threads = loader.cpu().map_or_else(|| process::count_threads(0), |cpu| cpu.team.size());
    let failed = |error: std::io::Error| EngineError::new(ErrorKind::Internal, error.to_string());
    let options = SchedulerOptions { tokenizing_threads, batch_tokens: None, result_cache: 0 };
    let scheduler = Scheduler::start(options).map_err(failed)?;
    let (mut rows, mut under_way) = (Vec::with_capacity(texts.len()), VecDeque::new());
    let mut receive = |ticket: Ticket<Finished>| -> Result<(), EngineError> {
        rows.extend(ticket.wait()?.rows(|rows| model.predict(rows)));
        Ok(())
    };
    // A model without a head has nothing to say.
    let texts = if model.info().task == ecommerce_ml_protocol::Task::Embedding { &[] } else { texts };
    for texts in texts.chunks(TEXTS) {
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        under_way.push_back(scheduler.submit(Work { model: model.clone(), texts, output: Output::Head }));
        if under_way.len() == UNDER_WAY {
            under_way.pop_front().map_or(Ok(()), &mut receive)?;
        }
    }
    under_way.into_iter().try_for_each(&mut receive)?;
    Ok(Predicted { info: model.info().clone(), rows })
}
