//! What made a text model say what it says: what each token of a text contributes.
//!
//! # Layout
//! - [`model`]: a model that can be explained, by gradients or by occlusion.
//! - [`target`]: which number of its is explained.
//! - `text`: a text on its way to an explanation.
//! - `job`: a request on its way, some of its texts at a time.
//! - [`worker`]: the thread that explains, in turns with the batches of predictions.
//! - [`predictor`]: the model behind the boundary of all kinds.
//!
//! It must not know clients or connections, nor how gradients are computed.
//! Invariants: contributions and baseline add up to the explained number, within a hundredth of what is between them; what is
//! computed in one turn takes about as long as a batch.

mod job;
pub mod model;
pub mod predictor;
pub mod target;
mod text;
pub mod worker;

pub use model::ExplainModel;
pub use predictor::ExplainPredictor;
pub use worker::ExplainWorker;
