//! Downloads, from a hub of a few lines that speaks the paths of the real one.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use ecommerce_ml_engine::hub::{Fetch, Fetched};
use ecommerce_ml_protocol::{EngineError, ErrorKind, ReplyBody, RequestBody, Secret};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::client::error;
use crate::kit::Kit;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the hub answers one path.
#[derive(Clone)]
enum Page {
    Body(Vec<u8>),
    /// Announces more bytes than it sends.
    Cut(Vec<u8>),
    /// Announces so many, and sends none.
    Announced(u64),
    /// With headers of its own.
    Headed(&'static str),
    Status(u16),
    Redirect(String),
}

struct Hub {
    endpoint: String,
    /// Heads of all requests.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn new(pages: HashMap<String, Page>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let heads = Arc::clone(&seen);
        thread::spawn(move || listener.incoming().for_each(|stream| answer(stream.unwrap(), &pages, &heads)));
        Self { endpoint, seen }
    }

    /// A hub with one repository of these files.
    fn with(files: &[(&str, Page)]) -> Self {
        let siblings: Vec<_> =
            files.iter().map(|(name, _)| serde_json::json!({ "rfilename": name })).collect();
        let description = serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string();
        let file =
            |(name, page): &(&str, Page)| (format!("/owner/model/resolve/{COMMIT}/{name}"), page.clone());
        let mut pages: HashMap<_, _> = files.iter().map(file).collect();
        pages
            .insert("/api/models/owner/model/revision/main".to_owned(), Page::Body(description.into_bytes()));
        Self::new(pages)
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, EngineError> {
        fetch(&self.endpoint, "owner/model", None, directory).run(&|| false)
    }
}

fn answer(stream: TcpStream, pages: &HashMap<String, Page>, heads: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let head: Vec<String> = lines.by_ref().collect();
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let page = pages.get(path).cloned().unwrap_or(Page::Status(404));
    heads.lock().push(head.join("\n"));
    let (status, header, body, missing) = match page {
        Page::Announced(bytes) => (200, String::new(), Vec::new(), bytes as usize),
        Page::Headed(header) => (200, header.to_owned(), b"weights".to_vec(), 0),
        Page::Body(body) => (200, String::new(), body, 0),
        Page::Cut(body) => (200, String::new(), body, 10),
        Page::Status(status) => (status, String::new(), Vec::new(), 0),
        Page::Redirect(to) => (302, format!("Location: {to}\r\n"), Vec::new(), 0),
    };
    let length = body.len() + missing;
    let head =
        format!("HTTP/1.1 {status} x\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(&body));
}

fn fetch(endpoint: &str, repository: &str, revision: Option<&str>, directory: &Path) -> Fetch {
    Fetch {
        repository: repository.to_owned(),
        revision: revision.map(str::to_owned),
        endpoint: endpoint.to_owned(),
        token: None,
        directory: directory.to_owned(),
    }
}

fn body(text: &str) -> Page {
    Page::Body(text.as_bytes().to_vec())
}

/// A folder within the working directory, as the engine wants it; gone with the test.
fn folder() -> (TempDir, PathBuf) {
    let parent = TempDir::new_in(".").unwrap();
    let name = Path::new(parent.path().file_name().unwrap()).join("download");
    (parent, name)
}

#[test]
fn the_files_of_a_model_are_left_in_the_folder_and_nothing_else() {
    let large = vec![7; 3 << 20];
    // As the real hub does, large files are elsewhere.
    let elsewhere = Hub::new(HashMap::from([("/elsewhere".to_owned(), Page::Body(large.clone()))]));
    let (_parent, directory) = folder();
    let hub = Hub::with(&[
        ("config.json", body("{}")),
        ("tokenizer.json", body("{\"a\":1}")),
        ("model.safetensors", Page::Redirect(format!("{}/elsewhere", elsewhere.endpoint))),
        ("model.fp16.safetensors", body("variant")),
        ("pytorch_model.bin", body("pickle")),
        ("onnx/model.safetensors", body("nested")),
        ("README.md", body("text")),
    ]);
    let fetched = hub.fetch(&directory).unwrap();
    assert_eq!(fetched.commit, COMMIT);
    assert_eq!(fetched.files, ["config.json", "model.safetensors", "tokenizer.json"]);
    let mut found: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap()).collect();
    found.sort_by_key(|entry| entry.file_name());
    assert!(found.iter().all(|entry| entry.file_type().unwrap().is_file()));
    assert_eq!(
        found.iter().map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>(),
        fetched.files
    );
    assert_eq!(std::fs::read(directory.join("model.safetensors")).unwrap(), large);
    assert!(!hub.seen.lock().iter().any(|head| head.to_lowercase().contains("authorization")));
}

#[test]
fn shards_come_with_their_index() {
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index = "model.safetensors.index.json";
    let (_parent, directory) = folder();
    let hub = Hub::with(&[(shards[0], body("1")), (shards[1], body("2")), (index, body("{}"))]);
    assert_eq!(hub.fetch(&directory).unwrap().files, [shards[0], shards[1], index]);
}

#[test]
fn a_revision_may_be_a_branch_with_a_slash() {
    let description =
        format!("{{\"sha\":\"{COMMIT}\",\"siblings\":[{{\"rfilename\":\"model.safetensors\"}}]}}");
    let hub = Hub::new(HashMap::from([
        ("/api/models/owner/model/revision/refs%2Fpr%2F1".to_owned(), body(&description)),
        (format!("/owner/model/resolve/{COMMIT}/model.safetensors"), body("weights")),
    ]));
    let (_parent, directory) = folder();
    let endpoint = format!("{}/", hub.endpoint);
    fetch(&endpoint, "owner/model", Some("refs/pr/1"), &directory).run(&|| false).unwrap();
}

#[track_caller]
fn assert_refused(result: Result<Fetched, EngineError>, directory: &Path, kind: ErrorKind) -> EngineError {
    let error = result.unwrap_err();
    assert_eq!(error.kind, kind, "{error:?}");
    assert!(!directory.exists());
    error
}

#[test]
fn a_model_without_safetensors_is_refused() {
    let (_parent, directory) = folder();
    let hub = Hub::with(&[("config.json", body("{}")), ("pytorch_model.bin", body("pickle"))]);
    let refused = assert_refused(hub.fetch(&directory), &directory, ErrorKind::UnsupportedModel);
    assert_eq!(refused.hint.unwrap(), "Only safetensors are read.");
}

#[test]
fn failures_leave_nothing_behind_and_name_the_hub() {
    let cases = [
        (Page::Cut(b"weights".to_vec()), ErrorKind::HubUnavailable),
        (Page::Status(500), ErrorKind::HubUnavailable),
        (Page::Status(404), ErrorKind::FileMissing),
        (Page::Status(401), ErrorKind::FileMissing),
        (Page::Status(302), ErrorKind::HubUnavailable),
        (Page::Redirect("/owner/model/resolve/loop".to_owned()), ErrorKind::FileMissing),
        (
            Page::Redirect(format!("/owner/model/resolve/{COMMIT}/model.safetensors")),
            ErrorKind::HubUnavailable,
        ),
        (Page::Redirect("file:///etc/passwd".to_owned()), ErrorKind::HubUnavailable),
        (Page::Redirect("ftp://127.0.0.1/x".to_owned()), ErrorKind::HubUnavailable),
        (Page::Redirect("elsewhere".to_owned()), ErrorKind::HubUnavailable),
        (Page::Redirect("//".to_owned()), ErrorKind::HubUnavailable),
        (Page::Redirect(String::new()), ErrorKind::HubUnavailable),
        (Page::Announced(1 << 40), ErrorKind::HubUnavailable),
        (Page::Headed("Transfer-Encoding: chunked\r\n"), ErrorKind::HubUnavailable),
    ];
    for (page, kind) in cases {
        let (_parent, directory) = folder();
        let hub = Hub::with(&[("config.json", body("{}")), ("model.safetensors", page)]);
        let refused = assert_refused(hub.fetch(&directory), &directory, kind);
        assert!(refused.message.contains(&hub.endpoint), "{}", refused.message);
    }
}

#[test]
fn a_hub_that_cannot_be_reached_is_named() {
    let endpoint = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let (_parent, directory) = folder();
    let result = fetch(&endpoint, "owner/model", None, &directory).run(&|| false);
    let refused = assert_refused(result, &directory, ErrorKind::HubUnavailable);
    assert!(
        refused.message.starts_with(&format!("could not read from hub \"{endpoint}\": ")),
        "{}",
        refused.message
    );
}

#[test]
fn what_is_no_description_of_a_repository_is_refused() {
    for text in ["", "[]", "{}", "{\"sha\": \"../..\", \"siblings\": []}"] {
        let pages = HashMap::from([("/api/models/owner/model/revision/main".to_owned(), body(text))]);
        let (_parent, directory) = folder();
        assert_refused(Hub::new(pages).fetch(&directory), &directory, ErrorKind::HubUnavailable);
    }
}

#[test]
fn a_repository_that_does_not_exist_is_missing() {
    let (_parent, directory) = folder();
    let refused =
        assert_refused(Hub::new(HashMap::new()).fetch(&directory), &directory, ErrorKind::FileMissing);
    assert!(refused.message.contains("\"owner/model\" with revision \"main\""), "{}", refused.message);
}

#[test]
fn a_download_stops_when_nobody_wants_it() {
    let (_parent, directory) = folder();
    let hub = Hub::with(&[("model.safetensors", body("weights"))]);
    let result = fetch(&hub.endpoint, "owner/model", None, &directory).run(&|| true);
    assert_refused(result, &directory, ErrorKind::Cancelled);
}

#[test]
fn names_that_lead_elsewhere_are_refused_without_asking_the_hub() {
    let hub = Hub::with(&[("model.safetensors", body("weights"))]);
    let (_parent, directory) = folder();
    let cases = [
        ("owner/model", None, "/tmp/absolute"),
        ("owner/model", None, "a/../../b"),
        ("owner/model", None, "."),
        ("owner/model", None, ""),
        ("../model", None, "x"),
        ("owner/model/more", None, "x"),
        ("owner/model?x=", None, "x"),
        ("", None, "x"),
        ("owner/model", Some(""), "x"),
        ("owner/model", Some("a/../b"), "x"),
        ("owner/model", Some("a b"), "x"),
    ];
    for (repository, revision, folder) in cases {
        let result = fetch(&hub.endpoint, repository, revision, Path::new(folder)).run(&|| false);
        assert_refused(result, &directory, ErrorKind::InvalidRequest);
    }
    assert!(hub.seen.lock().is_empty());
}

#[test]
fn a_folder_that_exists_is_left_alone() {
    let (_parent, directory) = folder();
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("mine"), "mine").unwrap();
    let hub = Hub::with(&[("model.safetensors", body("weights"))]);
    assert!(hub.fetch(&directory).unwrap_err().message.contains("could not write to folder"));
    assert_eq!(std::fs::read(directory.join("mine")).unwrap(), b"mine");
}

#[test]
fn a_client_can_have_a_model_fetched() {
    let (_parent, directory) = folder();
    let hub = Hub::with(&[("model.safetensors", body("weights"))]);
    let fetch = |repository: &str| RequestBody::Fetch {
        repository: repository.to_owned(),
        revision: None,
        endpoint: hub.endpoint.clone(),
        token: None,
        directory: directory.to_str().unwrap().to_owned(),
    };
    let kit = Kit::new();
    let mut client = kit.client();
    let files = vec!["model.safetensors".to_owned()];
    assert_eq!(client.call(fetch("owner/model")), ReplyBody::Fetched { commit: COMMIT.to_owned(), files });
    assert_eq!(error(client.call(fetch("owner/other"))).kind, ErrorKind::FileMissing);
}

#[test]
fn what_the_hub_says_of_a_file_names_no_file() {
    let (_parent, directory) = folder();
    let headers = "ETag: \"../../../etag\"\r\nX-Linked-Etag: /tmp/ecommerce_ml_etag\r\nX-Repo-Commit: ../commit\r\n\
                   Content-Range: bytes 0-0/99999999999\r\nContent-Disposition: attachment; filename=../../x\r\n";
    let hub = Hub::with(&[
        ("model.safetensors", Page::Headed(headers)),
        ("../up.safetensors", body("up")),
        ("/tmp/ecommerce_ml_absolute.safetensors", body("absolute")),
        ("a/../../b.safetensors", body("both")),
        (".hidden.safetensors", body("hidden")),
        ("nul\0.safetensors", body("nul")),
    ]);
    assert_eq!(hub.fetch(&directory).unwrap().files, ["model.safetensors"]);
    let parent: Vec<_> = std::fs::read_dir(directory.parent().unwrap()).unwrap().collect();
    assert_eq!((parent.len(), std::fs::read_dir(&directory).unwrap().count()), (1, 1));
    assert!(!Path::new("/tmp/ecommerce_ml_etag").exists());
}

#[test]
fn a_repository_of_very_many_files_is_refused() {
    let siblings: Vec<_> =
        (0..2000).map(|shard| serde_json::json!({ "rfilename": format!("{shard}.safetensors") })).collect();
    let description = serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string();
    let pages = HashMap::from([("/api/models/owner/model/revision/main".to_owned(), body(&description))]);
    let (_parent, directory) = folder();
    let refused = assert_refused(Hub::new(pages).fetch(&directory), &directory, ErrorKind::UnsupportedModel);
    assert!(refused.message.contains("2000 files"), "{}", refused.message);
}

const TOKEN: &str = "hf_abcdefg";

fn fetch_with(endpoint: &str, token: &str, directory: &Path) -> Result<Fetched, EngineError> {
    Fetch { token: Some(Secret(token.to_owned())), ..fetch(endpoint, "owner/model", None, directory) }
        .run(&|| false)
}

/// Whether each request came with the token.
fn shown(hub: &Hub) -> Vec<bool> {
    let header = format!("authorization: bearer {TOKEN}");
    hub.seen.lock().iter().map(|head| head.to_lowercase().contains(&header)).collect()
}

#[test]
fn a_token_is_shown_to_the_hub_only() {
    let elsewhere = Hub::new(HashMap::from([("/elsewhere".to_owned(), body("weights"))]));
    let there = format!("{}/elsewhere", elsewhere.endpoint);
    let (_parent, directory) = folder();
    let hub = Hub::with(&[
        ("config.json", Page::Redirect("/cache/config".to_owned())),
        ("model-1.safetensors", Page::Redirect(there.clone())),
        ("model-2.safetensors", Page::Redirect(there.trim_start_matches("http:").to_owned())),
        ("vocab.txt", Page::Redirect(there.replace("http://", "http://127.0.0.1@"))),
    ]);
    // It has no such page of its own: the token goes along, and is refused or not.
    let error = fetch_with(&hub.endpoint, TOKEN, &directory).unwrap_err();
    assert_eq!(error.kind, ErrorKind::FileMissing);
    assert_eq!(shown(&hub), [true, true, true]);
    let hub = Hub::with(&[
        ("model-1.safetensors", Page::Redirect(there.clone())),
        ("model-2.safetensors", Page::Redirect(there.trim_start_matches("http:").to_owned())),
        ("vocab.txt", Page::Redirect(there.replace("http://", "http://127.0.0.1@"))),
    ]);
    fetch_with(&hub.endpoint, TOKEN, &directory).unwrap();
    assert_eq!(shown(&hub), [true; 4]);
    assert_eq!(shown(&elsewhere), [false; 3]);
    let heads = elsewhere.seen.lock().concat().to_lowercase();
    assert!(!heads.contains("bearer") && !heads.contains(TOKEN), "{heads}");
}

#[test]
fn a_token_that_is_refused_or_none_is_not_told() {
    for status in [401, 403] {
        let pages =
            HashMap::from([("/api/models/owner/model/revision/main".to_owned(), Page::Status(status))]);
        let hub = Hub::new(pages);
        let (_parent, directory) = folder();
        let refused =
            assert_refused(fetch_with(&hub.endpoint, TOKEN, &directory), &directory, ErrorKind::HubDenied);
        assert!(refused.hint.as_ref().unwrap().contains("ecommerce_ml.hub_token"));
        assert!(!format!("{refused:?}").contains(TOKEN));
        let refused = assert_refused(hub.fetch(&directory), &directory, ErrorKind::FileMissing);
        assert!(refused.message.contains("public"), "{}", refused.message);
        assert!(refused.hint.unwrap().contains("ecommerce_ml.hub_token"));
    }
    let hub = Hub::with(&[("model.safetensors", body("weights"))]);
    for bad in ["hf_abcdefg\r\nHost: x", "hf abcdefg", "hf_\u{e4}bcdefg", "hf_abcdefg\0"] {
        let (_parent, directory) = folder();
        let refused = fetch_with(&hub.endpoint, bad, &directory);
        let refused = assert_refused(refused, &directory, ErrorKind::InvalidRequest);
        assert!(!format!("{refused:?}").contains("bcdefg"));
    }
    assert!(hub.seen.lock().is_empty());
}
