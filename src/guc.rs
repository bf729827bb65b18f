//! The settings, private, behind typed accessors.
//!
//! Invariant: what reaches the engine's command line can only be changed in the configuration file, since one
//! engine serves all sessions.

use std::ffi::{CStr, CString, c_char, c_void};
use std::time::Duration;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_sys};

static DEFAULT_MODEL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"reviews"));
static DEVICE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"auto"));
static PRECISION: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"auto"));
static HUB_ENDPOINT: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"https://huggingface.co"));
static HUB_TOKEN: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static BATCH_EXECUTION: GucSetting<bool> = GucSetting::<bool>::new(true);
static ANSWER_UNREADABLE: GucSetting<bool> = GucSetting::<bool>::new(false);
static BATCH_SIZE: GucSetting<i32> = GucSetting::<i32>::new(1024);
static ENGINE_THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
static ENGINE_NICE: GucSetting<i32> = GucSetting::<i32>::new(0);
static ENGINE_IDLE_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(600);
static ENGINE_HEARTBEAT_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static MODEL_CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(2 << 20);
static MAX_TRAINING_JOBS: GucSetting<i32> = GucSetting::<i32>::new(1);
static TRAINING_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(4 << 20);
static TRAINING_NICE: GucSetting<i32> = GucSetting::<i32>::new(19);
static TRAINING_CHECKPOINT_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(300);
static REFRESH_SHARE: GucSetting<i32> = GucSetting::<i32>::new(100);
static REFRESH_MIN_SHARE: GucSetting<i32> = GucSetting::<i32>::new(5);
static RESULT_CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(64 << 10);

/// The model that a call without one uses.
pub fn default_model() -> String {
    text(&DEFAULT_MODEL)
}

/// Base address of the hub that `hf://` stands for.
pub fn hub_endpoint() -> String {
    text(&HUB_ENDPOINT)
}

/// What lets us see private repositories of that hub, if we have it.
pub fn hub_token() -> Option<String> {
    Some(text(&HUB_TOKEN)).filter(|token| !token.is_empty())
}

/// Whether plans are rewritten to predict many rows at once.
pub fn batch_execution() -> bool {
    BATCH_EXECUTION.get()
}

/// Whether models answer texts that they can't read.
pub fn answer_unreadable() -> bool {
    ANSWER_UNREADABLE.get()
}

/// Most texts in one request to the engine.
pub fn batch_size() -> usize {
    usize::try_from(BATCH_SIZE.get()).unwrap_or(1)
}

/// Added to the engine's niceness, 0 to 19.
pub fn engine_nice() -> i32 {
    ENGINE_NICE.get()
}

/// For how long an engine may give no sign of life; `None` for ever.
pub fn engine_heartbeat_timeout() -> Option<Duration> {
    let millis = u64::try_from(ENGINE_HEARTBEAT_TIMEOUT.get()).unwrap_or(0);
    (millis > 0).then(|| Duration::from_millis(millis))
}

/// Most jobs of the cluster that train at a time.
pub fn max_training_jobs() -> u16 {
    u16::try_from(MAX_TRAINING_JOBS.get()).unwrap_or(1)
}

/// Bytes of memory that a training may take.
pub fn training_memory() -> u64 {
    bytes(&TRAINING_MEMORY)
}

/// Added to the niceness of training processes, 0 to 19.
pub fn training_nice() -> i32 {
    TRAINING_NICE.get()
}

/// Time after which a training is due for a checkpoint.
pub fn training_checkpoint_interval() -> Duration {
    Duration::from_secs(u64::try_from(TRAINING_CHECKPOINT_INTERVAL.get()).unwrap_or(0))
}

/// Most of its time that the worker of kept columns spends working, in percent; 0 pauses it.
pub fn refresh_share() -> i32 {
    REFRESH_SHARE.get()
}

/// Least of its time that it does so while others keep the processors busy, in percent.
pub fn refresh_min_share() -> i32 {
    REFRESH_MIN_SHARE.get()
}

/// What the supervisor tells the engine. A change means a new engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    pub device: String,
    pub precision: String,
    /// 0 stands for one a core.
    pub threads: i32,
    pub model_cache_bytes: u64,
    /// 0 keeps no answers.
    pub result_cache_bytes: u64,
    pub idle_timeout: Duration,
    pub nice: i32,
}

impl EngineSettings {
    /// As the configuration says now.
    pub fn current() -> Self {
        Self {
            device: text(&DEVICE),
            precision: text(&PRECISION),
            threads: ENGINE_THREADS.get(),
            model_cache_bytes: bytes(&MODEL_CACHE_SIZE),
            result_cache_bytes: bytes(&RESULT_CACHE_SIZE),
            idle_timeout: Duration::from_secs(u64::try_from(ENGINE_IDLE_TIMEOUT.get()).unwrap_or(0)),
            nice: engine_nice(),
        }
    }
}

fn text(setting: &GucSetting<Option<CString>>) -> String {
    setting.get().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Of a setting in kilobytes.
fn bytes(setting: &GucSetting<i32>) -> u64 {
    u64::try_from(setting.get()).unwrap_or(0) * 1024
}

/// Makes the settings known to the server.
pub fn init() {
    define_text(
        c"ecommerce_ml.default_model",
        c"Model that functions use when none is named.",
        c"\"name\" stands for its live version, \"name@3\" for version 3.",
        &DEFAULT_MODEL,
        GucContext::Userset,
    );
    define_text(
        c"ecommerce_ml.device",
        c"Device that the engine runs models on.",
        c"\"auto\", \"cpu\", \"cuda\" or \"cuda:N\".",
        &DEVICE,
        GucContext::Sighup,
    );
    define_text(
        c"ecommerce_ml.precision",
        c"Arithmetic of the engine.",
        c"On the CPU \"f32\", \"int8\", or \"auto\": int8 where that agrees with f32. On a GPU \"f16\", \"bf16\", or \"auto\": f16 where the model stays within its range.",
        &PRECISION,
        GucContext::Sighup,
    );
    define_text(
        c"ecommerce_ml.hub_endpoint",
        c"Address of the hub that import_model reads \"hf://\" sources from.",
        c"The engine is the only process that connects to it.",
        &HUB_ENDPOINT,
        GucContext::Suset,
    );
    define_hub_token();
    define_batch_execution();
    GucRegistry::define_bool_guc(
        c"ecommerce_ml.answer_unreadable",
        c"Lets models guess at texts that they can't read.",
        c"Off gives NULL for a text that is mostly in letters or signs that the model has not learned.",
        &ANSWER_UNREADABLE,
        GucContext::Userset,
        GucFlags::default(),
    );
    define_int(
        c"ecommerce_ml.batch_size",
        c"Most texts in one request to the engine.",
        c"Longer arrays are sent in several requests, and a query reads at most so many rows ahead at a time.",
        &BATCH_SIZE,
        1..=65536,
        GucContext::Userset,
        GucFlags::default(),
    );
    define_int(
        c"ecommerce_ml.engine_threads",
        c"Threads that the engine computes with.",
        c"0 stands for one a core.",
        &ENGINE_THREADS,
        0..=1024,
        GucContext::Sighup,
        GucFlags::default(),
    );
    define_int(
        c"ecommerce_ml.engine_nice",
        c"Added to the niceness of the engine process.",
        c"19 leaves the processor to every other process first.",
        &ENGINE_NICE,
        0..=19,
        GucContext::Sighup,
        GucFlags::default(),
    );
    define_int(
        c"ecommerce_ml.engine_idle_timeout",
        c"The engine ends after this time without a request.",
        c"0 keeps it for ever. It is started again on demand.",
        &ENGINE_IDLE_TIMEOUT,
        0..=i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    define_int(
        c"ecommerce_ml.engine_heartbeat_timeout",
        c"An engine that gives no sign of life for this time is killed and started again.",
        c"0 lets it be. Computing and loading models don't keep a sound engine from giving signs of life.",
        &ENGINE_HEARTBEAT_TIMEOUT,
        0..=i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    define_int(
        c"ecommerce_ml.model_cache_size",
        c"Memory for loaded models in the engine.",
        c"Models used least recently make room; pinned ones stay.",
        &MODEL_CACHE_SIZE,
        1024..=i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_KB,
    );
    define_int(
        c"ecommerce_ml.result_cache_size",
        c"Memory for answers that the engine gave lately.",
        c"0 keeps none. A text that comes again is answered from there.",
        &RESULT_CACHE_SIZE,
        0..=i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_KB,
    );
    define_training();
    define_int(
        c"ecommerce_ml.refresh_share",
        c"Most of its time that the worker of kept columns spends scoring rows, in percent.",
        c"Between batches it leaves the engine to others. 0 pauses it.",
        &REFRESH_SHARE,
        0..=100,
        GucContext::Sighup,
        GucFlags::default(),
    );
    define_int(
        c"ecommerce_ml.refresh_min_share",
        c"Part of its time that the worker of kept columns works at least, in percent, while others keep the processors busy.",
        c"100 gives way to nobody.",
        &REFRESH_MIN_SHARE,
        1..=100,
        GucContext::Sighup,
        GucFlags::default(),
    );
    #[cfg(not(feature = "pg14"))]
    // SAFETY: a terminated string without special characters, during library load.
    unsafe {
        pg_sys::MarkGUCPrefixReserved(c"ecommerce_ml".as_ptr());
    }
}

fn define_training() {
    define_int(
        c"ecommerce_ml.max_training_jobs",
        c"Most trainings at a time.",
        c"Others wait in the queue. 0 lets all wait.",
        &MAX_TRAINING_JOBS,
        0..=64,
        GucContext::Sighup,
        GucFlags::default(),
    );
    define_int(
        c"ecommerce_ml.training_memory",
        c"Memory that a training may take.",
        c"It is estimated before a training starts.",
        &TRAINING_MEMORY,
        1024..=i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_KB,
    );
    define_int(
        c"ecommerce_ml.training_nice",
        c"Added to the niceness of training processes.",
        c"19 leaves the processor to every other process first.",
        &TRAINING_NICE,
        0..=19,
        GucContext::Sighup,
        GucFlags::default(),
    );
    define_int(
        c"ecommerce_ml.training_checkpoint_interval",
        c"Time after which a training is due for a checkpoint.",
        c"Ends of epochs keep to it too. What was learned since the last checkpoint is lost when a training is interrupted.",
        &TRAINING_CHECKPOINT_INTERVAL,
        1..=i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
}

fn define_batch_execution() {
    // SAFETY: the hook is guarded.
    unsafe {
        GucRegistry::define_bool_guc_with_hooks(
            c"ecommerce_ml.batch_execution",
            c"Predicts many rows of a query at once.",
            c"Off plans queries so that functions are called row by row. The answers are the same.",
            &BATCH_EXECUTION,
            GucContext::Userset,
            GucFlags::default(),
            None,
            Some(on_batch_execution),
            None,
        );
    }
}

fn define_hub_token() {
    // SAFETY: the hook is guarded.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"ecommerce_ml.hub_token",
            c"Token that the hub is shown when import_model reads \"hf://\" sources.",
            c"Sent to ecommerce_ml.hub_endpoint only. Only superusers see it.",
            &HUB_TOKEN,
            GucContext::Suset,
            GucFlags::SUPERUSER_ONLY | GucFlags::NO_SHOW_ALL,
            Some(check_hub_token),
            None,
            None,
        );
    }
}

/// What is set for a database, a role or a function lies in catalogs that everyone may read.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn check_hub_token(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    use pg_sys::GucSource::{PGC_S_DATABASE, PGC_S_DATABASE_USER, PGC_S_GLOBAL, PGC_S_TEST, PGC_S_USER};
    // SAFETY: the server hands over a pointer to the new value, which is null or a terminated string.
    let is_empty = unsafe { (*value).is_null() || **value == 0 };
    let is_public =
        matches!(source, PGC_S_GLOBAL | PGC_S_DATABASE | PGC_S_USER | PGC_S_DATABASE_USER | PGC_S_TEST);
    if is_empty || !is_public {
        return true;
    }
    // SAFETY: what the server reads next, and copies. Its own message would show the value.
    unsafe {
        pg_sys::GUC_check_errmsg_string =
            c"parameter \"ecommerce_ml.hub_token\" cannot be set for a database, a role or a function"
                .as_ptr()
                .cast_mut();
        pg_sys::GUC_check_errdetail_string = c"Everyone could read it in the catalogs.".as_ptr().cast_mut();
        pg_sys::GUC_check_errhint_string = c"Set it in postgresql.conf.".as_ptr().cast_mut();
    }
    false
}

/// Plans that the session keeps were made for the value before.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_batch_execution(value: bool, _extra: *mut c_void) {
    if value != BATCH_EXECUTION.get() {
        // SAFETY: may be called at any time; it only marks plans.
        unsafe { pg_sys::ResetPlanCache() };
    }
}

fn define_text(
    name: &'static CStr,
    short: &'static CStr,
    long: &'static CStr,
    setting: &'static GucSetting<Option<CString>>,
    context: GucContext,
) {
    GucRegistry::define_string_guc(name, short, long, setting, context, GucFlags::default());
}

fn define_int(
    name: &'static CStr,
    short: &'static CStr,
    long: &'static CStr,
    setting: &'static GucSetting<i32>,
    range: std::ops::RangeInclusive<i32>,
    context: GucContext,
    flags: GucFlags,
) {
    GucRegistry::define_int_guc(name, short, long, setting, *range.start(), *range.end(), context, flags);
}
