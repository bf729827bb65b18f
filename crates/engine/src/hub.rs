//! Downloads from a Hugging Face hub.
//!
//! Two requests of the hub's interface are all it takes, so they are made here. `hf-hub` (0.5.0 was read) trusts the hub:
//! it names files by the headers `etag` and `x-repo-commit` without a look at them, so that they may lie anywhere, ends the
//! process's thread where a redirect has no `Location`, follows a relative one to itself for ever, has no timeouts, takes as
//! many bytes as come whatever was announced, and sends tokens to other ports of the same host.
//!
//! It must not know what is in the files.
//! Invariant: afterwards the folder holds exactly the files of the model, or doesn't exist; a token is sent to the origin
//! of the endpoint only.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use ecommerce_ml_checkpoint::files::is_model_file;
use ecommerce_ml_protocol::{EngineError, ErrorKind, Secret};
use serde::Deserialize;
use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Response, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

/// Branch that is meant when none is named.
const MAIN: &str = "main";

/// How long to wait for a connection, and for each next piece of an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes between looks at whether the download is still wanted.
const COPY_BYTES: usize = 256 << 10;

/// Largest description of a repository.
const DESCRIPTION_BYTES: u64 = 16 << 20;

/// Redirects that one request may lead to.
const MAX_REDIRECTS: usize = 10;

/// Most bytes of all files of a repository.
const MAX_BYTES: u64 = 64 << 30;

/// Most files of a model.
const MAX_FILES: usize = 1000;

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
    /// What lets us see private repositories there.
    pub token: Option<Secret>,
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
    /// [`ErrorKind::HubUnavailable`] if the hub can't be reached or refuses, [`ErrorKind::HubDenied`] if it refuses the
    /// token, [`ErrorKind::FileMissing`] if it has no
    /// such repository, [`ErrorKind::UnsupportedModel`] if that has no safetensors,
    /// [`ErrorKind::InvalidRequest`] for names that can't be right.
    pub fn run(&self, stop: &dyn Fn() -> bool) -> Result<Fetched, EngineError> {
        self.check()?;
        let agent = agent();
        let description = self.describe(&agent)?;
        let files = model_files(&self.repository, &description)?;
        fs::create_dir(&self.directory).map_err(|error| self.disk(&error))?;
        let made = RemoveUnlessKept(Some(&self.directory));
        let mut bytes_left = MAX_BYTES;
        for name in &files {
            self.download(&agent, &description.sha, name, &mut bytes_left, stop)?;
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
        if self.token.as_ref().is_some_and(|token| bearer(token).is_none()) {
            return Err(invalid("invalid token of a hub".to_owned()).with_hint(TOKEN_HINT));
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
        let mut body = self.get(agent, &url)?.into_body();
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
        bytes_left: &mut u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), EngineError> {
        let url = format!("{}/{}/resolve/{commit}/{name}", self.base(), self.repository);
        let response = self.get(agent, &url)?;
        let too_large = || self.unavailable("the repository has more than 64 GB");
        if announced(response.headers()).is_some_and(|bytes| bytes > *bytes_left) {
            return Err(too_large());
        }
        let mut body = response.into_body().into_reader();
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
            *bytes_left = bytes_left.checked_sub(bytes as u64).ok_or_else(too_large)?;
            file.write_all(&buffer[..bytes]).map_err(|error| self.disk(&error))?;
        }
    }

    /// Follows redirects, as `agent` must not: which headers go along depends on where they lead.
    fn get(&self, agent: &Agent, url: &str) -> Result<Response<Body>, EngineError> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(agent, &url)?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let next = header(response.headers(), &LOCATION).and_then(|location| redirected(&url, location));
            url = next.ok_or_else(|| self.unavailable("it redirects to what is no address that it may"))?;
        }
        Err(self.unavailable("it redirects too often"))
    }

    fn ask(&self, agent: &Agent, url: &str) -> Result<Response<Body>, EngineError> {
        let is_hub = origin(url).is_some_and(|its| Some(its) == origin(self.base()));
        let token = self.token.as_ref().filter(|_| is_hub).and_then(bearer);
        let request = agent.get(url);
        let is_shown = token.is_some();
        let request = match token {
            Some(token) => request.header(AUTHORIZATION, token),
            None => request,
        };
        match request.call() {
            Ok(response) => Ok(response),
            Err(ureq::Error::StatusCode(401 | 403)) if is_shown => Err(self.denied()),
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
        let public = if self.token.is_some() { "" } else { "public " };
        let message = format!(
            "hub \"{}\" has no {public}repository \"{}\" with revision \"{}\"",
            self.endpoint,
            self.repository,
            self.revision()
        );
        let error = EngineError::new(ErrorKind::FileMissing, message);
        if self.token.is_some() { error } else { error.with_hint(TOKEN_HINT) }
    }

    fn denied(&self) -> EngineError {
        let message = format!(
            "hub \"{}\" does not let its token read repository \"{}\"",
            self.endpoint, self.repository
        );
        EngineError::new(ErrorKind::HubDenied, message)
            .with_hint("Check ecommerce_ml.hub_token, and that its owner may read the repository.")
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

/// What helps where a repository may be there but not be public.
const TOKEN_HINT: &str = "Private repositories need a token: a superuser can set ecommerce_ml.hub_token.";

/// The header that shows a token; `None` for what is none.
fn bearer(token: &Secret) -> Option<HeaderValue> {
    let is_plain = !token.0.is_empty() && token.0.bytes().all(|byte| byte.is_ascii_graphic());
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.0)).ok().filter(|_| is_plain)?;
    value.set_sensitive(true);
    Some(value)
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().or(match &*scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    })?;
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// Where a redirect leads to; `None` for what is no address, and from an encrypted connection to one that isn't.
fn redirected(from: &str, location: &str) -> Option<String> {
    let (scheme, rest) = from.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let to = match location {
        location if location.starts_with("//") => format!("{scheme}:{location}"),
        location if location.starts_with('/') => format!("{scheme}://{host}{location}"),
        location => location.to_owned(),
    };
    let (before, after) = (origin(from)?, origin(&to)?);
    (before.0 == after.0 || after.0 == "https").then_some(to)
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Bytes that a response says it has.
fn announced(headers: &HeaderMap) -> Option<u64> {
    header(headers, &CONTENT_LENGTH)?.parse().ok()
}

/// Removes a folder unless it shall be kept.
struct RemoveUnlessKept<'a>(Option<&'a Path>);

impl RemoveUnlessKept<'_> {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for RemoveUnlessKept<'_> {
    fn drop(&mut self) {
        if let Some(directory) = self.0 {
            // What can't be removed is left to the client, which owns the folder.
            let _ = fs::remove_dir_all(directory);
        }
    }
}

/// The files of a repository that make up the model, sorted.
fn model_files(repository: &str, description: &Description) -> Result<Vec<String>, EngineError> {
    let names = description.siblings.iter().map(|sibling| sibling.rfilename.as_str());
    let mut names: Vec<&str> = names.filter(|name| is_plain(name) && is_model_file(name)).collect();
    // One file of weights is the whole model; others beside it are variants of it.
    if names.contains(&SINGLE_FILE) {
        names.retain(|name| *name == SINGLE_FILE || !name.contains(".safetensors"));
    }
    if !names.iter().any(|name| name.ends_with(".safetensors")) {
        let message = format!("repository \"{repository}\" has no weights in safetensors format");
        return Err(
            EngineError::new(ErrorKind::UnsupportedModel, message).with_hint("Only safetensors are read.")
        );
    }
    names.sort_unstable();
    names.dedup();
    if names.len() > MAX_FILES {
        let message = format!("repository \"{repository}\" has {} files of a model", names.len());
        return Err(EngineError::new(ErrorKind::UnsupportedModel, message)
            .with_detail(format!("The limit is {MAX_FILES} files.")));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// Name of the weights of a model in one file.
const SINGLE_FILE: &str = "model.safetensors";

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
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(TIMEOUT))
        .timeout_recv_response(Some(TIMEOUT))
        .timeout_per_read(Some(TIMEOUT))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_addresses_and_never_from_encryption_to_none() {
        let from = "https://hub.example/owner/model?x=/y";
        let cases = [
            ("/there", Some("https://hub.example/there")),
            ("//cdn.example/there", Some("https://cdn.example/there")),
            ("https://cdn.example/there", Some("https://cdn.example/there")),
            ("http://hub.example/there", None),
            ("there", None),
            ("file:///there", None),
            ("", None),
        ];
        for (location, to) in cases {
            assert_eq!(redirected(from, location).as_deref(), to, "{location}");
        }
        assert!(redirected("http://hub.example/", "https://hub.example/there").is_some());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("https://Hub.example/x"), origin("HTTPS://hub.example:443"));
        for other in ["http://hub.example", "https://hub.example:444", "https://x.hub.example", "hub.example"]
        {
            assert_ne!(origin("https://hub.example"), origin(other), "{other}");
        }
        assert_eq!(origin("https://hub.example@evil.example/").unwrap().1, "evil.example");
    }
}
