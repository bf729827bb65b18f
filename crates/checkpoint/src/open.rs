//! A model whose files are open: configuration read, headers of the weights read, names of the weights known. Whoever needs
//! several of these takes them from here, so that each file is read once.
//!
//! It must not know what is read of it. Invariant: the weights have no more layers than the configuration.

use ecommerce_ml_protocol::EngineError;

use crate::config::{DropoutRates, ModelConfig};
use crate::files::ModelFiles;
use crate::head::HeadPlan;
use crate::weights::Weights;
use crate::weights::family::Names;

/// The open files of a model.
pub struct OpenModel<'a> {
    /// The files.
    pub files: &'a ModelFiles,
    /// Its `config.json`.
    pub config: ModelConfig,
    /// How its weights are called.
    pub names: Names,
    /// Its weights.
    pub weights: Weights<'a>,
}

impl<'a> OpenModel<'a> {
    /// Opens files.
    ///
    /// # Errors
    /// As of [`ModelConfig::load`], [`Weights::open`] and [`Weights::refuse_more_layers`].
    pub fn open(files: &'a ModelFiles) -> Result<Self, EngineError> {
        let config = ModelConfig::load(files)?;
        let weights = Weights::open(files)?;
        let names = Names::detect(config.family, &weights);
        weights.refuse_more_layers(&names, config.layers)?;
        Ok(Self { files, config, names, weights })
    }

    /// What its head is, if it has one.
    ///
    /// # Errors
    /// As of [`HeadPlan::read`].
    pub fn head(&self) -> Result<Option<HeadPlan>, EngineError> {
        HeadPlan::read(&self.weights, &self.names, &self.config)
    }

    /// What it leaves out at random in a training.
    ///
    /// # Errors
    /// As of [`DropoutRates::load`].
    pub fn dropout(&self) -> Result<DropoutRates, EngineError> {
        DropoutRates::load(self.files)
    }
}
