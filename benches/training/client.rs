//! Has the engine train as the background worker has it: a process in mode `train`, a job in frames, and what it says.
//!
//! `training_client JOB.json` prints an object: `seconds` of each epoch, `total` seconds from the end of the
//! preparations to the end of the last epoch, `steps` in all, and `peak_kib`, the most memory that the process had.
//! Fields of a job: [`Order`].

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Instant;
use std::{error, fs};

use ecommerce_ml_checkpoint::files::{ModelFiles, content_address};
use ecommerce_ml_protocol::frame::decode_payload;
use ecommerce_ml_protocol::training::{
    JobInput, JobOutput, Label, Objective, Role, TrainingCall, TrainingInput, TrainingPlan, TrainingRows,
};
use ecommerce_ml_protocol::{
    FrameDecoder, Hello, Input, ModelSource, UPLOAD_CHUNK_BYTES, UploadPart, encode_frame,
};
use serde::Deserialize;

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

/// What to train.
#[derive(Deserialize)]
struct Order {
    /// The program `ecommerce_ml_engine`.
    engine: PathBuf,
    threads: usize,
    /// Folder of the model to begin with.
    base: PathBuf,
    /// As of `train_model`.
    options: serde_json::Value,
    /// Texts and their classes.
    rows: Vec<(String, String)>,
    /// Folder for the new model; none to throw it away.
    out: Option<PathBuf>,
}

/// The engine's process and our end of its standard input and output.
struct Engine {
    stream: UnixStream,
    decoder: FrameDecoder,
    process: Child,
    peak_kib: u64,
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).ok_or("usage: training_client JOB.json")?;
    let order: Order = serde_json::from_slice(&fs::read(path)?)?;
    let mut engine = Engine::start(&order)?;
    engine.order(&order)?;
    let (mut began, mut total, mut seconds, mut steps) = (Instant::now(), 0.0, Vec::new(), 0);
    let mut files = Vec::<(String, Vec<u8>)>::new();
    loop {
        match engine.output()? {
            JobOutput::Prepared(prepared) => (began, steps) = (Instant::now(), prepared.steps),
            JobOutput::Epoch(epoch) => {
                seconds.push(epoch.seconds);
                total = began.elapsed().as_secs_f64();
            }
            JobOutput::Model(UploadPart::Begin { files: list }) => {
                files = list.into_iter().map(|file| (file.name, Vec::new())).collect();
            }
            JobOutput::Model(UploadPart::Chunk { file, data }) => files[file as usize].1.extend(data),
            JobOutput::Failed(error) => return Err(error.message.into()),
            JobOutput::Finished(_) => break,
            _ => {}
        }
    }
    if let Some(folder) = &order.out {
        fs::create_dir_all(folder)?;
        files.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))?;
    }
    let peak_kib = engine.peak_kib;
    println!(
        "{}",
        serde_json::json!({ "seconds": seconds, "total": total, "steps": steps, "peak_kib": peak_kib })
    );
    Ok(())
}

impl Engine {
    fn start(order: &Order) -> Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        let process = Command::new(&order.engine)
            .args(["train", "--threads", &order.threads.to_string(), "--precision", "f32"])
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs))
            .spawn()?;
        let mut engine = Self { stream, decoder: FrameDecoder::default(), process, peak_kib: 0 };
        engine.stream.write_all(&Hello::ours().encode()?)?;
        let hello = Hello::decode(&engine.payload()?)?;
        if hello.understands(&Hello::ours()) {
            Ok(engine)
        } else {
            Err("the engine is of another build".into())
        }
    }

    fn order(&mut self, order: &Order) -> Result<()> {
        let base = ModelFiles::from_directory(&order.base).map_err(|error| error.message)?;
        let call = TrainingCall {
            objective: Objective::Classification,
            input: TrainingInput::Text,
            has_time: false,
            options: order.options.to_string(),
        };
        self.send(&JobInput::Begin(TrainingPlan {
            call,
            base: Some(ModelSource::Content(content_address(&base.manifest()))),
            incumbent: None,
            members: Vec::new(),
            memory_limit: 1 << 40,
            checkpoint_interval: 3600,
        }))?;
        let part = |part| JobInput::File { role: Role::Base, part };
        self.send(&part(UploadPart::Begin { files: base.manifest() }))?;
        for (file, (_, bytes)) in (0..).zip(base.iter()) {
            for chunk in bytes.chunks(UPLOAD_CHUNK_BYTES) {
                self.send(&part(UploadPart::Chunk { file, data: chunk.to_vec() }))?;
            }
        }
        self.send(&part(UploadPart::End))?;
        for rows in order.rows.chunks(100) {
            let texts = rows.iter().map(|(text, _)| text.clone()).collect();
            self.send(&JobInput::Rows(TrainingRows {
                input: Input::Texts(texts),
                labels: rows.iter().map(|(_, class)| Label::Class(class.clone())).collect(),
                times: Vec::new(),
                paraphrases: Vec::new(),
            }))?;
        }
        self.send(&JobInput::Start)
    }

    fn send(&mut self, input: &JobInput) -> Result<()> {
        Ok(self.stream.write_all(&encode_frame(input)?)?)
    }

    fn output(&mut self) -> Result<JobOutput> {
        let payload = self.payload()?;
        self.peak_kib = self.peak_kib.max(peak_kib(self.process.id()));
        Ok(decode_payload(&payload)?)
    }

    fn payload(&mut self) -> Result<Vec<u8>> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            if let Some(payload) = self.decoder.next_payload()? {
                return Ok(payload.to_vec());
            }
            match self.stream.read(&mut buffer)? {
                0 => return Err("the engine has ended".into()),
                count => self.decoder.push(&buffer[..count]),
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The most memory that a process has had, in KiB; 0 once it is gone.
fn peak_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}
