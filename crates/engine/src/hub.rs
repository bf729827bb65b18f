//! Downloads from a Hugging Face hub.
//!
//! Two requests of the hub's interface are all it takes, so they are made here: `hf-hub` wants a cache of symbolic
//! links, reads tokens from the user's home, and names files by what the server says. No token is ever sent.
//!
//! It must not know what is in the files.
//! Invariant: afterwards the folder holds exactly the files of the model, or doesn't exist.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use ecommerce_ml_checkpoint::files::is_model_file;
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use serde::Deserialize;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

/// Branch that is meant when none is named.
const MAIN: &str = "main";

/// How long to wait for a connection, and for each next piece of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes between looks at whether the download is still wanted.
const COPY_BYTES: usize = 256 << 10;

/// Largest description of a repository.
const DESCRIPTION_BYTES: u64 = 16 << 20;

/// Certificates of the system, besides the variable `SSL_CERT_FILE`. A mirror within a company needs these.
const SYSTEM_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A repository to download.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// `owner/name`.
    pub repository: String,
    /// Branch, tag or commit; `main` if absent.
    pub revision: Option<String>,
    /// Base address of the hub.
    pub endpoint: String,
    /// Folder to make, relative to the working directory.
    pub directory: PathBuf,
}

/// What was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The commit that the revision stood for.
    pub commit: String,
    /// Names of the files in the folder, sorted.
    pub files: Vec<String>,
}

/// The hub's description of a repository, as far as it matters.
#[derive(Debug, Deserialize)]
struct Description {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Fetch {
    /// Downloads the files that make up the model; `stop` tells when that is no longer wanted.
    ///
    /// # Errors
    /// [`ErrorKind::HubUnavailable`] if the hub can't be reached or refuses, [`ErrorKind::FileMissing`] if it has no
    /// such repository, [`ErrorKind::UnsupportedModel`] if that has no safetensors,
    /// [`ErrorKind::InvalidRequest`] for names that can't be right.
    pub fn run(&self, stop: &dyn Fn() -> bool) -> Result<Fetched, EngineError> {
        self.check()?;
        let agent = agent();
        let description = self.describe(&agent)?;
        let files = choose_files(&self.repository, &description)?;
        fs::create_dir(&self.directory).map_err(|error| self.disk(&error))?;
        let made = Made(Some(&self.directory));
        for name in &files {
            self.download(&agent, &description.sha, name, stop)?;
        }
        made.keep();
        Ok(Fetched { commit: description.sha, files })
    }

    fn check(&self) -> Result<(), EngineError> {
        if !is_repository(&self.repository) {
            return Err(invalid(format!(
                "invalid name of a repository: \"{}\"",
                self.repository.escape_debug()
            )));
        }
        if !is_revision(self.revision()) {
            return Err(invalid(format!("invalid revision: \"{}\"", self.revision().escape_debug())));
        }
        let plain = |component| matches!(component, Component::Normal(_));
        if self.directory.as_os_str().is_empty() || !self.directory.components().all(plain) {
            return Err(invalid(format!("not a folder within the working directory: {:?}", self.directory)));
        }
        Ok(())
    }

    fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }

    fn describe(&self, agent: &Agent) -> Result<Description, EngineError> {
        let revision = self.revision().replace('/', "%2F");
        let url = format!("{}/api/models/{}/revision/{revision}", self.base(), self.repository);
        let mut body = self.get(agent, &url)?;
        let description: Description = body
            .with_config()
            .limit(DESCRIPTION_BYTES)
            .read_json()
            .map_err(|error| self.unavailable(&error.to_string()))?;
        if is_plain(&description.sha) { Ok(description) } else { Err(self.unavailable("it names no commit")) }
    }

    fn download(
        &self,
        agent: &Agent,
        commit: &str,
        name: &str,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), EngineError> {
        let url = format!("{}/{}/resolve/{commit}/{name}", self.base(), self.repository);
        let mut body = self.get(agent, &url)?.into_reader();
        let mut file = File::create_new(self.directory.join(name)).map_err(|error| self.disk(&error))?;
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            if stop() {
                return Err(EngineError::new(ErrorKind::Cancelled, "download was cancelled"));
            }
            let bytes = body.read(&mut buffer).map_err(|error| self.unavailable(&error.to_string()))?;
            if bytes == 0 {
                return Ok(());
            }
            file.write_all(&buffer[..bytes]).map_err(|error| self.disk(&error))?;
        }
    }

    fn get(&self, agent: &Agent, url: &str) -> Result<Body, EngineError> {
        match agent.get(url).call() {
            Ok(response) => Ok(response.into_body()),
            // The hub says 401 for what doesn't exist or isn't public, so as not to tell which.
            Err(ureq::Error::StatusCode(401 | 403 | 404)) => Err(self.missing()),
            Err(ureq::Error::StatusCode(status)) => {
                Err(self.unavailable(&format!("it answered with status {status}")))
            }
            Err(error) => Err(self.unavailable(&error.to_string())),
        }
    }

    fn base(&self) -> &str {
        self.endpoint.trim_end_matches('/')
    }

    fn missing(&self) -> EngineError {
        let message = format!(
            "hub \"{}\" has no public repository \"{}\" with revision \"{}\"",
            self.endpoint,
            self.repository,
            self.revision()
        );
        EngineError::new(ErrorKind::FileMissing, message)
    }

    fn unavailable(&self, reason: &str) -> EngineError {
        EngineError::new(
            ErrorKind::HubUnavailable,
            format!("could not read from hub \"{}\": {reason}", self.endpoint),
        )
        .with_hint("Check ecommerce_ml.hub_endpoint and the network of the server.")
    }

    fn disk(&self, error: &io::Error) -> EngineError {
        let message = format!("could not write to folder \"{}\": {error}", self.directory.display());
        EngineError::new(ErrorKind::Internal, message)
    }
}

/// Removes a folder unless it shall be kept.
struct Made<'a>(Option<&'a Path>);

impl Made<'_> {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if let Some(directory) = self.0 {
            // What can't be removed is left to the client, which owns the folder.
            let _ = fs::remove_dir_all(directory);
        }
    }
}

/// The files of a repository that make up the model, sorted.
fn choose_files(repository: &str, description: &Description) -> Result<Vec<String>, EngineError> {
    let names = description.siblings.iter().map(|sibling| sibling.rfilename.as_str());
    let mut names: Vec<&str> = names.filter(|name| is_plain(name) && is_model_file(name)).collect();
    // One file of weights is the whole model; others beside it are variants of it.
    if names.contains(&WHOLE) {
        names.retain(|name| *name == WHOLE || !name.contains(".safetensors"));
    }
    if !names.iter().any(|name| name.ends_with(".safetensors")) {
        let message = format!("repository \"{repository}\" has no weights in safetensors format");
        return Err(
            EngineError::new(ErrorKind::UnsupportedModel, message).with_hint("Only safetensors are read.")
        );
    }
    names.sort_unstable();
    names.dedup();
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// Name of the weights of a model in one file.
const WHOLE: &str = "model.safetensors";

/// Whether a word can be a part of an address or the name of a file without meaning anything else.
fn is_plain(word: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !word.is_empty() && !word.starts_with('.') && word.bytes().all(allowed)
}

fn is_repository(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    parts.len() <= 2 && parts.into_iter().all(is_plain)
}

fn is_revision(name: &str) -> bool {
    name.split('/').all(is_plain)
}

fn invalid(message: String) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}

fn agent() -> Agent {
    let tls = TlsConfig::builder().root_certs(root_certificates()).build();
    Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .user_agent(concat!("ecommerce_ml/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// The system's certificates if it has some, else those that came with the engine.
fn root_certificates() -> RootCerts {
    let path = std::env::var_os("SSL_CERT_FILE").unwrap_or_else(|| SYSTEM_CERTIFICATES.into());
    let bundle = fs::read(path).unwrap_or_default();
    let certificates = parse_pem(&bundle).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() { RootCerts::WebPki } else { RootCerts::from(certificates) }
}
