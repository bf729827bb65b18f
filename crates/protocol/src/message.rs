//! Requests, replies, and the plain values that they carry.
//!
//! A connection carries several requests at a time; replies come in any order and name their request.
//! Invariant: every request but [`RequestBody::Cancel`], [`RequestBody::Upload`] and [`RequestBody::Alone`] is answered exactly once
//! (after any number of [`ReplyBody::NeedContent`] and [`ReplyBody::Began`]), by a matching body or by [`ReplyBody::Error`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::answer::{Answers, Completed, Output};
use crate::error::EngineError;
use crate::input::Input;
use crate::objective::{TrainingCall, TrainingChecked};
use crate::signature::ModelInfo;

/// Names a request within its connection; chosen by the client, never reused while in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// SHA-256 of a model's content: of the manifest that lists each file's name, size and own hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sha256(pub [u8; 32]);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

/// Where the engine finds a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ModelSource {
    /// A folder of this name among the models installed with the extension.
    Builtin(String),
    /// A version stored in a database; the client uploads it when asked.
    Content(Sha256),
}

/// A text that is for its receiver only: it can be sent, but not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The model that a request wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// Which model.
    pub source: ModelSource,
    /// Never evict it to make room for others. The latest request decides.
    pub pinned: bool,
    /// What it is loaded for. The same model is loaded twice for two purposes.
    pub purpose: Purpose,
}

impl ModelRef {
    /// The same model, to explain its predictions. Nobody has pinned that.
    #[must_use]
    pub fn to_explain(&self) -> Self {
        Self { source: self.source.clone(), pinned: false, purpose: Purpose::Explain }
    }
}

/// What a model is loaded for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Purpose {
    /// To predict, embed and tokenize, as fast as can be.
    #[default]
    Predict,
    /// To explain predictions, for which a kind may need its weights in another form.
    Explain,
}

/// A request with its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the client.
    pub id: RequestId,
    /// What is asked.
    pub body: RequestBody,
}

/// What a client can ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RequestBody {
    /// What a model makes of each input; answered by [`ReplyBody::Answered`].
    Predict {
        /// By which model.
        model: ModelRef,
        /// What it is to read.
        input: Input,
        /// What it shall make of it.
        output: Output,
    },
    /// What a model is, loading it if need be; answered by [`ReplyBody::Described`].
    Describe {
        /// Which model.
        model: ModelRef,
    },
    /// Whether a training could be done; answered by [`ReplyBody::TrainingChecked`].
    CheckTraining(TrainingCall),
    /// Bring a repository of a Hugging Face hub into a folder; answered by [`ReplyBody::Fetched`].
    Fetch {
        /// `owner/name`.
        repository: String,
        /// Branch, tag or commit; `main` if absent.
        revision: Option<String>,
        /// Base address of the hub.
        endpoint: String,
        /// What lets the client see private repositories there. Nobody but the hub at that address gets it.
        token: Option<Secret>,
        /// Folder to make and fill, relative to the engine's working directory. Its files belong to the client.
        directory: String,
    },
    /// The state of the engine; answered by [`ReplyBody::Stats`].
    Stats,
    /// Forget the request of this id: drop its queued work and answer it, if it is still open, with
    /// [`crate::ErrorKind::Cancelled`]. Itself unanswered.
    Cancel,
    /// A part of the model that [`ReplyBody::NeedContent`] asked for under this id. Itself unanswered.
    Upload(UploadPart),
    /// The request that comes next under this id is to be answered while no other that needs a model is worked on. Each
    /// stage of it is announced by [`ReplyBody::Began`], so that a client who loses the engine knows what it died of.
    /// Itself unanswered.
    Alone,
}

impl RequestBody {
    /// The model that has to be loaded for it.
    pub fn model(&self) -> Option<&ModelRef> {
        match self {
            RequestBody::Predict { model, .. } | RequestBody::Describe { model } => Some(model),
            RequestBody::CheckTraining(_)
            | RequestBody::Fetch { .. }
            | RequestBody::Stats
            | RequestBody::Cancel
            | RequestBody::Upload(_)
            | RequestBody::Alone => None,
        }
    }
}

/// What an engine does for a request that it answers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It loads the model.
    Loading,
    /// It answers; the model is loaded.
    Answering,
}

/// One file of a model: part of its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name without folders, as in the Hugging Face layout.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Hash of the bytes.
    pub sha256: Sha256,
}

/// The upload of a model is `Begin`, the chunks of each file in the manifest's order, `End`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadPart {
    /// The manifest.
    Begin {
        /// The files, sorted by name.
        files: Vec<FileEntry>,
    },
    /// The next bytes of a file.
    Chunk {
        /// Index into the manifest.
        file: u32,
        /// At most [`crate::UPLOAD_CHUNK_BYTES`] bytes.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// Everything has been sent.
    End,
    /// The client can't deliver; the request under this id fails, others that wait are asked instead.
    Abort {
        /// Why not.
        reason: String,
    },
}

/// A reply with the name of its request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's.
    pub id: RequestId,
    /// The answer.
    pub body: ReplyBody,
}

/// What the engine can answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ReplyBody {
    /// To [`RequestBody::Predict`].
    Answered {
        /// In the order of the inputs.
        answers: Answers,
        /// Places of the inputs that the model was never taught to read, ascending: their answers are guesses.
        unread: Vec<u32>,
        /// What it took.
        completed: Completed,
    },
    /// To [`RequestBody::Describe`].
    Described(ModelInfo),
    /// To [`RequestBody::CheckTraining`]: nothing is wrong with it.
    TrainingChecked(TrainingChecked),
    /// To [`RequestBody::Fetch`].
    Fetched {
        /// The commit that the revision stood for.
        commit: String,
        /// Names of the files in the folder.
        files: Vec<String>,
    },
    /// To [`RequestBody::Stats`].
    Stats(EngineStats),
    /// The engine doesn't have this model: upload it under the request's id, the request then goes on.
    NeedContent(Sha256),
    /// From now on nothing but this request is worked on. Only after [`RequestBody::Alone`], before the answer, and not if
    /// others took too long to end.
    Began {
        /// What is worked on.
        stage: Stage,
        /// Process id of the engine.
        engine: u32,
    },
    /// The request failed.
    Error(EngineError),
}

/// The memory of a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceMemory {
    /// What is taken, be it by other programs.
    pub used: u64,
    /// All of it.
    pub total: u64,
}

/// The state of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineStats {
    /// Process id of the engine.
    pub pid: u32,
    /// Build of the engine.
    pub build: String,
    /// Device that models run on, for example `cpu` or `cuda:0`.
    pub device: String,
    /// Memory of that device, if it has its own.
    pub device_memory: Option<DeviceMemory>,
    /// Part of the last seconds, from 0 to 1, in which models were running.
    pub utilisation: f32,
    /// Name of the kernels that compute on the CPU, for example `avx512_vnni`; may be empty.
    pub kernels: String,
    /// Threads used for computing.
    pub threads: u32,
    /// Start of the process, in seconds since 1970.
    pub started: u64,
    /// How many engines died before this one under the same supervisor.
    pub restarts: u32,
    /// Open connections.
    pub connections: u32,
    /// Requests that are not answered yet.
    pub queued_requests: u64,
    /// Inputs of those that have not gone through a model yet.
    pub queued_texts: u64,
    /// The models in memory.
    pub models: Vec<ModelStats>,
}

/// The state of a loaded model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStats {
    /// Which model.
    pub source: ModelSource,
    /// Memory that it takes, in bytes.
    pub bytes: u64,
    /// What its weights are computed in: `f32` or `int8`.
    pub precision: String,
    /// Why in this and no other; may be empty.
    pub precision_note: String,
    /// Whether it is safe from eviction.
    pub pinned: bool,
    /// Requests since it was loaded.
    pub requests: u64,
    /// Inputs since it was loaded.
    pub texts: u64,
    /// Tokens that went through it since it was loaded.
    pub tokens: u64,
    /// Inputs whose answer was remembered from an earlier request: the sum of [`Completed::cached`](crate::Completed::cached).
    pub cache_hits: u64,
    /// Last request, in seconds since 1970.
    pub last_used: u64,
}
