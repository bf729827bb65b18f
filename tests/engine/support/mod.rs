//! What the engine's tests share: the models and golden numbers of `tests/reference`, and tampering with models.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_tensor_cpu::Precision;
use ecommerce_ml_text_model::{Device, ForwardOutput, Model, PrecisionChoice, Window, WindowRow};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;

/// Root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file or folder of `tests/reference`.
pub fn reference(name: &str) -> PathBuf {
    root().join("tests/reference").join(name)
}

/// A gzipped file of one JSON value per line.
pub fn json_lines<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let file = std::fs::File::open(reference(name)).expect("golden file is there");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("golden file is whole");
    text.lines().map(|line| serde_json::from_str(line).expect("golden file is JSON lines")).collect()
}

/// The files of a tiny model.
pub fn tiny(name: &str) -> Parts {
    Parts::read(&reference("models").join(name))
}

/// Loads a model on the CPU in single precision.
pub fn load(files: &ModelFiles) -> Result<Model, EngineError> {
    load_as(files, PrecisionChoice::Fixed(Precision::F32))
}

/// Loads a model on the CPU.
pub fn load_as(files: &ModelFiles, precision: PrecisionChoice) -> Result<Model, EngineError> {
    Model::load(files, &Device::open("cpu", 2).expect("every build has the CPU"), precision)
}

/// Rows of all windows of a text, computed together.
pub fn rows(model: &Model, windows: &[Window], output: ForwardOutput) -> Result<Vec<WindowRow>, EngineError> {
    let values = model.forward(&windows.iter().collect::<Vec<_>>(), output)?;
    Ok(windows.iter().zip(values).map(|(window, values)| WindowRow::new(window, values)).collect())
}

/// Files of a model that a test can tamper with.
#[derive(Clone)]
pub struct Parts(pub BTreeMap<String, Vec<u8>>);

impl Parts {
    fn read(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder).expect("reference model is there");
        let paths = entries.map(|entry| entry.expect("folder is readable").path());
        let name = |path: &Path| path.file_name().expect("file has a name").to_string_lossy().into_owned();
        Self(paths.map(|path| (name(&path), std::fs::read(&path).expect("file is readable"))).collect())
    }

    pub fn files(&self) -> ModelFiles {
        ModelFiles::from_parts(self.0.clone().into_iter().collect())
    }

    pub fn load(&self) -> Result<Model, EngineError> {
        load(&self.files())
    }

    /// The error that loading must end with.
    pub fn refused(&self) -> EngineError {
        self.load().expect_err("a damaged model is refused")
    }

    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name).expect("file was there");
        self
    }

    pub fn with(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.insert(name.to_owned(), bytes.into());
        self
    }

    /// Changes a JSON file.
    pub fn edit_json(self, name: &str, edit: impl FnOnce(&mut serde_json::Value)) -> Self {
        let mut value = serde_json::from_slice(&self.0[name]).expect("file is JSON");
        edit(&mut value);
        self.with(name, value.to_string())
    }

    /// Sets keys of `config.json`; null removes one.
    pub fn config(self, changes: serde_json::Value) -> Self {
        self.edit_json("config.json", |config| {
            let config = config.as_object_mut().expect("config is an object");
            for (key, value) in changes.as_object().expect("changes are an object") {
                config.remove(key);
                if !value.is_null() {
                    config.insert(key.clone(), value.clone());
                }
            }
        })
    }

    /// Changes the tensors of `model.safetensors`.
    pub fn edit_tensors(self, edit: impl FnOnce(&mut Tensors)) -> Self {
        let mut tensors = Tensors::read(&self.0["model.safetensors"]);
        edit(&mut tensors);
        let bytes = tensors.write();
        self.with("model.safetensors", bytes)
    }
}

/// Tensors by name, each with type, shape and bytes.
pub struct Tensors(pub BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl Tensors {
    pub fn read(bytes: &[u8]) -> Self {
        let file = SafeTensors::deserialize(bytes).expect("reference weights are whole");
        let owned = |(name, view): (&str, TensorView<'_>)| {
            (name.to_owned(), (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        };
        Self(file.iter().map(owned).collect())
    }

    pub fn write(&self) -> Vec<u8> {
        let views = self.0.iter().map(|(name, (dtype, shape, data))| {
            (name.clone(), TensorView::new(*dtype, shape.clone(), data).expect("tensor is consistent"))
        });
        safetensors::serialize(views, None).expect("tensors can be written")
    }

    /// Overwrites one number of a tensor of F32.
    pub fn set(&mut self, name: &str, index: usize, value: f32) {
        let data = &mut self.0.get_mut(name).expect("tensor is there").2;
        data[4 * index..4 * index + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub fn rename(&mut self, new: impl Fn(&str) -> String) {
        self.0 = std::mem::take(&mut self.0).into_iter().map(|(name, tensor)| (new(&name), tensor)).collect();
    }
}
