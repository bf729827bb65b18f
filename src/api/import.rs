//! Importing a model in Hugging Face layout, from a folder of the server or from a hub.
//!
//! The files go into our tables; then the engine is asked what they are, which makes it ask for them, so that what is
//! checked is what is stored. Invariant: an import that fails leaves nothing behind, in tables or in folders.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use ecommerce_ml_protocol::files::{content_address, is_model_file};
use ecommerce_ml_protocol::{
    FileEntry, ModelInfo, ModelRef, ModelSource, Purpose, ReplyBody, RequestBody, Secret, Sha256,
    UPLOAD_CHUNK_BYTES,
};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, check_for_interrupts, pg_extern, pg_sys};
use serde_json::{Value, json};
use sha2::{Digest, Sha256 as Hasher};

use super::options::Options;
use crate::catalog::name::ModelName;
use crate::catalog::versions::{self, NewVersion};
use crate::catalog::{content, privilege};
use crate::error::Error;
use crate::{client, guc, runtime};

const OPTIONS: &str = "deploy, labels, max_length";
/// Largest file of a model.
const MAX_FILE_BYTES: u64 = 64 << 30;
/// Largest file that is read whole to be changed.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// Imports a model as a new version and returns the version's number.
#[pg_extern]
fn import_model(name: &str, source: &str, options: JsonB) -> Result<i32, ErrorReport> {
    privilege::require_writable(c"import_model()");
    let name = ModelName::parse_bare(name)?;
    let options = ImportOptions::read(options.0)?;
    privilege::require_role("pg_read_server_files", "import a model")?;
    let folder = ImportFolder::open(source)?;
    Ok(import(&name, source, folder.path(), &options)?)
}

fn import(name: &str, source: &str, folder: &Path, options: &ImportOptions) -> Result<i32, Error> {
    let files = list_files(folder, options)?;
    let is_new = versions::claim(name)?;
    let sha256 = store(&files)?;
    let info = describe(sha256)?;
    let version = NewVersion {
        content: sha256,
        kind: info.kind.clone(),
        signature: versions::signature_json(&info)?,
        info: versions::info_json(&info),
        source: source.to_owned(),
        base: None,
        metrics: None,
        training: None,
        reference: None,
    };
    let version = versions::add(name, &version)?;
    if is_new || options.deploy {
        versions::deploy(name, version)?;
    }
    Ok(version)
}

struct ImportOptions {
    deploy: bool,
    labels: Option<Vec<String>>,
    max_length: Option<u64>,
}

impl ImportOptions {
    fn read(options: Value) -> Result<Self, Error> {
        let options = Options::read(options, OPTIONS)?;
        Ok(Self {
            deploy: options.flag("deploy")?,
            labels: options.names("labels")?,
            max_length: options.count("max_length", 8, "a whole number of at least 8")?,
        })
    }
}

/// Where the files of an import lie.
enum ImportFolder {
    /// The user's.
    Given(PathBuf),
    /// Ours, filled from a hub, removed afterwards.
    Downloaded(PathBuf),
}

impl ImportFolder {
    fn open(source: &str) -> Result<Self, Error> {
        if let Some(path) = source.strip_prefix("file://") {
            return match Path::new(path) {
                path if path.is_absolute() => Ok(ImportFolder::Given(path.to_owned())),
                _ => Err(Error::RelativePath(path.to_owned())),
            };
        }
        match source.strip_prefix("hf://") {
            Some(repository) if repository.split('/').count() == 2 => Self::download(repository),
            _ => Err(Error::InvalidSource(source.to_owned())),
        }
    }

    fn download(repository: &str) -> Result<Self, Error> {
        let (repository, revision) = match repository.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision.to_owned())),
            None => (repository, None),
        };
        // SAFETY: set once when this process starts.
        let pid = unsafe { pg_sys::MyProcPid };
        let directory = format!("{}/import.{pid}", runtime::DIRECTORY);
        // Made before the request, so that it is removed whatever happens.
        let folder = ImportFolder::Downloaded(PathBuf::from(&directory));
        let request = RequestBody::Fetch {
            repository: repository.to_owned(),
            revision,
            endpoint: guc::hub_endpoint(),
            token: guc::hub_token().map(Secret),
            directory,
        };
        match client::ask(request)? {
            ReplyBody::Fetched { .. } => Ok(folder),
            _ => Err(Error::Unexpected("no download")),
        }
    }

    fn path(&self) -> &Path {
        match self {
            ImportFolder::Given(path) | ImportFolder::Downloaded(path) => path,
        }
    }
}

impl Drop for ImportFolder {
    fn drop(&mut self) {
        if let ImportFolder::Downloaded(path) = self {
            // It may not have been made yet.
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// A file to be stored: on disk, or in memory where an option changes it.
struct SourceFile {
    name: String,
    path: PathBuf,
    changed: Option<Vec<u8>>,
}

impl SourceFile {
    fn open(&self) -> Result<Box<dyn Read + '_>, Error> {
        match &self.changed {
            Some(bytes) => Ok(Box::new(bytes.as_slice())),
            None => {
                Ok(Box::new(File::open(&self.path).map_err(|error| Error::file("open", &self.path, error))?))
            }
        }
    }

    /// Hands out the file in chunks of [`UPLOAD_CHUNK_BYTES`], the last one shorter.
    fn for_each_chunk(&self, mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let mut reader = self.open()?;
        let mut buffer = Vec::with_capacity(UPLOAD_CHUNK_BYTES);
        loop {
            check_for_interrupts!();
            buffer.clear();
            let limit = UPLOAD_CHUNK_BYTES as u64;
            let read = reader.by_ref().take(limit).read_to_end(&mut buffer);
            match read.map_err(|error| Error::file("read", &self.path, error))? {
                0 => return Ok(()),
                _ => take(&buffer)?,
            }
        }
    }

    fn entry(&self) -> Result<FileEntry, Error> {
        let (mut hasher, mut size) = (Hasher::new(), 0u64);
        self.for_each_chunk(|chunk| {
            hasher.update(chunk);
            size += chunk.len() as u64;
            if size > MAX_FILE_BYTES {
                return Err(Error::FileTooLarge { name: self.name.clone(), size });
            }
            Ok(())
        })?;
        Ok(FileEntry { name: self.name.clone(), size, sha256: Sha256(hasher.finalize().into()) })
    }
}

/// The files of a model in a folder, sorted by name.
fn list_files(folder: &Path, options: &ImportOptions) -> Result<Vec<SourceFile>, Error> {
    let failed = |error| Error::file("read directory", folder, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        if let Some(name) = name.filter(|name| is_model_file(name) && path.is_file()) {
            let changed = changed(&name, &path, options)?;
            files.push(SourceFile { name, path, changed });
        }
    }
    if files.is_empty() {
        return Err(Error::NoModelFiles(folder.display().to_string()));
    }
    let is_configured = files.iter().any(|file| file.name == "config.json");
    match (&options.labels, options.max_length) {
        (Some(_), _) if !is_configured => return Err(Error::OptionForTexts("labels")),
        (_, Some(_)) if !is_configured => return Err(Error::OptionForTexts("max_length")),
        _ => add_max_length(folder, options, &mut files)?,
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// The file as the options would have it, if they touch it.
fn changed(name: &str, path: &Path, options: &ImportOptions) -> Result<Option<Vec<u8>>, Error> {
    match (name, &options.labels, options.max_length) {
        ("config.json", Some(labels), _) => rewrite(name, path, |config| relabel(config, labels)),
        ("tokenizer_config.json", _, Some(length)) => rewrite(name, path, |config| {
            config["model_max_length"] = json!(length);
            Ok(())
        }),
        _ => Ok(None),
    }
}

/// Gives the classes other names.
fn relabel(config: &mut Value, labels: &[String]) -> Result<(), Error> {
    // A configuration that doesn't tell is checked by the engine, against the weights.
    if config["id2label"].as_object().is_some_and(|classes| classes.len() != labels.len()) {
        return Err(Error::InvalidOption { name: "labels", expected: "a label for each class of the model" });
    }
    let ids = labels.iter().enumerate();
    config["id2label"] = ids.clone().map(|(id, label)| (id.to_string(), json!(label))).collect();
    config["label2id"] = ids.map(|(id, label)| (label.clone(), json!(id))).collect();
    Ok(())
}

/// A model without tokenizer_config.json gets one that holds just the length.
fn add_max_length(folder: &Path, options: &ImportOptions, files: &mut Vec<SourceFile>) -> Result<(), Error> {
    let name = "tokenizer_config.json";
    let Some(length) = options.max_length.filter(|_| !files.iter().any(|file| file.name == name)) else {
        return Ok(());
    };
    let changed = Some(json!({"model_max_length": length}).to_string().into_bytes());
    files.push(SourceFile { name: name.to_owned(), path: folder.join(name), changed });
    Ok(())
}

fn rewrite(
    name: &str,
    path: &Path,
    change: impl FnOnce(&mut Value) -> Result<(), Error>,
) -> Result<Option<Vec<u8>>, Error> {
    let failed = |error| Error::file("read", path, error);
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_CONFIG_BYTES {
        return Err(Error::FileTooLarge { name: name.to_owned(), size });
    }
    let not_json = |reason| Error::NotJson { name: name.to_owned(), reason };
    let mut config: Value = serde_json::from_slice(&fs::read(path).map_err(failed)?).map_err(not_json)?;
    if !config.is_object() {
        return Err(Error::NotJson {
            name: name.to_owned(),
            reason: serde::de::Error::custom("not an object"),
        });
    }
    change(&mut config)?;
    serde_json::to_vec_pretty(&config).map(Some).map_err(not_json)
}

/// Stores files that are not stored already and returns their content address.
fn store(files: &[SourceFile]) -> Result<Sha256, Error> {
    let entries = files.iter().map(SourceFile::entry).collect::<Result<Vec<_>, _>>()?;
    let sha256 = content_address(&entries);
    if !content::record(sha256, &entries)? {
        return Ok(sha256);
    }
    let mut writer = content::Writer::new(sha256, &entries);
    for (index, file) in (0u32..).zip(files) {
        file.for_each_chunk(|data| writer.add(index, data))?;
    }
    writer.finish()?;
    Ok(sha256)
}

fn describe(sha256: Sha256) -> Result<ModelInfo, Error> {
    let model = ModelRef { source: ModelSource::Content(sha256), pinned: false, purpose: Purpose::Predict };
    match client::ask(RequestBody::Describe { model })? {
        ReplyBody::Described(info) => Ok(info),
        _ => Err(Error::Unexpected("no description")),
    }
}
