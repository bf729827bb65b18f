//! Stands in the place of the engine and passes everything on to the real one, beside it under the name `real_engine`, until
//! a request holds the word `DEADLY`: then it ends with [`DEATH`], as an engine would that a text kills. A request that the
//! engine is to answer alone kills it once the real engine has begun with the text.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, exit};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ecommerce_ml_protocol::frame::{decode_payload, frame_payload};
use ecommerce_ml_protocol::{FrameDecoder, Reply, ReplyBody, Request, RequestBody, RequestId, Stage};

/// Exit code of an engine that was killed by a text.
const DEATH: i32 = 3;
/// Time in which others are answered before it ends.
const AGONY: Duration = Duration::from_millis(20);

/// What one client asks for alone.
#[derive(Default)]
struct Lonely {
    /// Requests that are announced.
    announced: HashSet<RequestId>,
    /// Those of them that are deadly.
    armed: HashSet<RequestId>,
}

fn main() -> io::Result<()> {
    let program = std::env::args_os().next().unwrap_or_default();
    let mut real = Command::new(Path::new(&program).with_file_name("real_engine"));
    real.args(std::env::args_os().skip(1));
    if !std::env::args().any(|argument| argument == "serve") {
        return Err(real.exec());
    }
    let outer = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    let lifeline = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    let socket = format!("pgsql_tmp_ecommerce_ml/inner.{}", std::process::id());
    let (ours, its) = UnixStream::pair()?;
    real.stdin(OwnedFd::from(UnixListener::bind(&socket)?)).stdout(OwnedFd::from(its));
    let mut child = real.spawn()?;
    drop(real);
    thread::spawn(move || exit(child.wait().ok().and_then(|status| status.code()).unwrap_or(1)));
    for (from, to) in [(lifeline.try_clone()?, ours.try_clone()?), (ours, lifeline)] {
        thread::spawn(move || {
            let _ = pass_on(from, to);
            exit(0);
        });
    }
    loop {
        let (client, _) = outer.accept()?;
        let engine = UnixStream::connect(&socket)?;
        let lonely = Arc::<Mutex<Lonely>>::default();
        serve((client.try_clone()?, engine.try_clone()?), {
            let lonely = Arc::clone(&lonely);
            move |payload| look_at_request(payload, &mut lonely.lock().expect("nobody panics"))
        });
        serve((engine, client), move |payload| {
            look_at_reply(payload, &lonely.lock().expect("nobody panics"))
        });
    }
}

/// What becomes of a message.
enum Fate {
    PassedOn,
    /// It is passed on, and then the engine ends.
    Last,
    /// The engine ends of it.
    Deadly,
}

/// Passes on messages, in a thread of its own, until one of them is deadly.
fn serve((mut from, mut to): (UnixStream, UnixStream), mut look: impl FnMut(&[u8]) -> Fate + Send + 'static) {
    thread::spawn(move || -> io::Result<()> {
        let (mut decoder, mut buffer) = (FrameDecoder::default(), vec![0; 64 << 10]);
        loop {
            let bytes = from.read(&mut buffer)?;
            if bytes == 0 {
                return to.shutdown(Shutdown::Write);
            }
            decoder.push(&buffer[..bytes]);
            while let Some(payload) = decoder.next_payload().map_err(io::Error::other)? {
                let fate = look(payload);
                if !matches!(fate, Fate::Deadly) {
                    to.write_all(&frame_payload(payload).map_err(io::Error::other)?)?;
                }
                if !matches!(fate, Fate::PassedOn) {
                    thread::sleep(AGONY);
                    exit(DEATH);
                }
            }
        }
    });
}

fn pass_on(mut from: UnixStream, mut to: UnixStream) -> io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        let bytes = from.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..bytes])?;
    }
}

fn look_at_request(payload: &[u8], lonely: &mut Lonely) -> Fate {
    match decode_payload(payload) {
        Ok(Request { id, body: RequestBody::Alone }) => {
            lonely.announced.insert(id);
        }
        Ok(Request { id, body }) if format!("{body:?}").contains("DEADLY") => {
            if !lonely.announced.contains(&id) {
                return Fate::Deadly;
            }
            lonely.armed.insert(id);
        }
        _ => {}
    }
    Fate::PassedOn
}

fn look_at_reply(payload: &[u8], lonely: &Lonely) -> Fate {
    match decode_payload(payload) {
        Ok(Reply { id, body: ReplyBody::Began { stage: Stage::Answering, .. } })
            if lonely.armed.contains(&id) =>
        {
            Fate::Last
        }
        _ => Fate::PassedOn,
    }
}
