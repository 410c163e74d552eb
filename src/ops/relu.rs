//! ReLU: `max(x, 0)`. Its gradient at exactly 0 is 0, as in TensorFlow.

pub mod proof;
pub mod steps;
pub mod twin;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::op::{At, Onnx, Op};
use crate::engine::plan::TensorId;

/// The layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relu {}

impl Op for Relu {
    fn stem(&self) -> &'static str {
        "relu"
    }

    fn keras_class(&self) -> &'static str {
        "ReLU"
    }

    fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(inputs[0].to_vec())
    }

    fn forward(&self, at: &mut At) {
        steps::forward(at.plan, &at.name("forward"), at.x[0], at.y);
    }

    fn backward(&self, at: &mut At, dy: TensorId) -> Vec<Option<TensorId>> {
        let dx = at.input_gradient(0);
        if let Some(dx) = dx {
            steps::backward(at.plan, &at.name("backward"), at.y, dy, dx);
        }
        vec![dx]
    }

    fn onnx(&self, _inputs: &[&[usize]]) -> Onnx {
        Onnx::plain("Relu")
    }
}
