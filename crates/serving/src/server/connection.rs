//! One client, from greeting to goodbye.
//!
//! Invariant: when it returns, everything that the client had open has been dropped.

use std::io;
use std::sync::Arc;

use ecommerce_ml_log::note;
use ecommerce_ml_protocol::Hello;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;

use super::Answers;
use super::frames::{Frames, Goodbye};
use super::gate::{Gate, Shared};
use super::outbox::outbox;
use super::requests::Requests;

/// Serves a client until it leaves or misbehaves.
pub(super) async fn run<A: Answers>(stream: UnixStream, engine: Arc<A>, shared: Arc<Shared>) {
    let _counted = engine.activity().connection();
    if let Err(goodbye) = converse(stream, Arc::clone(&engine), shared).await {
        note(&format!("connection closed: {goodbye}"));
    }
}

async fn converse<A: Answers>(
    stream: UnixStream,
    engine: Arc<A>,
    shared: Arc<Shared>,
) -> Result<(), Goodbye> {
    let (reader, mut writer) = stream.into_split();
    let mut frames = Frames::new(reader);
    greet(&mut writer).await?;
    let Some(hello) = frames.hello().await? else { return Ok(()) };
    if !Hello::ours().understands(&hello) {
        return Err(Goodbye::Stranger(hello.build));
    }
    let (outbox, written) = outbox();
    let gate = Gate::new(shared);
    let requests = Requests::new(engine, Arc::clone(&gate), outbox);
    tokio::select! {
        result = read(frames, &gate, &requests) => result,
        // Whether the client left or was cut off, there is nobody to read for.
        _ = written.run(writer) => Ok(()),
    }
}

/// Before listening, so that builds which don't understand each other both know.
async fn greet(writer: &mut OwnedWriteHalf) -> Result<(), Goodbye> {
    match writer.write_all(&Hello::ours().encode()?).await {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

async fn read<A: Answers>(
    mut frames: Frames,
    gate: &Gate,
    requests: &Arc<Requests<A>>,
) -> Result<(), Goodbye> {
    loop {
        tokio::select! {
            biased;
            () = gate.open() => {}
            () = frames.gone() => return Ok(()),
        }
        let Some(request) = frames.request().await? else { return Ok(()) };
        requests.take(request).await?;
    }
}
