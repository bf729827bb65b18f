//! Loads models to the device and in the precision that the settings name, from files or from what was kept of them.
//!
//! It must not know requests.
//! Invariant: if the device or the precision isn't there, that is what every load says: an engine that didn't start would only
//! be started again.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::{BUILD, EngineError, ErrorKind, ModelSource};
use ecommerce_ml_tensor_cpu::{Cpu, Precision};
use ecommerce_ml_tensor_cuda::HalfPrecision;
use ecommerce_ml_text_model::cuda::Accelerator;
use ecommerce_ml_text_model::device::open_cpu;
use ecommerce_ml_text_model::{Device, Model, PrecisionChoice, Store};
use ecommerce_ml_text_train::cuda::{TrainingBackend, training_backend};
use ecommerce_ml_text_train::trainer::Devices;
use once_cell::sync::OnceCell;

/// How to compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputeSettings {
    /// Which device.
    pub device: String,
    /// In which precision.
    pub precision: String,
    /// With how many threads; 0 for all cores.
    pub threads: usize,
}

impl ComputeSettings {
    /// How many threads there are to compute with.
    pub fn count_threads(&self) -> usize {
        let all = || thread::available_parallelism().map_or(1, NonZero::get);
        if self.threads == 0 { all() } else { self.threads }
    }
}

impl Default for ComputeSettings {
    fn default() -> Self {
        Self { device: "auto".to_owned(), precision: "auto".to_owned(), threads: 0 }
    }
}

/// The settings, and where prepacked weights are kept.
pub struct ModelLoader {
    /// What was asked for.
    device_setting: String,
    opened: Result<(Device, PrecisionChoice), EngineError>,
    /// Where encoders are trained, if not on the processor.
    training: Option<Arc<dyn TrainingBackend>>,
    /// The processor, for what only runs there while the device is another one.
    cpu_for_training: OnceCell<Cpu>,
    threads: usize,
    store: Option<Store>,
}

impl ModelLoader {
    /// Opens the device.
    pub fn new(compute: &ComputeSettings, store: Option<Store>) -> Self {
        let threads = compute.count_threads();
        // Who leaves the device open but wants a precision that only the CPU has wants the CPU.
        let device = match (compute.device.as_str(), compute.precision.as_str()) {
            ("auto", "f32" | "int8") => "cpu",
            (device, _) => device,
        };
        let mut training = None;
        let opened = Device::open_with_gpus(device, threads).and_then(|(device, gpus)| {
            let precision = precision_choice(&compute.precision, &device)?;
            training = training_backend(&gpus);
            Ok((device, precision))
        });
        let device_setting = compute.device.clone();
        Self { device_setting, opened, training, cpu_for_training: OnceCell::new(), threads, store }
    }

    /// Loads to a device that is open, and keeps nothing.
    pub fn on(device: Device, precision: PrecisionChoice) -> Self {
        let device_setting = device.name();
        let opened = Ok((device, precision));
        Self {
            device_setting,
            opened,
            training: None,
            cpu_for_training: OnceCell::new(),
            threads: ComputeSettings::default().count_threads(),
            store: None,
        }
    }

    /// The same, with encoders trained on a backend.
    #[must_use]
    pub fn training_on(self, backend: Arc<dyn TrainingBackend>) -> Self {
        Self { training: Some(backend), ..self }
    }

    /// The device for statistics; as it was asked for, if it isn't there.
    pub fn device_name(&self) -> String {
        self.opened.as_ref().map_or_else(|_| self.device_setting.clone(), |(device, _)| device.name())
    }

    /// The kernels for statistics; empty where there are none.
    pub fn kernels_name(&self) -> String {
        let cpu = self.cpu_and_precision();
        cpu.map(|(cpu, _)| cpu.kernels.name().to_owned()).unwrap_or_default()
    }

    /// The device, if it has memory of its own.
    pub fn accelerator(&self) -> Option<Arc<dyn Accelerator>> {
        match &self.opened {
            Ok((Device::Accelerator(accelerator), _)) => Some(Arc::clone(accelerator)),
            _ => None,
        }
    }

    /// The processor, if that is the device.
    pub fn cpu(&self) -> Option<&Cpu> {
        self.cpu_and_precision().map(|(cpu, _)| cpu)
    }

    /// The model of these files, its weights kept if there is a store and they have a source.
    ///
    /// # Errors
    /// As [`Model::load`], and if the device or the precision isn't there.
    pub fn load(&self, source: Option<&ModelSource>, files: &ModelFiles) -> Result<Model, EngineError> {
        let (device, precision) = self.opened.as_ref().map_err(EngineError::clone)?;
        match (device, self.store.as_ref().zip(source)) {
            (Device::Cpu(cpu), Some((store, source))) => {
                let content = match source {
                    ModelSource::Content(sha) => sha.to_string(),
                    ModelSource::Builtin(_) => content_hash(files),
                };
                self.prepare(&stored_name(&content, cpu, *precision), files, cpu, *precision, store)
            }
            _ => Model::load(files, device, *precision),
        }
    }

    /// A model whose weights were kept when it was loaded before.
    pub fn load_cached(&self, source: &ModelSource) -> Option<Model> {
        let (cpu, precision) = self.cpu_and_precision()?;
        let ModelSource::Content(sha) = source else { return None };
        let prepacked = self.store.as_ref()?.get(&stored_name(&sha.to_string(), cpu, precision))?;
        Model::open(prepacked, cpu).ok()
    }

    fn cpu_and_precision(&self) -> Option<(&Cpu, PrecisionChoice)> {
        match &self.opened {
            Ok((Device::Cpu(cpu), precision)) => Some((cpu, *precision)),
            _ => None,
        }
    }

    /// A model on the CPU, its weights kept under a name.
    fn prepare(
        &self,
        name: &str,
        files: &ModelFiles,
        cpu: &Cpu,
        precision: PrecisionChoice,
        store: &Store,
    ) -> Result<Model, EngineError> {
        if let Some(model) = store.get(name).and_then(|prepacked| Model::open(prepacked, cpu).ok()) {
            return Ok(model);
        }
        Model::open(store.insert(name, Model::prepare(files, cpu, precision)?), cpu)
    }
}

impl Devices for ModelLoader {
    fn require_cpu(&self) -> Result<&Cpu, EngineError> {
        match self.opened.as_ref().map_err(EngineError::clone)? {
            (Device::Cpu(cpu), _) => Ok(cpu),
            _ => self.cpu_for_training.get_or_try_init(|| open_cpu(self.threads)),
        }
    }

    fn training_backend(&self) -> Option<Arc<dyn TrainingBackend>> {
        self.training.clone()
    }
}

/// Names what the weights of some files become on this machine, with this build and setting.
fn stored_name(content: &str, cpu: &Cpu, precision: PrecisionChoice) -> String {
    let made_by = [content, BUILD, cpu.kernels.name(), precision.as_str()].join("\0");
    blake3::hash(made_by.as_bytes()).to_string()
}

/// Names files by their names and bytes.
fn content_hash(files: &ModelFiles) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, bytes) in files.iter() {
        hasher.update(name.as_bytes()).update(&[0]).update(&bytes.len().to_le_bytes()).update(bytes);
    }
    hasher.finalize().to_string()
}

/// What is to be chosen on the CPU; elsewhere there is no choice.
fn precision_choice(precision: &str, device: &Device) -> Result<PrecisionChoice, EngineError> {
    let elsewhere = |hint: &str| {
        let message = format!("precision \"{precision}\" is not available on device \"{}\"", device.name());
        Err(EngineError::new(ErrorKind::NotCompiledIn, message).with_hint(hint))
    };
    match (precision, device) {
        ("auto", _) => Ok(PrecisionChoice::Auto),
        ("f16", Device::Accelerator(_)) => Ok(PrecisionChoice::Half(HalfPrecision::F16)),
        ("bf16", Device::Accelerator(_)) => Ok(PrecisionChoice::Half(HalfPrecision::Bf16)),
        ("f32" | "int8", Device::Accelerator(_)) => elsewhere(
            "Set ecommerce_ml.precision to \"auto\", \"f16\" or \"bf16\", or ecommerce_ml.device to \"cpu\".",
        ),
        ("f32", _) => Ok(PrecisionChoice::Fixed(Precision::F32)),
        ("int8", _) => Ok(PrecisionChoice::Fixed(Precision::Int8)),
        ("f16" | "bf16", _) => elsewhere("Set ecommerce_ml.precision to \"auto\", \"f32\" or \"int8\"."),
        _ => Err(EngineError::new(ErrorKind::InvalidRequest, format!("invalid precision \"{precision}\""))
            .with_hint("Valid precisions are \"auto\", \"f32\", \"int8\", \"f16\" and \"bf16\".")),
    }
}
