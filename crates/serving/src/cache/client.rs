//! The client of a request as the cache sees it: someone who can be asked to send a model.
//!
//! It must not know sockets.
//! Invariant: parts are taken only while the cache is waiting for them; all others are dropped by the sender.

use std::sync::Arc;
use std::time::Duration;

use ecommerce_ml_checkpoint::upload::Upload;
use ecommerce_ml_protocol::{EngineError, ErrorKind, Sha256, UploadPart};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long a client that was asked may send nothing while others wait for the same model. A client may be
/// waiting for a lock that one of the others holds, so it can't be waited for without end.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Parts between the connection and the cache: enough to overlap, few enough to be no burden.
const PARTS_IN_FLIGHT: usize = 4;

/// Where parts of an upload go, if they are wanted.
#[derive(Default)]
pub struct UploadSlot(Mutex<Option<mpsc::Sender<UploadPart>>>);

impl UploadSlot {
    /// The way to the cache, if it waits for parts.
    pub fn sender(&self) -> Option<mpsc::Sender<UploadPart>> {
        self.0.lock().clone()
    }
}

/// Sends [`ReplyBody::NeedContent`](ecommerce_ml_protocol::ReplyBody::NeedContent) and returns what shall be held
/// for as long as parts are wanted.
pub type RequestUpload = dyn Fn(Sha256) -> Box<dyn Send> + Send + Sync;

/// The client of one request.
#[derive(Clone)]
pub struct Client {
    /// Shared with the connection, which puts parts in.
    slot: Arc<UploadSlot>,
    ask: Arc<RequestUpload>,
}

/// Why a client's upload came to nothing.
pub(super) enum UploadError {
    /// It was silent for too long while others waited.
    Silent,
    /// The request fails.
    Failed(EngineError),
}

impl Client {
    /// A client that is asked by `ask` and answers into `slot`.
    pub fn new(slot: Arc<UploadSlot>, ask: Arc<RequestUpload>) -> Self {
        Self { slot, ask }
    }

    /// Asks for a model and collects it. `contested` tells whether others wait for the same model.
    pub(super) async fn upload(
        &self,
        sha: Sha256,
        limit: u64,
        contested: impl Fn() -> bool,
    ) -> Result<Upload, UploadError> {
        let (sender, mut parts) = mpsc::channel(PARTS_IN_FLIGHT);
        let _open = OpenSlot::new(&self.slot, sender);
        let _asked = (self.ask)(sha);
        let mut upload = Upload::new(sha, limit);
        loop {
            match timeout(UPLOAD_TIMEOUT, parts.recv()).await {
                Ok(Some(part)) => {
                    if upload.accept(part).map_err(UploadError::Failed)? {
                        return Ok(upload);
                    }
                }
                Ok(None) => return Err(UploadError::Failed(gone())),
                Err(_) if contested() => return Err(UploadError::Silent),
                Err(_) => {}
            }
        }
    }
}

/// Keeps the slot open for as long as it exists.
struct OpenSlot<'a>(&'a UploadSlot);

impl<'a> OpenSlot<'a> {
    fn new(slot: &'a UploadSlot, sender: mpsc::Sender<UploadPart>) -> Self {
        *slot.0.lock() = Some(sender);
        Self(slot)
    }
}

impl Drop for OpenSlot<'_> {
    fn drop(&mut self) {
        *self.0.0.lock() = None;
    }
}

fn gone() -> EngineError {
    EngineError::new(ErrorKind::Cancelled, "client went away while sending a model")
}
