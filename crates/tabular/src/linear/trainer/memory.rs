//! How much memory a training takes.
//!
//! It must not know values. Invariant: the estimate is made before what it counts is allocated.

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::memory::within;

use super::design::row_bytes;
use super::problem::{Problem, Target};
use crate::linear::encoding::Encoding;

/// Vectors of parameters that a minimisation keeps: ten steps with their changes, and some to work with.
const VECTORS: usize = 28;

/// Bytes of a coefficient in a file, and where it is read.
const WRITTEN: usize = 48;

/// Refuses texts that would take more than a limit alone, before they are read.
///
/// # Errors
/// As of [`within`].
pub(super) fn within_texts(bytes: usize, limit: u64) -> Result<(), EngineError> {
    let why = || ("A text model reads columns of text.".to_owned(), "Increase ecommerce_ml.training_memory.");
    within(bytes as u64, limit, why).map(drop)
}

/// What is there to be counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryModel<'a> {
    pub(super) rows: usize,
    pub(super) learned: usize,
    pub(super) held_out: usize,
    /// Bytes of what is read of all rows.
    pub(super) input: usize,
    /// Bytes of what a text model says of texts, and of that model.
    pub(super) texts: usize,
    pub(super) encoding: &'a Encoding,
    pub(super) equations: usize,
    pub(super) labels: usize,
    /// Bytes of the files of the incumbent, and of the checkpoint.
    pub(super) incumbent: usize,
    pub(super) checkpoint: usize,
}

impl MemoryModel<'_> {
    /// Bytes that the training takes.
    fn estimate(&self) -> u64 {
        let parameters = (self.encoding.features() + 1) * self.equations;
        // Hash, look, label and time of a row, and the places that split and order them.
        let rows = self.input + self.rows * 120;
        let held_out =
            self.input / self.rows.max(1) * self.held_out + self.held_out * (self.labels + 8) * 2 * 4;
        let design = self.learned * (row_bytes(self.encoding) + size_of::<Target>());
        let scores = Problem::rows_at_a_time(self.equations).min(self.learned) * self.equations * 8;
        let vectors = parameters * (VECTORS * 8 + WRITTEN) + self.encoding.bytes() * 4;
        (rows + self.texts + held_out + design + scores + vectors + 4 * self.incumbent + self.checkpoint)
            as u64
    }

    /// Refuses what would take more than a limit.
    ///
    /// # Errors
    /// As of [`within`].
    pub(super) fn check(&self, limit: u64) -> Result<u64, EngineError> {
        within(self.estimate(), limit, || {
            let detail = format!(
                "There are {} rows, {} features and {} equations.",
                self.rows,
                self.encoding.features(),
                self.equations
            );
            let hint =
                "Increase ecommerce_ml.training_memory, train on fewer rows, or lower \"max_categories\".";
            (detail, hint)
        })
    }
}
