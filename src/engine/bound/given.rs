//! Inputs of an operation and its twin's outputs, from which a bound is computed.

use crate::engine::tensor::{TensorId, Twin, Values};

/// An operation's inputs, and the outputs of its twin.
pub struct Given<'a> {
    /// Whether the input numbers were made up independently of each other, so that the terms of a sum are independent too.
    pub independent: bool,
    twin: &'a Twin,
    tensors: Vec<TensorId>,
    inputs: Values,
    outputs: Values,
    written: Vec<TensorId>,
}

impl<'a> Given<'a> {
    /// Runs the twin on what the tensors of an operation hold: `tensors` are all that it reads or writes, `written` those
    /// that it writes.
    pub fn new(
        twin: &'a Twin,
        tensors: Vec<TensorId>,
        written: &[TensorId],
        held: &Values,
        independent: bool,
    ) -> Given<'a> {
        let inputs = changed(held, &tensors, |_, numbers| numbers.to_vec());
        let mut outputs = inputs.clone();
        twin(&mut outputs);
        // Partial sums belong to the kernels alone.
        let written = written.iter().copied().filter(|id| outputs.find(*id).is_some()).collect();
        Given { independent, twin, tensors, inputs, outputs, written }
    }

    /// Values of a tensor before the operation.
    pub fn input(&self, id: TensorId) -> &[f64] {
        self.inputs.get(id)
    }

    /// The integers that a tensor held before the operation.
    pub fn integers(&self, id: TensorId) -> &[u32] {
        self.inputs.integers(id)
    }

    /// Values of a tensor as the twin computed them.
    pub fn output(&self, id: TensorId) -> &[f64] {
        self.outputs.get(id)
    }

    /// The integers that the twin computed.
    pub fn integer_output(&self, id: TensorId) -> &[u32] {
        self.outputs.integers(id)
    }

    /// The tensors of floats that the twin computes.
    pub fn outputs(&self) -> &[TensorId] {
        &self.written
    }

    /// The twin once more, on inputs that `change` makes of each tensor's numbers.
    pub fn rerun(&self, change: impl Fn(TensorId, &[f64]) -> Vec<f64>) -> Values {
        let mut values = changed(&self.inputs, &self.tensors, change);
        (self.twin)(&mut values);
        values
    }
}

/// Tensors, as far as they hold anything, with their numbers changed.
fn changed(held: &Values, tensors: &[TensorId], change: impl Fn(TensorId, &[f64]) -> Vec<f64>) -> Values {
    let mut values = Values::new(held.len());
    for &id in tensors {
        if let Some(numbers) = held.find(id) {
            values.set(id, change(id, numbers));
        }
        values.set_integers(id, held.integers(id).to_vec());
    }
    values
}
