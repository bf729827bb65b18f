//! Mode `train`: a job from standard input, what becomes of it to standard output.
//!
//! It must not know how to train, or which kind does. Invariant: the worker hears of every failure, be it a panic; and the process ends when
//! the worker's end of standard input is closed.

use std::io::{self, Read, Write};
use std::thread;

use ecommerce_ml_log::note;
use ecommerce_ml_predictor::{Job, JobAssembler, Sink, guarded};
use ecommerce_ml_protocol::frame::decode_payload;
use ecommerce_ml_protocol::training::{JobInput, JobOutput};
use ecommerce_ml_protocol::{BUILD, EngineError, ErrorKind, FrameDecoder, Hello, encode_frame};
use ecommerce_ml_text::ModelLoader;
use ecommerce_ml_text::scheduler::SchedulerOptions;

use crate::cli::Train;
use crate::process;
use crate::registry::Registry;

/// Bytes that are read at a time.
const READ_BYTES: usize = 256 << 10;

/// Bytes for what a text model says of texts: those of the rows held out are read while features are made, and again when the new
/// model is asked as queries will.
const RESULT_CACHE: u64 = 64 << 20;

/// Messages off standard input.
struct MessageReader<R> {
    stream: R,
    decoder: FrameDecoder,
    buffer: Box<[u8]>,
}

/// Messages to the worker.
struct MessageWriter<W>(W);

/// What came of reading a job.
enum JobRead {
    Job(Box<Job>),
    Failed(EngineError),
}

/// Trains what the worker asks for.
///
/// # Errors
/// If the worker can't be talked to: it is gone, or of another build.
pub fn run(options: Train) -> io::Result<()> {
    process::volunteer_for_oom_killer();
    let mut writer = MessageWriter(io::stdout());
    writer.write(&Hello::ours().encode().map_err(io::Error::other)?)?;
    let mut reader = MessageReader::new(io::stdin());
    if !reader.greeted()? {
        return Ok(());
    }
    let job = match reader.job(JobAssembler::new(options.builtin)) {
        Ok(Some(JobRead::Job(job))) => job,
        Ok(Some(JobRead::Failed(error))) => return writer.write_message(&JobOutput::Failed(error)),
        Ok(None) => return Ok(()),
        Err(error) => return Err(error),
    };
    exit_with_worker(reader)?;
    let tokenizing_threads = options.compute.count_threads();
    let scheduling = SchedulerOptions { tokenizing_threads, batch_tokens: None, result_cache: RESULT_CACHE };
    let registry = Registry::start(ModelLoader::new(&options.compute, None), scheduling)?;
    match guarded(|| registry.trainer(&job.plan.call)?.train(*job, &registry, &mut writer)) {
        Ok(()) => Ok(()),
        Err(error) => writer.write_message(&JobOutput::Failed(error)),
    }
}

/// Ends the process when standard input does: the worker is gone, or wants no more.
fn exit_with_worker<R: Read + Send + 'static>(mut reader: MessageReader<R>) -> io::Result<()> {
    let wait = move || {
        // Nothing more is to come, but what does must not end the wait.
        while matches!(reader.stream.read(&mut reader.buffer), Ok(1..)) {}
        note("the worker is gone, exiting");
        std::process::exit(0);
    };
    thread::Builder::new().name("lifeline".to_owned()).spawn(wait).map(drop)
}

impl<R: Read> MessageReader<R> {
    fn new(stream: R) -> Self {
        Self { stream, decoder: FrameDecoder::default(), buffer: vec![0; READ_BYTES].into() }
    }

    /// Whether a worker of this build is there; `false` if it left.
    fn greeted(&mut self) -> io::Result<bool> {
        let Some(hello) = self.next(Hello::decode)? else { return Ok(false) };
        if hello.understands(&Hello::ours()) {
            return Ok(true);
        }
        Err(io::Error::other(format!("worker is of build {}, this engine of build {BUILD}", hello.build)))
    }

    /// Reads until everything has come; `None` if the worker left before.
    ///
    /// What comes after a failure is read and passed over, so that the worker isn't interrupted while it sends.
    fn job(&mut self, mut collector: JobAssembler) -> io::Result<Option<JobRead>> {
        let mut failed = None;
        loop {
            let Some(input) = self.next(decode_payload::<JobInput>).transpose() else { return Ok(None) };
            let input = match input {
                Ok(input) => input,
                Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
                Err(error) => {
                    let message = format!("malformed training job: {error}");
                    return Ok(Some(JobRead::Failed(EngineError::new(ErrorKind::InvalidRequest, message))));
                }
            };
            let is_last = input == JobInput::Start;
            if failed.is_none() {
                match guarded(|| collector.accept(input)) {
                    Ok(Some(job)) => return Ok(Some(JobRead::Job(Box::new(job)))),
                    Ok(None) => {}
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed.take_if(|_| is_last) {
                return Ok(Some(JobRead::Failed(error)));
            }
        }
    }

    fn next<T>(
        &mut self,
        decode: impl Fn(&[u8]) -> Result<T, ecommerce_ml_protocol::DecodeError>,
    ) -> io::Result<Option<T>> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        loop {
            if let Some(payload) = self.decoder.next_payload().map_err(invalid)? {
                return decode(payload).map(Some).map_err(invalid);
            }
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => self.decoder.push(&self.buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<W: Write> MessageWriter<W> {
    fn write_message(&mut self, output: &JobOutput) -> io::Result<()> {
        self.write(&encode_frame(output).map_err(io::Error::other)?)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }
}

impl<W: Write + Send> Sink for MessageWriter<W> {
    fn send(&mut self, output: JobOutput) -> Result<(), EngineError> {
        let gone = |error| EngineError::new(ErrorKind::Cancelled, format!("the worker is gone: {error}"));
        self.write_message(&output).map_err(gone)
    }
}
