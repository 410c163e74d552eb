//! The sum of two tensors of one shape: a residual connection (Keras `Add`; He et al. 2015), and the sum of the gradients of
//! an output that several layers take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::op::{At, Onnx, Op};
use crate::engine::bound;
use crate::engine::plan::{Plan, Step, TensorId, View};
use crate::engine::shader::Work;
use crate::kernel;

/// The layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
        add(at.plan, &at.name("forward"), [at.x[0], at.x[1]], at.y);
    }

    /// Both inputs have the gradient of the output: dL/da = dL/dy * dy/da, and dy/da = 1.
    fn backward(&self, _at: &mut At, dy: TensorId) -> Vec<Option<TensorId>> {
        vec![Some(dy), Some(dy)]
    }

    fn onnx(&self, _inputs: &[&[usize]]) -> Onnx {
        Onnx::plain("Add")
    }
}

/// Adds the steps of `y = a + b`, any shape.
pub fn add(plan: &mut Plan, name: &str, [a, b]: [TensorId; 2], y: TensorId) {
    let step = |window: usize| {
        let view = |tensor| View { tensor, window };
        let count = plan.count_of(view(y));
        Step {
            name: name.into(),
            kernel: kernel!("add/forward"),
            constants: vec![],
            bindings: vec![("a", view(a)), ("b", view(b)), ("y", view(y))],
            work: Work::each(count / 4),
            flops: count as u64,
        }
    };
    let steps = (0..plan.windows_of(y)).map(step).collect();
    plan.node(name, steps, move |t| t.set(y, twin::add(t.get(a), t.get(b))), bound::of_sums);
}

pub mod twin {
    /// `y = a + b`, any shape.
    pub fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| a + b).collect()
    }
}

pub mod proof {
    use super::Add;
    use crate::ops::case::Case;
    use crate::ops::{Example, alone};

    /// Problems that prove it: one value, vec4s with padding, several windows.
    pub fn examples() -> Vec<Example> {
        let add = |batch, image: [usize; 3]| Example::new(Add {}, batch, &[image, image]);
        vec![add(1, [1, 1, 1]), add(5, [3, 4, 5]), add(3, [9, 7, 33])]
    }

    pub fn cases() -> Vec<Case> {
        examples().into_iter().map(alone::case).collect()
    }
}
