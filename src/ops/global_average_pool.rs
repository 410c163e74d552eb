//! Global average pooling: the mean over all positions of an image, channel by channel.

pub mod proof;
pub mod steps;
pub mod twin;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image;
use super::op::{At, Onnx, Op};
use crate::engine::plan::TensorId;

/// `x [batch, positions, channels]`, `y [batch, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub positions: usize,
    pub channels: usize,
}

/// The layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalAveragePool {}

fn problem(at: &At) -> Problem {
    let (positions, channels) = at.positions_and_channels();
    Problem { batch: at.images(), positions, channels }
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
        steps::forward(at.plan, &at.name("forward"), p, at.x[0], at.y);
    }

    fn backward(&self, at: &mut At, dy: TensorId) -> Vec<Option<TensorId>> {
        let dx = at.input_gradient(0);
        if let Some(dx) = dx {
            let p = problem(at);
            steps::backward(at.plan, &at.name("backward"), p, dy, dx);
        }
        vec![dx]
    }

    fn onnx(&self, _inputs: &[&[usize]]) -> Onnx {
        Onnx { flatten: true, ..Onnx::plain("GlobalAveragePool") }
    }
}
