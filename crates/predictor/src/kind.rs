//! A kind of model.
//!
//! It must not know which kinds there are: the engine's registry does. Invariant: the files of a version are one kind's.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::{EngineError, ModelSource};

use crate::predictor::Predictor;
use crate::trainer::Trainer;

/// A kind of model. A new one is a crate and a line in the registry.
pub trait ModelKind: Send + Sync {
    /// What the catalog calls it; never changes.
    fn name(&self) -> &'static str;

    /// Whether these files are a model of this kind, be it a damaged one.
    fn recognises(&self, files: &ModelFiles) -> bool;

    /// The model of these files. If they have a source, something may be kept under its name for [`load_cached`](Self::load_cached).
    ///
    /// # Errors
    /// Whatever is wrong with the files; or with the device, if that couldn't be opened, so that every request learns why.
    fn load(
        &self,
        source: Option<&ModelSource>,
        files: &ModelFiles,
    ) -> Result<Arc<dyn Predictor>, EngineError>;

    /// A model that was loaded from files of this content before, by this engine or an earlier one, if what it needs was kept.
    fn load_cached(&self, _source: &ModelSource) -> Option<Arc<dyn Predictor>> {
        None
    }

    /// The model of these files in the form in which it explains its predictions; unless said otherwise it is the same.
    ///
    /// # Errors
    /// As [`load`](Self::load), and if there is nothing that it could explain.
    fn load_to_explain(&self, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        self.load(None, files)
    }

    /// How models of this kind are made; none if they are only imported.
    fn trainer(&self) -> Option<&dyn Trainer>;

    /// What its models have to do at the moment.
    fn workload(&self) -> Workload {
        Workload::default()
    }
}

/// What the models of a kind have to do at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Workload {
    /// Inputs that have not gone through a model yet.
    pub queued: u64,
    /// Part of the last seconds, from 0 to 1, in which models were running.
    pub utilisation: f32,
}

/// Turns files into models: one kind, or a registry of many.
pub trait Load: Send + Sync {
    /// As [`ModelKind::load`].
    ///
    /// # Errors
    /// As there, and if no kind recognises the files.
    fn load(
        &self,
        source: Option<&ModelSource>,
        files: &ModelFiles,
    ) -> Result<Arc<dyn Predictor>, EngineError>;

    /// As [`ModelKind::load_cached`].
    fn load_cached(&self, source: &ModelSource) -> Option<Arc<dyn Predictor>>;

    /// As [`ModelKind::load_to_explain`].
    ///
    /// # Errors
    /// As there, and if no kind recognises the files.
    fn load_to_explain(&self, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        self.load(None, files)
    }
}

impl<F: Fn(&ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> + Send + Sync> Load for F {
    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        self(files)
    }

    fn load_cached(&self, _: &ModelSource) -> Option<Arc<dyn Predictor>> {
        None
    }
}
