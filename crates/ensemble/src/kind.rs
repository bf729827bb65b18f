//! The kind `ensemble`.
//!
//! It must not know which kinds members are of. Invariant: its name never changes, since versions carry it.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Load, ModelKind, Predictor, Trainer};
use ecommerce_ml_protocol::{EngineError, ModelSource};

use crate::files::{self, Parts};
use crate::member::Member;
use crate::model::{KIND, Weighted};
use crate::predictor::EnsemblePredictor;
use crate::trainer::EnsembleTrainer;

/// Models that put together what others say.
pub struct Ensembles {
    models: Arc<dyn Load>,
    trainer: EnsembleTrainer,
}

impl Ensembles {
    /// Of members that these load, which load no ensembles.
    pub fn new(models: Arc<dyn Load>) -> Self {
        Self { trainer: EnsembleTrainer::new(Arc::clone(&models)), models }
    }
}

impl ModelKind for Ensembles {
    fn name(&self) -> &'static str {
        KIND
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files::recognises(files)
    }

    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        let Parts { fields, text, ensemble, members } = files::read(files)?;
        let load = |(files, member): (&ModelFiles, &Weighted)| {
            Ok(Member { name: member.name.clone(), model: self.models.load(None, files)? })
        };
        let members = members.iter().zip(&ensemble.members).map(load).collect::<Result<_, EngineError>>()?;
        Ok(Arc::new(EnsemblePredictor::new(fields, text, ensemble, members)))
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        Some(&self.trainer)
    }
}
