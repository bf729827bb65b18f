//! Mode `serve`: puts the parts of the engine together and answers requests until told to stop.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use tokio::runtime;

use crate::cache::ModelCache;
use crate::cli::{Compute, Serve};
use crate::device::Device;
use crate::engine::{About, Engine};
use crate::model::Model;
use crate::process;
use crate::scheduler::{Scheduler, SchedulerOptions};
use crate::served::{Loader, Served};
use crate::server;

/// Serves until there has been no request for the idle timeout.
///
/// # Errors
/// If there is nothing to listen on, or the system refuses threads.
pub fn serve(options: Serve) -> io::Result<()> {
    process::volunteer_for_oom_killer();
    let listener = listen(&options)?;
    listener.set_nonblocking(true)?;
    let idle_timeout = (options.idle_timeout > 0).then(|| Duration::from_secs(options.idle_timeout));
    let engine = Arc::new(engine(options)?);
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let result = runtime.block_on(async {
        let listener = tokio::net::UnixListener::from_std(listener)?;
        server::serve(listener, engine, idle_timeout).await
    });
    // A download or a model that is being loaded for nobody shall not hold up the end.
    runtime.shutdown_background();
    result
}

fn listen(options: &Serve) -> io::Result<UnixListener> {
    match &options.socket {
        Some(path) => UnixListener::bind(path),
        None => {
            process::watch_lifeline()?;
            process::inherited_listener()
        }
    }
}

fn engine(options: Serve) -> io::Result<Engine> {
    let threads = process::count_threads(options.compute.threads);
    let (device, load) = loader(&options.compute);
    let cache = ModelCache::new(options.model_cache, options.builtin, load);
    let result_cache = options.result_cache;
    let scheduling = SchedulerOptions { tokenizing_threads: threads, batch_tokens: None, result_cache };
    let scheduler = Scheduler::start(scheduling)?;
    let threads = u32::try_from(threads).unwrap_or(u32::MAX);
    let about = About { device, kernels: String::new(), threads, restarts: options.restarts };
    Ok(Engine::new(cache, scheduler, about))
}

/// The name of the device, and what loads models to it. If the device or the precision isn't there, that is what
/// every request learns: an engine that didn't start would only be started again.
pub fn loader(compute: &Compute) -> (String, Box<Loader>) {
    let device = check_precision(&compute.precision).and_then(|()| Device::parse(&compute.device));
    let name = device.as_ref().map_or_else(|_| compute.device.clone(), Device::name);
    let load = move |files: &_| {
        let device = device.as_ref().map_err(EngineError::clone)?;
        Ok(Arc::new(Model::load(files, device)?) as Arc<dyn Served>)
    };
    (name, Box::new(load))
}

fn check_precision(precision: &str) -> Result<(), EngineError> {
    match precision {
        "auto" | "f32" => Ok(()),
        "int8" | "bf16" => {
            let message = format!("precision \"{precision}\" is not compiled into this engine");
            Err(EngineError::new(ErrorKind::NotCompiledIn, message)
                .with_hint("Set ecommerce_ml.precision to \"auto\" or \"f32\"."))
        }
        _ => Err(EngineError::new(ErrorKind::InvalidRequest, format!("invalid precision \"{precision}\""))
            .with_hint("Valid precisions are \"auto\", \"f32\", \"int8\" and \"bf16\".")),
    }
}
