//! Who loads text models.
//!
//! It must not know any. Invariant: without one, models that hold no text model answer all the same.

use std::fmt;
use std::sync::Arc;

use ecommerce_ml_predictor::Load;

/// Loads text models, if there is anybody to.
#[derive(Clone, Default)]
pub(crate) struct TextModels(Option<Arc<dyn Load>>);

impl TextModels {
    /// By these.
    pub(crate) fn new(models: Arc<dyn Load>) -> Self {
        Self(Some(models))
    }

    /// Who does.
    pub(crate) fn get(&self) -> Option<&dyn Load> {
        self.0.as_deref()
    }
}

impl fmt::Debug for TextModels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "TextModels" } else { "no TextModels" })
    }
}
