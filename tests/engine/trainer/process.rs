//! The program in mode `train`, as the background worker runs it.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::Job;
use ecommerce_ml_protocol::training::{JobInput, JobOutput, Objective, Role};
use ecommerce_ml_protocol::{ErrorKind, FrameDecoder, Hello, UPLOAD_CHUNK_BYTES, UploadPart, encode_frame};
use serde_json::json;

use crate::kit::{Row, Said, job, job_of, sent, two_classes};
use crate::support::root;

/// An engine and our end of its standard input and output; killed when the test ends.
struct Worker {
    stream: UnixStream,
    decoder: FrameDecoder,
    engine: Child,
}

impl Worker {
    fn start(arguments: &[&str]) -> Self {
        let (stream, theirs) = UnixStream::pair().unwrap();
        let engine = Command::new(env!("CARGO_BIN_EXE_ecommerce_ml_engine"))
            .arg("train")
            .args(arguments)
            .stdin(OwnedFd::from(theirs.try_clone().unwrap()))
            .stdout(OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        let mut worker = Self { stream, decoder: FrameDecoder::default(), engine };
        worker.stream.write_all(&Hello::ours().encode().unwrap()).unwrap();
        let hello = worker.receive(Hello::decode).unwrap();
        assert!(hello.understands(&Hello::ours()));
        worker
    }

    fn send(&mut self, input: &JobInput) {
        self.stream.write_all(&encode_frame(input).unwrap()).unwrap();
    }

    fn send_job(&mut self, job: Job) {
        self.send(&JobInput::Begin(job.plan));
        let part = |part| JobInput::File { role: Role::Base, part };
        let base = job.base.unwrap();
        self.send(&part(UploadPart::Begin { files: base.manifest() }));
        for (file, (_, bytes)) in (0..).zip(base.iter()) {
            for chunk in bytes.chunks(UPLOAD_CHUNK_BYTES) {
                self.send(&part(UploadPart::Chunk { file, data: chunk.to_vec() }));
            }
        }
        self.send(&part(UploadPart::End));
        job.rows.into_iter().for_each(|rows| self.send(&JobInput::Rows(rows)));
        self.send(&JobInput::Start);
    }

    fn receive<T>(
        &mut self,
        decode: impl Fn(&[u8]) -> Result<T, ecommerce_ml_protocol::DecodeError>,
    ) -> Option<T> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            if let Some(payload) = self.decoder.next_payload().unwrap() {
                return Some(decode(payload).unwrap());
            }
            match self.stream.read(&mut buffer).unwrap() {
                0 => return None,
                count => self.decoder.push(&buffer[..count]),
            }
        }
    }

    fn output(&mut self) -> Option<JobOutput> {
        self.receive(ecommerce_ml_protocol::frame::decode_payload)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.engine.kill();
        let _ = self.engine.wait();
    }
}

fn toy() -> Job {
    toy_of(two_classes(40))
}

/// Rows come in many messages.
fn toy_of(rows: Vec<Row>) -> Job {
    let parts = rows.chunks(7).map(sent).collect();
    let options = json!({ "num_train_epochs": 2 });
    Job { rows: parts, ..job("bert-classification-3", Objective::Classification, options, rows) }
}

#[test]
fn a_job_goes_in_and_a_model_comes_out() {
    let mut worker = Worker::start(&["--threads", "1", "--precision", "f32"]);
    let mut job = toy();
    job.plan.checkpoint_interval = 0;
    worker.send_job(job);
    let mut said = Said::default();
    while said.finished.is_none() {
        said.take(worker.output().expect("it goes on until it has finished"));
    }
    assert!(worker.output().is_none());
    assert!(worker.engine.wait().unwrap().success());
    assert_eq!(said.model(), crate::kit::run(toy()).model());
    assert_eq!(said.checkpoints.len(), 4, "one after each update");
}

/// Most memory that a process has had, in bytes.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
}

#[test]
fn memory_is_estimated_before_it_is_taken() {
    let base = ModelFiles::from_directory(&root().join("models/reviews")).unwrap();
    for tuning in ["full", "lora", "head"] {
        let options = json!({ "num_train_epochs": 1, "tuning": tuning, "max_length": 128 });
        let mut rows = two_classes(24);
        rows.iter_mut().for_each(|row| row.text = format!("{} ", row.text).repeat(20));
        let mut job = job_of(base.clone(), Objective::Classification, options, rows);
        job.plan.memory_limit = 4 << 30;
        let mut worker = Worker::start(&["--threads", "2", "--precision", "f32"]);
        worker.send_job(job);
        let mut said = Said::default();
        let mut taken = 0;
        while said.finished.is_none() {
            taken = taken.max(peak(worker.engine.id()));
            said.take(worker.output().expect("it goes on until it has finished"));
        }
        let estimated = said.prepared.unwrap().memory;
        assert!(
            taken <= estimated && estimated < 2 * taken,
            "{tuning}: {estimated} estimated, {taken} taken"
        );
    }
}

#[test]
fn failures_are_told_and_end_it_well() {
    let mut worker = Worker::start(&[]);
    worker.send_job(toy_of(two_classes(3)));
    let Some(JobOutput::Failed(error)) = worker.output() else { panic!("it has to fail") };
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
    assert!(worker.output().is_none());
    assert!(worker.engine.wait().unwrap().success());
}

#[test]
fn what_is_no_job_is_refused() {
    for inputs in [vec![JobInput::Start], vec![JobInput::Rows(sent(&two_classes(8))), JobInput::Start]] {
        let mut worker = Worker::start(&[]);
        inputs.iter().for_each(|input| worker.send(input));
        let Some(JobOutput::Failed(error)) = worker.output() else { panic!("it has to fail") };
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        assert!(worker.engine.wait().unwrap().success());
    }
    let mut worker = Worker::start(&[]);
    worker.stream.write_all(&[3, 0, 0, 0, 255, 255, 255]).unwrap();
    let Some(JobOutput::Failed(error)) = worker.output() else { panic!("it has to fail") };
    assert!(error.message.starts_with("malformed training job"), "{error:?}");
}

#[test]
fn it_ends_with_its_worker() {
    let mut worker = Worker::start(&[]);
    let mut job = toy();
    job.plan.call.options = json!({ "num_train_epochs": 1000 }).to_string();
    worker.send_job(job);
    assert!(matches!(worker.output(), Some(JobOutput::Prepared(_))));
    worker.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(worker.engine.wait().unwrap().success());
    let mut unborn = Worker::start(&[]);
    unborn.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(unborn.engine.wait().unwrap().success());
}

#[test]
fn plain_pipes_will_do() {
    let mut engine = Command::new(env!("CARGO_BIN_EXE_ecommerce_ml_engine"))
        .arg("train")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = engine.stdin.take().unwrap();
    input.write_all(&Hello::ours().encode().unwrap()).unwrap();
    input.write_all(&encode_frame(&JobInput::Start).unwrap()).unwrap();
    let mut bytes = Vec::new();
    engine.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
    let mut decoder = FrameDecoder::default();
    decoder.push(&bytes);
    assert!(decoder.next_payload().unwrap().is_some());
    assert!(matches!(decoder.next_message().unwrap(), Some(JobOutput::Failed(_))));
    assert!(engine.wait().unwrap().success());
}
