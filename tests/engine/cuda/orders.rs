//! Every kernel in several orders of blocks, warps and lanes, which leave the same bits, and watched for races.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_emulator::Order;
use ecommerce_ml_tensor_cuda::HalfPrecision;
use ecommerce_ml_tensor_cuda::backend::Kernel;
use ecommerce_ml_text_model::cuda::Accelerator;
use ecommerce_ml_text_model::{Device, ForwardOutput, Model, PrecisionChoice, Window};
use ecommerce_ml_text_train::cuda::DeviceEncoder;
use ecommerce_ml_text_train::nn::Tuning;
use half::bf16;
use safetensors::tensor::Dtype;
use serde_json::json;

use crate::backend::Emulated;
use crate::inference::noise;
use crate::support::{json_lines, tiny};
use crate::training::{Learner, some_left_out};

const ORDERS: &[Order] = &[Order::Forward, Order::Backward, Order::Shuffled(1)];

/// Tokens of a sequence at most: more than a tile.
const POSITIONS: usize = 96;

/// A tiny model made larger, of numbers that look random: each key matters to each query.
fn larger(width: usize, heads: usize) -> ModelFiles {
    let changes =
        json!({ "hidden_size": width, "num_attention_heads": heads, "max_position_embeddings": POSITIONS });
    let tiny = tiny("bert-classification-3").config(changes);
    let tiny =
        tiny.edit_json("tokenizer_config.json", |config| config["model_max_length"] = json!(POSITIONS));
    let tiny = tiny.edit_tensors(|tensors| {
        for (name, (dtype, shape, bytes)) in &mut tensors.0 {
            assert_eq!(*dtype, Dtype::F32);
            shape.iter_mut().filter(|size| **size == 32).for_each(|size| *size = width);
            if name.contains("position_embeddings") {
                shape[0] = POSITIONS;
            }
            let numbers = noise(shape.iter().product(), name.len() as u64).into_iter();
            let number = |number: bf16| number.to_f32() * 3.0 / (width as f32).sqrt();
            *bytes = numbers.flat_map(|from| number(from).to_le_bytes()).collect();
        }
    });
    tiny.files()
}

#[test]
fn no_kernel_leaves_anything_to_chance() {
    let gpu = Emulated::in_orders(ORDERS);
    let texts: Vec<String> = json_lines("texts.jsonl.gz");
    let texts = [&texts[..4].concat(), "a", "b c", "d", "e"];
    // Each depth that there are kernels for. Rows of the widest keep a lane busy more than once.
    for (width, heads) in [(64, 2), (128, 2), (384, 3)] {
        let files = larger(width, heads);
        let device = Device::Accelerator(Arc::clone(&gpu) as Arc<dyn Accelerator>);
        for numbers in [HalfPrecision::Bf16, HalfPrecision::F16] {
            let model = Model::load(&files, &device, PrecisionChoice::Half(numbers)).unwrap();
            let windows: Vec<Window> = texts.iter().flat_map(|text| model.windows(text).unwrap()).collect();
            assert!(windows.iter().any(|window| window.ids.len() > 64));
            for output in [ForwardOutput::Head, ForwardOutput::Embedding] {
                model.forward(&windows.iter().collect::<Vec<_>>(), output).unwrap();
            }
        }
        // More than a group of sixteen rows for each of four warps, and a sequence that ends within a tile.
        let learner = || Learner::new(&files, 90, &[3, 81, 1, 34, 2]);
        learner().there(&gpu, Tuning::Full, some_left_out());
        learner().adapted(1).there(&gpu, Tuning::Lora { frozen: 1 }, None);
        let (learner, gpu) = (learner(), Arc::clone(&gpu));
        let new = DeviceEncoder::new(gpu, &learner.network, &learner.parameters, Tuning::Full);
        let mut encoder = new.unwrap().unwrap();
        learner.pass(&mut encoder, 0);
        encoder.perturb_embeddings(1.0).unwrap();
    }
    let largest = gpu.largest.lock().unwrap();
    for kernel in Kernel::ALL {
        let (blocks, warps) = largest.get(kernel.name()).copied().unwrap_or_default();
        assert!(blocks > 1 && warps > 1, "{kernel:?} ran with {blocks} blocks of {warps} warps");
    }
}
