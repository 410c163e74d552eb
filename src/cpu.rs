//! The plan on the CPU: every node's f64 twin, in order. Slow and plain; what `--device cpu` runs, and what the GPU is
//! compared with.

use crate::plan::{Plan, TensorId};

/// The numbers of every tensor of a plan, unpadded.
#[derive(Debug, Default)]
pub struct Values {
    floats: Vec<Vec<f64>>,
    integers: Vec<Vec<u32>>,
}

impl Values {
    pub fn new(plan: &Plan) -> Values {
        let count = plan.tensors.len();
        Values { floats: vec![Vec::new(); count], integers: vec![Vec::new(); count] }
    }

    /// Panics when no step has written it yet: a fault of the plan.
    pub fn get(&self, id: TensorId) -> &[f64] {
        assert!(!self.floats[id.0].is_empty(), "tensor {} is read before it is written", id.0);
        &self.floats[id.0]
    }

    pub fn integers(&self, id: TensorId) -> &[u32] {
        &self.integers[id.0]
    }

    pub fn set(&mut self, id: TensorId, values: Vec<f64>) {
        self.floats[id.0] = values;
    }

    pub fn set_integers(&mut self, id: TensorId, values: Vec<u32>) {
        self.integers[id.0] = values;
    }

    /// Moves a tensor out, to be updated in place and set again.
    pub fn take(&mut self, id: TensorId) -> Vec<f64> {
        std::mem::take(&mut self.floats[id.0])
    }
}
