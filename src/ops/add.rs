//! The sum of two tensors of one shape: a residual connection (Keras `Add`; He et al. 2015), and the sum of the gradients of
//! an output that several layers take.

pub mod cpu;
pub mod gpu;

use serde::{Deserialize, Serialize};

use super::{Example, Onnx, Op};
use crate::plan::TensorId;
use crate::plan::network::At;

/// The layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {}

impl Op for Add {
    fn stem(&self) -> &'static str {
        "add"
    }

    fn keras_class(&self) -> &'static str {
        "Add"
    }

    fn arity(&self) -> usize {
        2
    }

    fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match inputs {
            [a, b] if a == b => Ok(a.to_vec()),
            _ => Err(format!("adds two inputs of one shape, not {:?} and {:?}", inputs[0], inputs[1])),
        }
    }

    fn forward(&self, at: &mut At) {
        gpu::forward(at.plan, &at.name("forward"), [at.x[0], at.x[1]], at.y);
    }

    /// Both inputs have the gradient of the output: dL/da = dL/dy * dy/da, and dy/da = 1.
    fn backward(&self, _at: &mut At, dy: TensorId) -> Vec<Option<TensorId>> {
        vec![Some(dy), Some(dy)]
    }

    fn onnx(&self, _inputs: &[&[usize]]) -> Onnx {
        Onnx::plain("Add")
    }
}

/// Problems that prove it.
pub fn examples() -> Vec<Example> {
    let add = |batch, image: [usize; 3]| Example::new(Add {}, batch, &[image, image]);
    vec![add(1, [1, 1, 1]), add(5, [3, 4, 5]), add(3, [9, 7, 33])]
}
