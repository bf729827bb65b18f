//! Which precision is faster on this processor, for layers of a certain size.
//!
//! It must not know whether a model stands it. Invariant: what was found of a size and of kernels is found again for as long as
//! the process lives.

use std::collections::HashMap;
use std::mem;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::kernels::Kernels;
use super::linear::{DenseInput, Linear, Precision, QuantisedRows, Ranges, padded};
use super::samples::{made_up, made_up_layer};
use super::shape::Shape;

/// Rows that go through the layers: few, so that it is quick, and enough for whole register tiles of all kernels.
const ROWS: usize = 28;

/// Layers are taken to be no narrower than this. The time of tiny models isn't spent in layers, and would be measured by chance.
const LEAST_WIDTH: usize = 256;

/// Most rounds of both precisions in turn. Whatever slows the machine down for a while, the shortest time of each has little of.
const ROUNDS: u32 = 7;

/// Time after which no further round begins.
const TIME: Duration = Duration::from_millis(150);

/// Kernels, width of the hidden states and of the feed-forward part.
type Key = (&'static str, usize, usize);

/// What was measured in this process. Held while it is measured, so that two measurements don't disturb each other.
static MEASURED: Mutex<Option<HashMap<Key, f64>>> = Mutex::new(None);

impl Kernels {
    /// How many times as fast as in `f32` the feed-forward part of a layer is in `int8` on one thread, activations into bytes
    /// included. Takes less than half a second, and nothing when it is asked again.
    pub fn int8_speedup(&self, shape: &Shape) -> f64 {
        let (hidden, inner) = (shape.hidden.max(LEAST_WIDTH), shape.inner.max(LEAST_WIDTH));
        let mut measured = MEASURED.lock();
        let key = (self.name(), hidden, inner);
        *measured.get_or_insert_default().entry(key).or_insert_with(|| measure(self, hidden, inner))
    }
}

fn measure(kernels: &Kernels, hidden: usize, inner: usize) -> f64 {
    let [f32, int8] =
        [Precision::F32, Precision::Int8].map(|precision| Part::new(kernels, precision, hidden, inner));
    let (Some(mut f32), Some(mut int8)) = (f32, int8) else { return 1.0 };
    let mut least = [Duration::MAX; 2];
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for (part, least) in [&mut f32, &mut int8].into_iter().zip(&mut least) {
            *least = part.time(kernels).min(*least);
        }
        if start.elapsed() > TIME {
            break;
        }
    }
    let [f32, int8] = least.map(|time| time.as_secs_f64().max(1e-9));
    f32 / int8
}

/// The two dense layers of a feed-forward part, of made-up weights, and rows to go through them.
struct Part {
    layers: [(Linear, usize); 2],
    /// Of as many numbers as the wider side of the layers has.
    rows: [Vec<f32>; 2],
    stride: usize,
    bytes: QuantisedRows,
}

impl Part {
    /// `None` as of [`made_up_layer`].
    fn new(kernels: &Kernels, precision: Precision, hidden: usize, inner: usize) -> Option<Self> {
        let layer = |inputs: usize, outputs: usize| {
            made_up_layer(kernels, precision, (inputs, outputs), &Ranges::unknown(inputs))
        };
        let stride = padded(hidden).max(padded(inner));
        Some(Self {
            layers: [layer(hidden, inner)?, layer(inner, hidden)?],
            rows: [made_up(ROWS * stride), vec![0.0; ROWS * stride]],
            stride,
            bytes: QuantisedRows::default(),
        })
    }

    fn time(&mut self, kernels: &Kernels) -> Duration {
        let start = Instant::now();
        let ([from, to], stride) = (&mut self.rows, self.stride);
        for (layer, columns) in &self.layers {
            let input = DenseInput { numbers: from, stride, count: ROWS };
            layer.forward(kernels, input, None, 0..*columns, &mut self.bytes, (to, stride));
            mem::swap(from, to);
        }
        start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Activation;

    fn shape(hidden: usize, inner: usize) -> Shape {
        Shape { hidden, heads: 1, inner, activation: Activation::Relu, eps: 1e-12 }
    }

    #[test]
    fn what_is_measured_is_measured_once() {
        for kernels in Kernels::supported() {
            let found = kernels.int8_speedup(&shape(384, 384));
            assert!(found > 0.0 && found.is_finite(), "{kernels:?}: {found}");
            assert_eq!(kernels.int8_speedup(&shape(384, 384)).to_bits(), found.to_bits(), "{kernels:?}");
        }
    }

    #[test]
    fn tiny_models_are_judged_by_layers_of_a_size_that_can_be_measured() {
        let kernels = Kernels::best();
        let found = kernels.int8_speedup(&shape(8, 16));
        assert_eq!(kernels.int8_speedup(&shape(LEAST_WIDTH, LEAST_WIDTH)).to_bits(), found.to_bits());
    }

    /// Whatever has a unit for it multiplies bytes faster than single precision, by much more than a measurement can be wrong.
    #[test]
    fn bytes_are_faster_on_every_instruction_set_of_x86() {
        for kernels in Kernels::supported().iter().filter(|kernels| kernels.name().starts_with("avx")) {
            let found = kernels.int8_speedup(&shape(384, 1536));
            assert!(found > 1.1, "{kernels:?}: {found}");
        }
    }
}
