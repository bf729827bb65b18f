//! A model on its way from a client: files as they come, checked against the hash that names them. No I/O.
//!
//! It must not know who sends.
//! Invariant: what [`Upload::verify`] returns has exactly the announced content, and never were more bytes held
//! than the manifest and the limit allow.

use ecommerce_ml_protocol::{EngineError, ErrorKind, FileEntry, Sha256, UploadPart};
use sha2::Digest;

use crate::files::{ModelFiles, content_address};

/// The files of a model, arriving.
#[derive(Debug)]
pub struct Upload {
    /// The hash that the model was asked for by.
    expected: Sha256,
    /// Most bytes that the files may have together.
    limit: u64,
    /// The manifest with the bytes so far; `None` until [`UploadPart::Begin`].
    files: Option<Vec<(FileEntry, Vec<u8>)>>,
}

impl Upload {
    /// An upload of the model with hash `expected`, of no more than `limit` bytes.
    pub fn new(expected: Sha256, limit: u64) -> Self {
        Self { expected, limit, files: None }
    }

    /// Takes the next part; whether it was the last.
    ///
    /// Parts before a `Begin` are passed over: they belong to an upload that was given up.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] if parts contradict the hash or the manifest, [`ErrorKind::OutOfMemory`] if the
    /// model exceeds the limit, [`ErrorKind::FileMissing`] if the client gives up.
    pub fn accept(&mut self, part: UploadPart) -> Result<bool, EngineError> {
        match (part, &mut self.files) {
            (UploadPart::Abort { reason }, _) => Err(aborted(&reason)),
            (UploadPart::Begin { files }, _) => self.begin(files).map(|()| false),
            (_, None) => Ok(false),
            (UploadPart::Chunk { file, data }, Some(files)) => append(files, file, &data).map(|()| false),
            (UploadPart::End, Some(_)) => Ok(true),
        }
    }

    /// The complete files, after hashing them.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] if a file is truncated or has another hash than the manifest says.
    pub fn verify(self) -> Result<ModelFiles, EngineError> {
        let files = self.files.unwrap_or_default();
        files.iter().try_for_each(|(entry, bytes)| verify_file(entry, bytes))?;
        Ok(ModelFiles::from_parts(files.into_iter().map(|(entry, bytes)| (entry.name, bytes)).collect()))
    }

    fn begin(&mut self, manifest: Vec<FileEntry>) -> Result<(), EngineError> {
        if content_address(&manifest) != self.expected {
            return Err(damaged("model does not have the recorded hash".to_owned()));
        }
        let bytes = manifest.iter().fold(0u64, |sum, entry| sum.saturating_add(entry.size));
        if bytes > self.limit {
            return Err(too_large(bytes, self.limit));
        }
        self.files = Some(manifest.into_iter().map(|entry| (entry, Vec::new())).collect());
        Ok(())
    }
}

fn append(files: &mut [(FileEntry, Vec<u8>)], index: u32, data: &[u8]) -> Result<(), EngineError> {
    let file = usize::try_from(index).ok().and_then(|index| files.get_mut(index));
    let (entry, bytes) = file.ok_or_else(|| damaged(format!("model has no file number {index}")))?;
    if (bytes.len() + data.len()) as u64 > entry.size {
        return Err(damaged(format!(
            "file \"{}\" of the model is longer than the recorded {}",
            entry.name, entry.size
        )));
    }
    if bytes.is_empty() {
        // At once: growing by doubling would need half as much memory again.
        let size = usize::try_from(entry.size).unwrap_or(usize::MAX);
        bytes.try_reserve_exact(size).map_err(|_| too_large(entry.size, 0))?;
    }
    bytes.extend_from_slice(data);
    Ok(())
}

fn verify_file(entry: &FileEntry, bytes: &[u8]) -> Result<(), EngineError> {
    if bytes.len() as u64 != entry.size {
        return Err(damaged(format!(
            "file \"{}\" of the model has {} of {} bytes",
            entry.name,
            bytes.len(),
            entry.size
        )));
    }
    if sha2::Sha256::digest(bytes).as_slice() != entry.sha256.0 {
        return Err(damaged(format!("file \"{}\" of the model does not have the recorded hash", entry.name)));
    }
    Ok(())
}

fn damaged(message: String) -> EngineError {
    EngineError::new(ErrorKind::DamagedModel, message)
}

fn aborted(reason: &str) -> EngineError {
    EngineError::new(ErrorKind::FileMissing, format!("model could not be sent to the engine: {reason}"))
}

fn too_large(bytes: u64, limit: u64) -> EngineError {
    does_not_fit(bytes, limit, 0)
}

/// The error for a model of `needed` bytes where loaded models may take `capacity`, and those that must stay take `pinned`.
pub fn does_not_fit(needed: u64, capacity: u64, pinned: u64) -> EngineError {
    let error = EngineError::new(
        ErrorKind::OutOfMemory,
        format!("model of {needed} bytes does not fit into the model cache of {capacity} bytes"),
    );
    if pinned == 0 {
        return error.with_hint("Increase ecommerce_ml.model_cache_size.");
    }
    error
        .with_detail(format!("Pinned models occupy {pinned} bytes."))
        .with_hint("Increase ecommerce_ml.model_cache_size or unpin a model.")
}
