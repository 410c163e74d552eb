//! A dense layer without activation: `y = x w + b`.

pub mod proof;
pub mod steps;
pub mod twin;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::op::{At, Onnx, Op, Parameter};
use super::{is_zero, scaled, weights};
use crate::engine::plan::TensorId;

/// `x [batch, inputs]`, `w [inputs, outputs]`, `bias [outputs]`, `y [batch, outputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Problem {
    /// Floating-point operations of one pass, two per multiply-add.
    pub fn flops(&self) -> u64 {
        2 * (self.batch * self.inputs * self.outputs) as u64
    }
}

/// The layer. `units` 0, or left out in a file, means one per class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    #[serde(default, skip_serializing_if = "is_zero")]
    pub units: usize,
}

impl Dense {
    fn problem(&self, at: &At) -> Problem {
        Problem { batch: at.batch(), inputs: at.input(0)[0], outputs: self.units }
    }
}

impl Op for Dense {
    fn stem(&self) -> &'static str {
        "dense"
    }

    fn keras_class(&self) -> &'static str {
        "Dense"
    }

    fn settle(&mut self, width: f64, classes: usize) {
        self.units = if self.units == 0 { classes } else { scaled(self.units, width) };
    }

    fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match *inputs[0] {
            [_] => Ok(vec![self.units]),
            _ => Err("takes values without positions; a global_average_pool before it takes those away".into()),
        }
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        weights(&[input[0], self.units])
    }

    fn forward(&self, at: &mut At) {
        let (p, w, bias) = (self.problem(at), at.parameter("kernel"), at.parameter("bias"));
        steps::forward(at.plan, &at.name("forward"), p, at.x[0], w, bias, at.y);
    }

    fn backward(&self, at: &mut At, dy: TensorId) -> Vec<Option<TensorId>> {
        let p = self.problem(at);
        let w = at.parameter("kernel");
        if !at.frozen {
            let dw = at.gradient("kernel");
            steps::weight_gradient(at.plan, &at.name("weight gradient"), p, at.x[0], dy, dw);
            at.bias_gradient(1, dy);
        }
        let dx = at.input_gradient(0);
        if let Some(dx) = dx {
            steps::data_gradient(at.plan, &at.name("data gradient"), p, dy, w, dx);
        }
        vec![dx]
    }

    fn onnx(&self, _inputs: &[&[usize]]) -> Onnx {
        Onnx::plain("Gemm")
    }
}
