//! Mode `serve`: puts the parts of the engine together and answers requests until told to stop.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use ecommerce_ml_serving::cache::ModelCache;
use ecommerce_ml_serving::server;
use ecommerce_ml_text::ModelLoader;
use ecommerce_ml_text::scheduler::SchedulerOptions;
use ecommerce_ml_text_model::Store;
use tokio::runtime;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::cli::Serve;
use crate::engine::{Engine, ProcessInfo};
use crate::process::{self, Pulse};
use crate::registry::Registry;

/// Serves until there has been no request for the idle timeout.
///
/// # Errors
/// If there is nothing to listen on, or the system refuses threads.
pub fn serve(options: Serve) -> io::Result<()> {
    process::volunteer_for_oom_killer();
    let (beats, beaten) = mpsc::unbounded_channel();
    let (listener, pulse) = listen(&options, move || {
        // Nobody answers any more when the server has ended; then the process does too.
        let _ = beats.send(());
    })?;
    listener.set_nonblocking(true)?;
    let idle_timeout = (options.idle_timeout > 0).then(|| Duration::from_secs(options.idle_timeout));
    let engine = Arc::new(engine(options)?);
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let result = runtime.block_on(async {
        let listener = tokio::net::UnixListener::from_std(listener)?;
        if let Some(pulse) = pulse {
            tokio::spawn(live(beaten, pulse));
        }
        server::serve(listener, engine, idle_timeout).await
    });
    // A download or a model that is being loaded for nobody shall not hold up the end.
    runtime.shutdown_background();
    result
}

/// Answers heartbeats. The server's thread does, which never waits and never computes: a model that is loaded or a long text
/// that is read makes it miss none, and an engine that misses them answers nobody.
async fn live(mut beaten: UnboundedReceiver<()>, pulse: Pulse) {
    while beaten.recv().await.is_some() {
        pulse.beat();
    }
}

fn listen(options: &Serve, beat: impl Fn() + Send + 'static) -> io::Result<(UnixListener, Option<Pulse>)> {
    match &options.socket {
        Some(path) => Ok((UnixListener::bind(path)?, None)),
        None => {
            let pulse = process::watch_lifeline(beat)?;
            Ok((process::inherited_listener()?, Some(pulse)))
        }
    }
}

fn engine(options: Serve) -> io::Result<Engine> {
    let threads = options.compute.count_threads();
    let store = options.weights_cache.map(|folder| Store::new(folder, options.model_cache));
    let loader = ModelLoader::new(&options.compute, store);
    let (device, accelerator) = (loader.device_name(), loader.accelerator());
    let kernels = loader.kernels_name();
    let result_cache = options.result_cache;
    let scheduling = SchedulerOptions { tokenizing_threads: threads, batch_tokens: None, result_cache };
    let registry = Arc::new(Registry::start(loader, scheduling)?);
    let cache = ModelCache::new(options.model_cache, options.builtin, Arc::clone(&registry) as _);
    let threads = u32::try_from(threads).unwrap_or(u32::MAX);
    let process = ProcessInfo { device, accelerator, kernels, threads, restarts: options.restarts };
    Ok(Engine::new(cache, registry, process))
}
