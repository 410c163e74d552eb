//! Global average pooling: the mean over all positions of an image, channel by channel.

pub mod cpu;
pub mod gpu;

use serde::{Deserialize, Serialize};

use super::{Example, Onnx, Op, image};
use crate::plan::TensorId;
use crate::plan::network::At;

/// `x [batch, positions, channels]`, `y [batch, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub positions: usize,
    pub channels: usize,
}

/// The layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlobalAveragePool {}

fn problem(at: &At) -> Problem {
    let (positions, channels) = at.positions_and_channels();
    Problem { batch: at.batch(), positions, channels }
}

impl Op for GlobalAveragePool {
    fn stem(&self) -> &'static str {
        "gap"
    }

    fn keras_class(&self) -> &'static str {
        "GlobalAveragePooling2D"
    }

    fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let [_, _, channels] = image(inputs)?;
        Ok(vec![channels])
    }

    fn forward(&self, at: &mut At) {
        let p = problem(at);
        gpu::forward(at.plan, &at.name("forward"), p, at.x[0], at.y);
    }

    fn backward(&self, at: &mut At, dy: TensorId) -> Vec<Option<TensorId>> {
        let dx = at.input_gradient(0);
        if let Some(dx) = dx {
            let p = problem(at);
            gpu::backward(at.plan, &at.name("backward"), p, dy, dx);
        }
        vec![dx]
    }

    fn onnx(&self, _inputs: &[&[usize]]) -> Onnx {
        Onnx { flatten: true, ..Onnx::plain("GlobalAveragePool") }
    }
}

/// Problems that prove it: one position, one channel.
pub fn examples() -> Vec<Example> {
    let pool = |batch, image| Example::new(GlobalAveragePool {}, batch, &[image]);
    vec![pool(3, [7, 7, 5]), pool(1, [1, 1, 4]), pool(2, [2, 3, 1])]
}
