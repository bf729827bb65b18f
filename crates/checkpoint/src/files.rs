//! The files of a model, from a folder or an upload.
//!
//! It must not know what the files mean. Invariant: a folder and an upload of the same files are the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use ecommerce_ml_protocol::files::{content_address, is_model_file};
use ecommerce_ml_protocol::{EngineError, ErrorKind, FileEntry, Sha256};
use sha2::Digest;

/// Ends of names of weights in formats that can carry code, which are never read.
const PICKLES: [&str; 5] = [".bin", ".pt", ".pth", ".ckpt", ".pkl"];

/// The files of a model, in memory, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFiles {
    files: BTreeMap<String, Vec<u8>>,
    /// A file of weights that is there but in a format that isn't read, to say so when weights are missing.
    refused_weights: Option<String>,
}

impl ModelFiles {
    /// Reads the files of a folder that matter; subfolders are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::FileMissing`] if the folder or a file in it can't be read.
    pub fn from_directory(directory: &Path) -> Result<Self, EngineError> {
        let unreadable = |path: &Path, error: std::io::Error| {
            EngineError::new(
                ErrorKind::FileMissing,
                format!("could not read \"{}\": {error}", path.display()),
            )
        };
        let entries = std::fs::read_dir(directory).map_err(|error| unreadable(directory, error))?;
        let mut found = Self::default();
        for entry in entries {
            let path = entry.map_err(|error| unreadable(directory, error))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if is_model_file(name) && path.is_file() {
                let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
                found.files.insert(name.to_owned(), bytes);
            } else if is_pickle(name) {
                found.refused_weights = Some(name.to_owned());
            }
        }
        Ok(found)
    }

    /// Takes all files as name and bytes, as an upload delivers them. Of two of the same name the later one counts.
    pub fn from_parts(files: Vec<(String, Vec<u8>)>) -> Self {
        let refused_weights = files.iter().map(|(name, _)| name).find(|name| is_pickle(name)).cloned();
        Self { files: files.into_iter().collect(), refused_weights }
    }

    /// Name, size and hash of each file, sorted by name.
    pub fn manifest(&self) -> Vec<FileEntry> {
        let entry = |(name, bytes): (&String, &Vec<u8>)| FileEntry {
            name: name.clone(),
            size: bytes.len() as u64,
            sha256: Sha256(sha2::Sha256::digest(bytes).into()),
        };
        self.files.iter().map(entry).collect()
    }

    /// Names and bytes of all files, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// The bytes of a file, if it is there.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// The bytes of a file to change, if it is there.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Vec<u8>> {
        self.files.get_mut(name)
    }

    /// The bytes of a file that the model can't do without.
    ///
    /// # Errors
    /// [`ErrorKind::FileMissing`].
    pub fn require(&self, name: &str) -> Result<&[u8], EngineError> {
        self.get(name).ok_or_else(|| self.missing(name))
    }

    /// Names of the files that end in `suffix`, sorted.
    pub fn names_ending_in<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = &'a str> {
        self.files.keys().map(String::as_str).filter(move |name| name.ends_with(suffix))
    }

    /// The error for a file that isn't there.
    pub(crate) fn missing(&self, name: &str) -> EngineError {
        let error = EngineError::new(ErrorKind::FileMissing, format!("model has no file \"{name}\""));
        match &self.refused_weights {
            Some(refused) if name.ends_with(".safetensors") => error
                .with_detail(format!("There is a file \"{refused}\", which may carry code and is not read."))
                .with_hint("Only weights in safetensors format are read; convert them first."),
            _ => error,
        }
    }
}

fn is_pickle(name: &str) -> bool {
    PICKLES.iter().any(|suffix| name.ends_with(suffix))
}

/// The folder of a built-in model below the folder of all of them.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if there is none of this name.
pub fn builtin_folder(builtin: Option<&Path>, name: &str) -> Result<PathBuf, EngineError> {
    let refuse = |message: String| EngineError::new(ErrorKind::InvalidRequest, message);
    if !is_builtin_name(name) {
        return Err(refuse(format!("invalid name of a built-in model: \"{}\"", name.escape_debug())));
    }
    let folder = builtin.map(|builtin| builtin.join(name)).filter(|folder| folder.is_dir());
    folder.ok_or_else(|| refuse(format!("built-in model \"{name}\" does not exist")))
}

/// Whether this can be the name of a folder among the built-in models, and not a way out of it.
fn is_builtin_name(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    !name.is_empty() && name.bytes().all(allowed)
}
