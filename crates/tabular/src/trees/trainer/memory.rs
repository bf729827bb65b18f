//! How much memory a training takes.
//!
//! It must not know values. Invariant: the estimate is made before what it counts is allocated.

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::memory::within;

/// Bytes that XGBoost keeps of a feature of a row beside our own copy: the number, its bin, and its share of the sketch.
const CELL: usize = 12;

/// Bytes of a row in a booster, for each sum: margins, derivatives, positions.
const ROW: usize = 40;

/// Bytes of a tree of 64 leaves while it is grown and written.
const TREE: usize = 128 * 200;

/// What is there to be counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryModel {
    pub(super) rows: usize,
    pub(super) learned: usize,
    pub(super) features: usize,
    pub(super) sums: usize,
    /// Trainings at the same time on most of the rows.
    pub(super) folds: usize,
    pub(super) rounds: usize,
    /// Bytes of what is read of all rows.
    pub(super) input: usize,
    /// Bytes of what a text model says of texts, and of that model.
    pub(super) texts: usize,
    /// Bytes of the files of the incumbent.
    pub(super) incumbent: usize,
}

impl MemoryModel {
    /// Bytes that the training takes.
    fn estimate(&self) -> u64 {
        let rows = 2 * self.input + self.rows * 120;
        let matrix = self.learned * (self.features * CELL + self.sums * ROW);
        let trees = self.rounds.min(300) * self.sums * TREE / 8;
        (rows + self.texts + (matrix + trees) * (self.folds + 1) + 4 * self.incumbent) as u64
    }

    /// Refuses what would take more than a limit.
    ///
    /// # Errors
    /// As of [`within`].
    pub(super) fn check(&self, limit: u64) -> Result<u64, EngineError> {
        within(self.estimate(), limit, || {
            let detail = format!(
                "There are {} rows, {} features and {} sums of trees.",
                self.rows, self.features, self.sums
            );
            let hint = "Increase ecommerce_ml.training_memory, train on fewer rows, or name fewer columns.";
            (detail, hint)
        })
    }
}
