//! One client, from greeting to end.
//!
//! Invariant: when it returns, everything that the client had open has been dropped.

use std::io;
use std::sync::Arc;

use ecommerce_ml_log::note;
use ecommerce_ml_protocol::Hello;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;

use super::RequestHandler;
use super::backpressure::{Backpressure, Shared};
use super::frames::{ConnectionError, Frames};
use super::requests::Requests;
use super::writer::reply_channel;

/// Serves a client until it leaves or misbehaves.
pub(super) async fn run<A: RequestHandler>(stream: UnixStream, engine: Arc<A>, shared: Arc<Shared>) {
    let _counted = engine.activity().connection();
    if let Err(error) = serve_client(stream, Arc::clone(&engine), shared).await {
        note(&format!("connection closed: {error}"));
    }
}

async fn serve_client<A: RequestHandler>(
    stream: UnixStream,
    engine: Arc<A>,
    shared: Arc<Shared>,
) -> Result<(), ConnectionError> {
    let (reader, mut writer) = stream.into_split();
    let mut frames = Frames::new(reader);
    greet(&mut writer).await?;
    let Some(hello) = frames.hello().await? else { return Ok(()) };
    if !Hello::ours().understands(&hello) {
        return Err(ConnectionError::OtherBuild(hello.build));
    }
    let (replies, writer_task) = reply_channel();
    let backpressure = Backpressure::new(shared);
    let requests = Requests::new(engine, Arc::clone(&backpressure), replies);
    tokio::select! {
        result = read(frames, &backpressure, &requests) => result,
        // Whether the client left or was cut off, there is nobody to read for.
        _ = writer_task.run(writer) => Ok(()),
    }
}

/// Before listening, so that builds which don't understand each other both know.
async fn greet(writer: &mut OwnedWriteHalf) -> Result<(), ConnectionError> {
    match writer.write_all(&Hello::ours().encode()?).await {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

async fn read<A: RequestHandler>(
    mut frames: Frames,
    backpressure: &Backpressure,
    requests: &Arc<Requests<A>>,
) -> Result<(), ConnectionError> {
    loop {
        tokio::select! {
            biased;
            () = backpressure.open() => {}
            () = frames.gone() => return Ok(()),
        }
        let Some(request) = frames.request().await? else { return Ok(()) };
        requests.take(request).await?;
    }
}
