//! Models that other models hold, such as the text model that a model of columns reads texts by.
//!
//! It must not know what they are held for. Invariant: of models with the same files one is in memory, for as long as anybody
//! holds it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ecommerce_ml_checkpoint::files::{ModelFiles, content_address};
use ecommerce_ml_predictor::{Load, ModelKind, Predictor};
use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelSource, Sha256};

/// Models of one kind.
pub struct SharedModels {
    kind: Arc<dyn ModelKind>,
    loaded: Mutex<HashMap<Sha256, Weak<dyn Predictor>>>,
}

impl SharedModels {
    /// Of this kind.
    pub fn of(kind: Arc<dyn ModelKind>) -> Self {
        Self { kind, loaded: Mutex::default() }
    }
}

impl Load for SharedModels {
    /// Whatever the source is, it is the files that count.
    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        if !self.kind.recognises(files) {
            let message = format!("the base is no model of kind \"{}\"", self.kind.name());
            return Err(EngineError::new(ErrorKind::InvalidRequest, message)
                .with_hint("Name a text model as the base, or leave it out."));
        }
        let sha256 = content_address(&files.manifest());
        // Held while one is loaded: the next to come waits for it.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = loaded.get(&sha256).and_then(Weak::upgrade) {
            return Ok(model);
        }
        loaded.retain(|_, model| model.strong_count() > 0);
        let model = self.kind.load(Some(&ModelSource::Content(sha256)), files)?;
        loaded.insert(sha256, Arc::downgrade(&model));
        Ok(model)
    }

    fn load_cached(&self, _: &ModelSource) -> Option<Arc<dyn Predictor>> {
        None
    }
}

/// Models of several kinds that an ensemble holds; those of one of these kinds are shared.
pub struct MemberModels {
    kinds: Vec<Arc<dyn ModelKind>>,
    shared: Arc<SharedModels>,
}

impl MemberModels {
    /// Of these kinds, one of which `shared` shares.
    pub fn of(kinds: Vec<Arc<dyn ModelKind>>, shared: Arc<SharedModels>) -> Self {
        Self { kinds, shared }
    }
}

impl Load for MemberModels {
    fn load(
        &self,
        source: Option<&ModelSource>,
        files: &ModelFiles,
    ) -> Result<Arc<dyn Predictor>, EngineError> {
        if self.shared.kind.recognises(files) {
            return self.shared.load(source, files);
        }
        let kind = self.kinds.iter().find(|kind| kind.recognises(files));
        let unknown = || {
            EngineError::new(
                ErrorKind::UnsupportedModel,
                "a member is no model of a kind that this build knows",
            )
        };
        kind.ok_or_else(unknown)?.load(source, files)
    }

    fn load_cached(&self, _: &ModelSource) -> Option<Arc<dyn Predictor>> {
        None
    }
}
