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

use ecommerce_ml_protocol::frame::decode_payload;
use ecommerce_ml_protocol::{FrameDecoder, Reply, ReplyBody, Request, RequestBody, RequestId, Stage};

/// Exit code of an engine that was killed by a text.
const DEATH: i32 = 3;
/// Time in which the real engine begins to work.
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
            let _ = pass_on(from, to, |_| {});
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
            look_at_reply(payload, &lonely.lock().expect("nobody panics"));
        });
    }
}

/// Passes on what comes, in a thread of its own, and shows each message before.
fn serve((from, to): (UnixStream, UnixStream), mut look: impl FnMut(&[u8]) + Send + 'static) {
    thread::spawn(move || {
        let mut decoder = FrameDecoder::default();
        let _ = pass_on(from, to, |bytes| {
            decoder.push(bytes);
            while let Ok(Some(payload)) = decoder.next_payload() {
                look(payload);
            }
        });
    });
}

fn pass_on(mut from: UnixStream, mut to: UnixStream, mut look: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let bytes = from.read(&mut buffer)?;
        if bytes == 0 {
            return to.shutdown(Shutdown::Write);
        }
        look(&buffer[..bytes]);
        to.write_all(&buffer[..bytes])?;
    }
}

fn look_at_request(payload: &[u8], lonely: &mut Lonely) {
    match decode_payload(payload) {
        Ok(Request { id, body: RequestBody::Alone }) => {
            lonely.announced.insert(id);
        }
        Ok(Request { id, body }) if format!("{body:?}").contains("DEADLY") => {
            if !lonely.announced.contains(&id) {
                return die_soon();
            }
            lonely.armed.insert(id);
        }
        _ => {}
    }
}

fn look_at_reply(payload: &[u8], lonely: &Lonely) {
    let Ok(Reply { id, body: ReplyBody::Began { stage: Stage::Answering, .. } }) = decode_payload(payload)
    else {
        return;
    };
    if lonely.armed.contains(&id) {
        die_soon();
    }
}

/// Once what was looked at has been passed on.
fn die_soon() {
    thread::spawn(|| {
        thread::sleep(AGONY);
        exit(DEATH);
    });
}
