//! Connections of all clients: one thread, no waiting for anyone.
//!
//! # Layout
//! - [`connection`]: one client, from greeting to goodbye.
//! - [`frames`]: messages off a socket.
//! - [`requests`]: the open requests of a connection.
//! - [`gate`]: when a connection is read from no further.
//! - [`outbox`]: replies on their way to a client.
//!
//! It must not know what requests mean; [`Engine`] does.
//! Invariant: whatever a client sends or fails to read, at worst its own connection is closed.

mod connection;
mod frames;
mod gate;
mod outbox;
mod requests;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::time::sleep;

use crate::engine::Engine;
use gate::Shared;

/// Pause after a connection couldn't be accepted: most likely there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves clients until there has been no request for `idle_timeout`; forever without one.
///
/// # Errors
/// None at present: what fails is a connection, not the server.
pub async fn serve(
    listener: UnixListener,
    engine: Arc<Engine>,
    idle_timeout: Option<Duration>,
) -> io::Result<()> {
    let shared = Arc::new(Shared::default());
    tokio::select! {
        () = accept_all(listener, Arc::clone(&engine), shared) => {}
        () = idle(&engine, idle_timeout) => {}
    }
    Ok(())
}

async fn accept_all(listener: UnixListener, engine: Arc<Engine>, shared: Arc<Shared>) {
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

async fn idle(engine: &Engine, timeout: Option<Duration>) {
    let Some(timeout) = timeout else { return std::future::pending().await };
    loop {
        let idle = engine.activity().idle();
        if idle >= timeout {
            return;
        }
        sleep(timeout - idle).await;
    }
}

/// Writes a line to the server log, as far as there is one.
pub fn note(line: &str) {
    // At once, so that lines of several threads don't mix; and a log that can't be written to must not stop the
    // engine, as `eprintln!` would.
    let _ = io::stderr().write_all(format!("ecommerce_ml engine: {line}\n").as_bytes());
}
