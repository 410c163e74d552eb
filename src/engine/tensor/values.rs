//! Values of a plan's tensors on a CPU.

use super::TensorId;

/// Twin of an operation: computes it in f64 on its tensors' values.
pub type Twin = dyn Fn(&mut Values) + Send + Sync;

/// The numbers of every tensor of a plan, unpadded.
#[derive(Clone, Debug, Default)]
pub struct Values {
    floats: Vec<Vec<f64>>,
    integers: Vec<Vec<u32>>,
}

impl Values {
    /// Room for so many tensors, of which none holds anything.
    pub fn new(count: usize) -> Values {
        Values { floats: vec![Vec::new(); count], integers: vec![Vec::new(); count] }
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.floats.len()
    }

    pub fn is_empty(&self) -> bool {
        self.floats.is_empty()
    }

    /// Panics when no step has written it yet: a fault of the plan.
    pub fn get(&self, id: TensorId) -> &[f64] {
        assert!(!self.floats[id.0].is_empty(), "tensor {} is read before it is written", id.0);
        &self.floats[id.0]
    }

    /// None when nothing has written it.
    pub fn find(&self, id: TensorId) -> Option<&[f64]> {
        Some(&self.floats[id.0][..]).filter(|numbers| !numbers.is_empty())
    }

    pub fn integers(&self, id: TensorId) -> &[u32] {
        &self.integers[id.0]
    }

    pub fn integers_mut(&mut self, id: TensorId) -> &mut [u32] {
        &mut self.integers[id.0]
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
