//! A Hugging Face hub on this machine: it serves one folder as the repositories that a test names.
//!
//! It may want a token, and may have its files lie on another host, as the real one's do. It speaks as much HTTP/1.1 as a downloader needs: GET and HEAD, ranges, the hub's headers, one request a
//! connection.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;

/// The commit that every revision of every repository stands for.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A running hub. It ends with the test's process.
pub struct Hub {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
    /// Their `Authorization`.
    tokens: Arc<Mutex<Vec<Option<String>>>>,
}

/// What the hub serves.
struct Shelf {
    repositories: Vec<String>,
    revisions: Vec<String>,
    folder: PathBuf,
    /// What a request must show.
    token: Option<String>,
    /// Where files are instead.
    elsewhere: Option<String>,
}

impl Hub {
    /// Serves `folder` under each of these names (`owner/repo`) at revisions `main` and `v1`.
    pub fn serve(repositories: &[&str], folder: &Path) -> Self {
        Self::start(repositories, folder, None, None)
    }

    /// Serves it to those who show this token, and leads them to another hub for files.
    pub fn serve_private(repositories: &[&str], folder: &Path, token: &str, elsewhere: &Hub) -> Self {
        Self::start(repositories, folder, Some(token.to_owned()), Some(elsewhere.endpoint.clone()))
    }

    fn start(repositories: &[&str], folder: &Path, token: Option<String>, elsewhere: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a local port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (requests, tokens) = (Arc::default(), Arc::default());
        let shelf = Arc::new(Shelf {
            repositories: repositories.iter().map(|name| (*name).to_owned()).collect(),
            revisions: vec!["main".to_owned(), "v1".to_owned(), COMMIT.to_owned()],
            folder: folder.to_owned(),
            token,
            elsewhere,
        });
        let (log, shown) = (Arc::clone(&requests), Arc::clone(&tokens));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shelf, log, shown) = (Arc::clone(&shelf), Arc::clone(&log), Arc::clone(&shown));
                thread::spawn(move || answer(&shelf, &log, &shown, stream));
            }
        });
        Self { endpoint: format!("http://{address}"), requests, tokens }
    }

    /// Base address, for `ecommerce_ml.hub_endpoint`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Paths that were asked for, in order.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no request panics").clone()
    }

    /// What each of them showed to be let in.
    pub fn tokens(&self) -> Vec<Option<String>> {
        self.tokens.lock().expect("no request panics").clone()
    }
}

impl Shelf {
    /// The answer to a path: a listing, a file, or nothing.
    fn find(&self, path: &str) -> Option<Vec<u8>> {
        self.repositories.iter().find_map(|repository| {
            let api = path.strip_prefix(&format!("/api/models/{repository}"));
            let file = path.strip_prefix(&format!("/{repository}/resolve/"));
            api.and_then(|rest| self.listing(repository, rest))
                .or_else(|| file.and_then(|rest| self.file(rest)))
        })
    }

    fn listing(&self, repository: &str, rest: &str) -> Option<Vec<u8>> {
        let revision = if rest.is_empty() { "main" } else { rest.strip_prefix("/revision/")? };
        self.revisions.iter().find(|known| *known == revision)?;
        let entries = fs::read_dir(&self.folder).ok()?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let siblings: Vec<_> = names.map(|name| json!({ "rfilename": name })).collect();
        Some(json!({ "id": repository, "sha": COMMIT, "siblings": siblings }).to_string().into_bytes())
    }

    fn file(&self, rest: &str) -> Option<Vec<u8>> {
        let (revision, name) = rest.split_once('/')?;
        self.revisions.iter().find(|known| *known == revision)?;
        let plain = !name.contains('/') && !name.starts_with('.');
        plain.then(|| fs::read(self.folder.join(name)).ok()).flatten()
    }
}

fn answer(
    shelf: &Shelf,
    log: &Mutex<Vec<String>>,
    tokens: &Mutex<Vec<Option<String>>>,
    mut stream: TcpStream,
) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default().replace("%2F", "/");
    log.lock().expect("no request panics").push(path.clone());
    let range =
        headers.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let token = headers.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
    });
    tokens.lock().expect("no request panics").push(token.clone());
    let is_let_in = shelf.token.as_ref().is_none_or(|wanted| token == Some(format!("Bearer {wanted}")));
    let elsewhere = shelf.elsewhere.as_ref().filter(|_| path.contains("/resolve/"));
    let response = match shelf.find(&path) {
        _ if !is_let_in => {
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
        }
        Some(_) if elsewhere.is_some() => {
            let to = elsewhere.map(String::as_str).unwrap_or_default();
            format!("HTTP/1.1 302 Found\r\nLocation: {to}{path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .into_bytes()
        }
        Some(content) => found(method, content, range.as_deref()),
        None => b"HTTP/1.1 404 Not Found\r\nX-Error-Code: RepoNotFound\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            .to_vec(),
    };
    // The downloader may have gone: its matter, not the hub's.
    let _ = stream.write_all(&response);
}

fn found(method: &str, content: Vec<u8>, range: Option<&str>) -> Vec<u8> {
    let total = content.len();
    let part = range.and_then(|range| range.split_once('-')).map(|(first, last)| {
        let first = first.parse().unwrap_or(0).min(total);
        let last = last.parse().map_or(total, |last: usize| (last + 1).min(total));
        first..last.max(first)
    });
    let mut head = match &part {
        Some(part) => {
            let last = part.end.saturating_sub(1);
            format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {}-{last}/{total}\r\n", part.start)
        }
        None => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    let body = &content[part.unwrap_or(0..total)];
    head += &format!(
        "Content-Length: {}\r\nAccept-Ranges: bytes\r\nETag: \"{total}\"\r\nX-Repo-Commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut response = head.into_bytes();
    if method != "HEAD" {
        response.extend_from_slice(body);
    }
    response
}
