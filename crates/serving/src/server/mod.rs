//! Connections of all clients: one thread, no waiting for anyone.
//!
//! # Layout
//! - [`connection`]: one client, from greeting to end.
//! - [`frames`]: messages off a socket.
//! - [`requests`]: the open requests of a connection.
//! - [`backpressure`]: when a connection is read from no further.
//! - [`turns`]: which requests are worked on at a time.
//! - [`writer`]: replies on their way to a client.
//!
//! It must not know what requests mean; the [`RequestHandler`] does.
//! Invariant: whatever a client sends or fails to read, at worst its own connection is closed.

mod backpressure;
mod connection;
mod frames;
mod requests;
mod turns;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ecommerce_ml_log::note;
use ecommerce_ml_protocol::{EngineError, ReplyBody, RequestBody};
use tokio::net::UnixListener;
use tokio::time::sleep;

use crate::activity::Activity;
use crate::cache::Client;
use backpressure::Shared;

/// Who knows what requests mean.
pub trait RequestHandler: Send + Sync + 'static {
    /// What is going on: connections and requests.
    fn activity(&self) -> &Arc<Activity>;

    /// Answers a request; `client` is asked if a model has to be sent. Dropping the future stops the work.
    ///
    /// # Errors
    /// Whatever kept the request from being answered.
    fn answer(
        &self,
        body: RequestBody,
        client: &Client,
    ) -> impl Future<Output = Result<ReplyBody, EngineError>> + Send;
}

/// Pause after a connection couldn't be accepted: most likely there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves clients until there has been no request for `idle_timeout`; forever without one.
///
/// # Errors
/// None at present: what fails is a connection, not the server.
pub async fn serve<A: RequestHandler>(
    listener: UnixListener,
    engine: Arc<A>,
    idle_timeout: Option<Duration>,
) -> io::Result<()> {
    let shared = Arc::new(Shared::default());
    tokio::select! {
        () = accept_all(listener, Arc::clone(&engine), shared) => {}
        () = idle(&*engine, idle_timeout) => {}
    }
    Ok(())
}

async fn accept_all<A: RequestHandler>(listener: UnixListener, engine: Arc<A>, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection::run(stream, Arc::clone(&engine), Arc::clone(&shared)));
            }
            Err(error) => {
                note(&format!("could not accept a connection: {error}"));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn idle(engine: &impl RequestHandler, timeout: Option<Duration>) {
    let Some(timeout) = timeout else { return std::future::pending().await };
    loop {
        let idle = engine.activity().idle();
        if idle >= timeout {
            return;
        }
        sleep(timeout - idle).await;
    }
}
