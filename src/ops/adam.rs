//! Adam with amsgrad, as Keras computes it ("epsilon hat", raw maximum; Reddi et al. 2018).

mod bound;
pub mod proof;
pub mod steps;
pub mod twin;

use std::ops::Range;

use crate::engine::layout::{run_of, with_run};
use crate::engine::plan::{Plan, Tensor};
use crate::engine::tensor::TensorId;

pub const BETA_1: f64 = 0.9;
pub const BETA_2: f64 = 0.999;
pub const EPSILON: f64 = 1e-7;

/// The step size that folds both bias corrections in: `lr * sqrt(1 - b2^t) / (1 - b1^t)`, `step` counted from 1.
pub fn alpha(learning_rate: f64, step: u64) -> f64 {
    let t = step as i32;
    learning_rate * (1.0 - BETA_2.powi(t)).sqrt() / (1.0 - BETA_1.powi(t))
}

/// A parameter, its gradient and its moments: all of one shape, or moments of a slice of the others.
#[derive(Clone, Copy, Debug)]
pub struct Tensors {
    pub parameter: TensorId,
    pub gradient: TensorId,
    pub m: TensorId,
    pub v: TensorId,
    pub vhat: TensorId,
}

/// The update of one parameter, or of this rank's slice of it: which numbers it takes of each tensor, as they lie in memory.
#[derive(Clone, Debug)]
struct Update {
    of: Tensors,
    parameter: Run,
    gradient: Run,
    moments: [Run; 3],
}

/// Numbers of one tensor in memory.
#[derive(Clone, Debug)]
struct Run {
    tensor: Tensor,
    numbers: Range<usize>,
}

impl Update {
    /// The gradient is whole, or begins with the slice.
    fn new(plan: &Plan, t: Tensors) -> Update {
        let whole = |id: TensorId| 0..plan.count_of(id.into());
        let slice = plan.own_slice(t.parameter).filter(|_| !plan.tensor(t.parameter).is_arena());
        let parameter = slice.unwrap_or(whole(t.parameter));
        let gradient = if whole(t.gradient) == whole(t.parameter) { parameter.clone() } else { 0..parameter.len() };
        let run = |id: TensorId, numbers: Range<usize>| Run { tensor: plan.tensor(id).clone(), numbers };
        let moments = [t.m, t.v, t.vhat].map(|id| run(id, whole(id)));
        Update { of: t, parameter: run(t.parameter, parameter), gradient: run(t.gradient, gradient), moments }
    }
}

impl Run {
    fn of<T: Copy + Default>(&self, values: &[T]) -> Vec<T> {
        run_of(&self.tensor, values, &self.numbers)
    }

    /// A tensor's numbers with others in their place.
    fn put<T: Copy + Default>(&self, values: &[T], run: &[T]) -> Vec<T> {
        with_run(&self.tensor, values, self.numbers.start, run)
    }
}
