//! One node of a plan with the numbers it was given: what its bound is worked out from.

use crate::cpu::Values;
use crate::plan::{Element, Node, Plan, Step, TensorId};
use crate::shader::{Access, Constant};

/// Kernels that only help others: a node with another kernel is named after that one.
const HELPERS: [&str; 1] = ["sum/merge"];

/// A node, its inputs, and what its twin makes of them.
pub struct Operation<'a> {
    pub plan: &'a Plan,
    pub node: &'a Node,
    /// Whether the input numbers were made up independently of each other, so that the terms of a sum are independent too.
    pub independent: bool,
    inputs: Values,
    outputs: Values,
}

impl<'a> Operation<'a> {
    /// Runs the twin on what the tensors hold.
    pub fn new(plan: &'a Plan, node: &'a Node, independent: bool, held: &Values) -> Operation<'a> {
        let inputs = bound_tensors(plan, node, held, |_, numbers| numbers.to_vec());
        let mut outputs = bound_tensors(plan, node, held, |_, numbers| numbers.to_vec());
        (node.twin)(&mut outputs);
        Operation { plan, node, independent, inputs, outputs }
    }

    fn steps(&self) -> &'a [Step] {
        &self.plan.steps[self.node.steps.clone()]
    }

    /// The kernel that the node is about.
    pub fn kernel(&self) -> &'static str {
        let kernels = || self.steps().iter().map(|step| step.kernel.path);
        kernels().find(|path| !HELPERS.contains(path)).or_else(|| kernels().next()).expect("a node has steps")
    }

    /// The tensor behind a binding of one of the kernels.
    pub fn id(&self, binding: &str) -> TensorId {
        let mut bindings = self.steps().iter().flat_map(|step| &step.bindings);
        let found = bindings.find(|(name, _)| *name == binding);
        found.unwrap_or_else(|| panic!("{} binds no {binding}", self.node.name)).1.tensor
    }

    /// A tensor that the twin needs and no step may bind: the weights of a convolution in tiles.
    pub fn read(&self) -> TensorId {
        *self.node.reads.first().unwrap_or_else(|| panic!("{} reads nothing unbound", self.node.name))
    }

    /// What any tensor of the node held before it ran.
    pub fn input_of(&self, id: TensorId) -> &[f64] {
        self.inputs.get(id)
    }

    /// Whether one of the kernels has a binding of that name.
    pub fn binds(&self, binding: &str) -> bool {
        self.steps().iter().flat_map(|step| &step.bindings).any(|(name, _)| *name == binding)
    }

    /// Whether one of the kernels takes a library where it has the choice.
    pub fn uses(&self, library: &str) -> bool {
        self.steps().iter().any(|step| step.kernel.chosen == Some(library))
    }

    pub fn shape(&self, binding: &str) -> &'a [usize] {
        &self.plan.tensor(self.id(binding)).shape
    }

    /// What a tensor held before the node ran.
    pub fn input(&self, binding: &str) -> &[f64] {
        self.inputs.get(self.id(binding))
    }

    pub fn integers(&self, binding: &str) -> &[u32] {
        self.inputs.integers(self.id(binding))
    }

    /// What the twin computed.
    pub fn output(&self, binding: &str) -> &[f64] {
        self.outputs.get(self.id(binding))
    }

    pub fn output_of(&self, id: TensorId) -> &[f64] {
        self.outputs.get(id)
    }

    /// Whether a constant of one of the kernels is set.
    pub fn flag(&self, constant: &str) -> bool {
        let mut constants = self.steps().iter().flat_map(|step| &step.constants);
        constants.any(|&(name, value)| name == constant && value == Constant::Bool(true))
    }

    /// A size that the kernels were made for.
    pub fn size(&self, constant: &str) -> usize {
        let mut constants = self.steps().iter().flat_map(|step| &step.constants);
        match constants.find(|(name, _)| *name == constant) {
            Some((_, Constant::Unsigned(size))) => *size as usize,
            other => panic!("{} has no size {constant}: {other:?}", self.node.name),
        }
    }

    /// What the kernels write, each tensor once.
    fn written(&self) -> Vec<TensorId> {
        let mut tensors = Vec::new();
        for step in self.steps() {
            let declared = self.plan.declared(step);
            let written = |name: &str| declared.iter().any(|b| b.access == Access::Write && b.name == name);
            for (_, view) in step.bindings.iter().filter(|(name, _)| written(name)) {
                if !tensors.contains(&view.tensor) {
                    tensors.push(view.tensor);
                }
            }
        }
        tensors
    }

    /// Whether a tensor is stored in half precision.
    pub fn is_half(&self, id: TensorId) -> bool {
        self.plan.tensor(id).element == Element::F16
    }

    /// The tensors of floats that the twin computes; partial sums belong to the kernels alone.
    pub fn outputs(&self) -> Vec<TensorId> {
        self.written().into_iter().filter(|id| self.outputs.find(*id).is_some()).collect()
    }

    /// The integers that it computes.
    pub fn integer_outputs(&self) -> Vec<(TensorId, &[u32])> {
        let integers = |id: &TensorId| self.plan.tensor(*id).element == Element::U32;
        self.written().into_iter().filter(integers).map(|id| (id, self.outputs.integers(id))).collect()
    }

    /// The twin once more, on inputs that `change` makes of each tensor's numbers.
    pub fn rerun(&self, change: impl Fn(TensorId, &[f64]) -> Vec<f64>) -> Values {
        let mut values = bound_tensors(self.plan, self.node, &self.inputs, change);
        (self.node.twin)(&mut values);
        values
    }
}

/// The tensors that a node's steps bind and its twin reads, as far as they hold anything.
fn bound_tensors(plan: &Plan, node: &Node, held: &Values, change: impl Fn(TensorId, &[f64]) -> Vec<f64>) -> Values {
    let mut values = Values::new(plan);
    let bound = plan.steps[node.steps.clone()].iter().flat_map(|step| &step.bindings).map(|(_, view)| view.tensor);
    for id in bound.chain(node.reads.iter().copied()) {
        if let Some(numbers) = held.find(id) {
            values.set(id, change(id, numbers));
        }
        values.set_integers(id, held.integers(id).to_vec());
    }
    values
}
