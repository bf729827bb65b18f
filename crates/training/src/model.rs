//! The new model, on its way to where it is kept.
//!
//! It must not know what its files mean. Invariant: what arrives has the manifest that was announced.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::Sink;
use ecommerce_ml_protocol::training::JobOutput;
use ecommerce_ml_protocol::{EngineError, UPLOAD_CHUNK_BYTES, UploadPart};

/// Sends the files of a model.
///
/// # Errors
/// If nobody is there to take them.
pub fn send(files: &ModelFiles, sink: &mut dyn Sink) -> Result<(), EngineError> {
    sink.send(JobOutput::Model(UploadPart::Begin { files: files.manifest() }))?;
    for (file, (_, bytes)) in (0..).zip(files.iter()) {
        for chunk in bytes.chunks(UPLOAD_CHUNK_BYTES) {
            sink.send(JobOutput::Model(UploadPart::Chunk { file, data: chunk.to_vec() }))?;
        }
    }
    sink.send(JobOutput::Model(UploadPart::End))
}
