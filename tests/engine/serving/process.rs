//! The program itself: what it inherits, when it ends, what it says.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use ecommerce_ml_checkpoint::files::{ModelFiles, content_address};
use ecommerce_ml_protocol::{
    Answers, EngineStats, ErrorKind, Hello, Input, ModelRef, ModelSource, Purpose, ReplyBody, RequestBody,
    RequestId, UPLOAD_CHUNK_BYTES, UploadPart,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, answered, error};
use crate::kit::{BUILTIN, builtin, wait_until};

/// An engine started as the background worker starts it; killed when the test ends, however it ends.
struct Worker {
    /// Our end of the lifeline; `None` once closed.
    lifeline: Option<UnixStream>,
    engine: Child,
}

impl Worker {
    fn start(listener: &UnixListener, arguments: &[&str]) -> Self {
        let (lifeline, theirs) = UnixStream::pair().unwrap();
        let engine = engine()
            .arg("serve")
            .args(arguments)
            .stdin(OwnedFd::from(listener.try_clone().unwrap()))
            .stdout(OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        Self { lifeline: Some(lifeline), engine }
    }

    /// Waits for the engine to end by itself.
    fn ended(&mut self) -> ExitStatus {
        let stat = format!("/proc/{}/stat", self.engine.id());
        wait_until(|| fs::read_to_string(&stat).unwrap().contains(") Z "));
        self.engine.wait().unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.engine.kill();
        let _ = self.engine.wait();
    }
}

fn engine() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ecommerce_ml_engine"))
}

fn listen(directory: &TempDir) -> (UnixListener, PathBuf) {
    let path = directory.path().join("socket");
    (UnixListener::bind(&path).unwrap(), path)
}

fn stats(socket: &Path) -> EngineStats {
    match Client::connect(socket).call(RequestBody::Stats) {
        ReplyBody::Stats(stats) => stats,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_ends_with_its_worker() {
    let directory = TempDir::new().unwrap();
    let (listener, socket) = listen(&directory);
    let mut worker = Worker::start(&listener, &["--restarts", "2"]);
    assert_eq!(stats(&socket).restarts, 2);
    worker.lifeline = None;
    assert!(worker.ended().success());
}

#[test]
fn it_answers_heartbeats_over_its_lifeline() {
    let directory = TempDir::new().unwrap();
    let (listener, _) = listen(&directory);
    let worker = Worker::start(&listener, &[]);
    let mut lifeline = worker.lifeline.as_ref().unwrap();
    lifeline.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    for _ in 0..3 {
        lifeline.write_all(&[0]).unwrap();
        assert_eq!(lifeline.read(&mut [0; 64]).unwrap(), 1);
    }
}

#[test]
fn clients_wait_at_the_socket_while_it_is_started_again() {
    let directory = TempDir::new().unwrap();
    let (listener, socket) = listen(&directory);
    let first = Worker::start(&listener, &[]);
    assert_eq!(stats(&socket).pid, first.engine.id());
    drop(first);
    let mut waiting = Client::silent(&socket);
    waiting.stream.write_all(&Hello::ours().encode().unwrap()).unwrap();
    let _second = Worker::start(&listener, &["--restarts", "1"]);
    waiting.hello();
    assert!(matches!(waiting.call(RequestBody::Stats), ReplyBody::Stats(stats) if stats.restarts == 1));
}

#[test]
fn it_ends_when_idle_although_clients_are_connected() {
    let directory = TempDir::new().unwrap();
    let (listener, socket) = listen(&directory);
    let mut worker = Worker::start(&listener, &["--idle-timeout", "1"]);
    let mut client = Client::connect(&socket);
    client.call(RequestBody::Stats);
    assert!(worker.ended().success());
    assert_eq!(client.try_receive(), None);
}

#[test]
fn it_is_the_first_that_the_kernel_ends() {
    let directory = TempDir::new().unwrap();
    let (listener, socket) = listen(&directory);
    let worker = Worker::start(&listener, &["--threads", "1"]);
    let stats = stats(&socket);
    let score = fs::read_to_string(format!("/proc/{}/oom_score_adj", stats.pid)).unwrap();
    assert_eq!(score.trim(), "1000");
    // Kept across the start with another environment.
    assert_eq!((stats.pid, stats.threads), (worker.engine.id(), 1));
    let environment = fs::read_to_string(format!("/proc/{}/environ", stats.pid)).unwrap();
    assert!(environment.contains("RAYON_NUM_THREADS=1\0"));
}

#[test]
fn a_device_or_precision_that_is_not_there_is_an_answer() {
    for arguments in [["--device", "cuda"], ["--precision", "bf16"]] {
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join(BUILTIN)).unwrap();
        fs::write(directory.path().join(BUILTIN).join("config.json"), "{}").unwrap();
        let (listener, socket) = listen(&directory);
        let builtins = directory.path().to_str().unwrap();
        let _worker = Worker::start(&listener, &[&arguments[..], &["--builtin", builtins]].concat());
        let mut client = Client::connect(&socket);
        for _ in 0..2 {
            let refused = error(client.call(RequestBody::Describe { model: builtin() }));
            let is_missing = refused.kind == ErrorKind::DeviceMissing && cfg!(feature = "cuda");
            assert!(is_missing || refused.kind == ErrorKind::NotCompiledIn, "{refused:?}");
            assert!(refused.hint.is_some());
        }
    }
}

#[test]
fn it_binds_a_socket_of_its_own() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("own");
    let engine = engine().arg("serve").arg("--socket").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    let worker = Worker { lifeline: None, engine };
    wait_until(|| UnixStream::connect(&socket).is_ok());
    assert_eq!(stats(&socket).pid, worker.engine.id());
}

fn run(arguments: &[&str], input: &str) -> Output {
    let piped = || Stdio::piped();
    let mut child = engine().args(arguments).stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn it_says_what_it_is_and_what_was_wrong() {
    let version = run(&["--version"], "");
    assert_eq!(version.stdout, format!("ecommerce_ml_engine {}\n", env!("CARGO_PKG_VERSION")).into_bytes());
    assert!(String::from_utf8(run(&["--help"], "").stdout).unwrap().contains("--model-cache BYTES"));
    for arguments in [&["serv"][..], &["serve", "--thread", "2"], &["predict"], &[]] {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stderr.starts_with(b"ecommerce_ml engine: "));
    }
    let missing = run(&["predict", "--model", "/nowhere"], "");
    assert_eq!(missing.status.code(), Some(1));
    // Not started as a worker starts it: no socket to listen on.
    assert_eq!(run(&["serve"], "").status.code(), Some(1));
}

/// Folder of the tiny models that the reference made.
fn tiny_models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/models")
}

const TINY: &str = "bert-classification-3";

fn lines(arguments: &[&str], input: &str) -> Vec<Value> {
    let model = tiny_models().join(TINY);
    let output = run(&[&["predict", "--model", model.to_str().unwrap()], arguments].concat(), input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn predict_answers_line_by_line() {
    let input: String = (0..600).map(|index| format!("good product number {index}\n\n")).collect();
    let (rows, in_small_batches) = (lines(&[], &input), lines(&["--batch-tokens", "64"], &input));
    assert_eq!(rows.len(), 1200);
    assert!(rows.chunks(2).all(|pair| pair[0].is_object() && pair[1].is_null()));
    let score = |row: &Value| row["score"].as_f64();
    for (row, same) in rows.iter().zip(&in_small_batches).step_by(2) {
        assert!((score(row).unwrap() - score(same).unwrap()).abs() < 1e-4);
    }
}

#[test]
fn predict_embeds_and_tokenizes() {
    let embedded = lines(&["--task", "embed", "--json"], "\"two\\nlines\"\n");
    let norm: f64 = embedded[0].as_array().unwrap().iter().map(|x| x.as_f64().unwrap().powi(2)).sum();
    assert!((norm - 1.0).abs() < 1e-4);
    assert!(lines(&["--task", "tokenize"], "good\n")[0].as_array().unwrap().len() >= 3);
}

#[test]
fn a_model_that_was_sent_answers_like_the_built_in_one() {
    let directory = TempDir::new().unwrap();
    let (listener, socket) = listen(&directory);
    let _worker = Worker::start(&listener, &["--builtin", tiny_models().to_str().unwrap()]);
    let mut client = Client::connect(&socket);
    let mut ask = |source| {
        let texts = vec!["a good product".to_owned(), " ".to_owned(), "terrible ".repeat(500)];
        let id = client.send(request(ModelRef { source, pinned: false, purpose: Purpose::Predict }, texts));
        let reply = client.receive();
        if matches!(reply.body, ReplyBody::NeedContent(_)) {
            send_files(&mut client, id);
            return predictions(client.receive().body);
        }
        predictions(reply.body)
    };
    let built_in = ask(ModelSource::Builtin(TINY.to_owned()));
    let sha = content_address(&ModelFiles::from_directory(&tiny_models().join(TINY)).unwrap().manifest());
    let sent = ask(ModelSource::Content(sha));
    // A sum may be taken in another order when other texts are in the batch.
    let close = |a: f32, b: f32| (a - b).abs() < 1e-5;
    assert!(sent.iter().zip(&built_in).all(|(a, b)| match (a, b) {
        (Some(a), Some(b)) => a.iter().zip(b).all(|(&a, &b)| close(a, b)),
        (None, None) => true,
        _ => false,
    }));
    assert!(built_in[0].is_some() && built_in[1].is_none() && built_in[2].is_some());
    assert_eq!(stats(&socket).models.len(), 2);
}

#[test]
fn an_engine_that_is_started_again_has_its_models() {
    let directory = TempDir::new().unwrap();
    let (listener, socket) = listen(&directory);
    let weights = directory.path().join("weights");
    let files = ModelFiles::from_directory(&tiny_models().join(TINY)).unwrap();
    let model = ModelRef {
        source: ModelSource::Content(content_address(&files.manifest())),
        pinned: false,
        purpose: Purpose::Predict,
    };
    let mut answers = Vec::new();
    for sent in [true, false, true] {
        let _worker = Worker::start(&listener, &["--weights-cache", weights.to_str().unwrap()]);
        let mut client = Client::connect(&socket);
        let texts = vec!["a good product".to_owned()];
        let id = client.send(request(model.clone(), texts));
        let mut reply = client.receive().body;
        assert_eq!(matches!(reply, ReplyBody::NeedContent(_)), sent);
        if sent {
            send_files(&mut client, id);
            reply = client.receive().body;
        }
        answers.push(predictions(reply));
        let kept: Vec<_> = fs::read_dir(&weights).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(kept.len(), 1);
        if !sent {
            // What is damaged is asked for again.
            let mut bytes = fs::read(&kept[0]).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::remove_file(&kept[0]).unwrap();
            fs::write(&kept[0], bytes).unwrap();
        }
    }
    assert!(answers.iter().all(|answer| answer[0].is_some() && *answer == answers[0]));
}

fn send_files(client: &mut Client, id: RequestId) {
    let files = ModelFiles::from_directory(&tiny_models().join(TINY)).unwrap();
    let manifest = files.manifest();
    client.part(id, UploadPart::Begin { files: manifest.clone() });
    for (file, entry) in (0..).zip(&manifest) {
        for data in files.get(&entry.name).unwrap().chunks(UPLOAD_CHUNK_BYTES) {
            client.part(id, UploadPart::Chunk { file, data: data.to_vec() });
        }
    }
    client.part(id, UploadPart::End);
}

fn request(model: ModelRef, texts: Vec<String>) -> RequestBody {
    RequestBody::Predict {
        model,
        input: Input::Texts(texts),
        output: ecommerce_ml_protocol::Output::Prediction,
    }
}

/// Probabilities.
fn predictions(body: ReplyBody) -> Vec<Option<Vec<f32>>> {
    match answered(body).0 {
        Answers::Classes { probabilities, .. } => probabilities,
        other => panic!("{other:?}"),
    }
}
