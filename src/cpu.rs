//! The plan on the CPU: every node's f64 twin, in order. Slow and plain; what `--device cpu` runs, and what the GPU is
//! compared with.

use std::collections::HashMap;

use crate::ops::receipt;
use crate::plan::network::names;
use crate::plan::{Element, Lifetime, Plan, TensorId};

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

/// Plans on the twins, with the tensors that they share: what `gpu::session::Session` is for a device.
#[derive(Debug, Default)]
pub struct Session {
    programs: Vec<(Plan, Values)>,
    /// Persistent tensors by name.
    shared: HashMap<String, Vec<f64>>,
}

impl Session {
    /// Persistent tensors that no earlier plan has start as zeros.
    pub fn load(&mut self, plan: Plan) -> usize {
        for tensor in &plan.tensors {
            if tensor.lifetime == Lifetime::Persistent {
                let zeros = || vec![0.0; tensor.shape.iter().product()];
                self.shared.entry(tensor.name.clone()).or_insert_with(zeros);
            }
        }
        let mut values = Values::new(&plan);
        // As on a device, whose buffers start as zeros.
        for (index, tensor) in plan.tensors.iter().enumerate().filter(|(_, tensor)| tensor.element == Element::U32) {
            values.set_integers(TensorId(index), vec![0; tensor.shape.iter().product()]);
        }
        self.programs.push((plan, values));
        self.programs.len() - 1
    }

    pub fn plan(&self, program: usize) -> &Plan {
        &self.programs[program].0
    }

    pub fn write(&mut self, program: usize, id: TensorId, numbers: &[f32]) {
        let (plan, values) = &mut self.programs[program];
        let tensor = plan.tensor(id);
        assert_eq!(numbers.len(), tensor.shape.iter().product::<usize>(), "{} has that many numbers", tensor.name);
        let wide = numbers.iter().map(|&number| f64::from(number)).collect();
        match tensor.lifetime {
            Lifetime::Persistent => drop(self.shared.insert(tensor.name.clone(), wide)),
            _ => values.set(id, wide),
        }
    }

    pub fn write_integers(&mut self, program: usize, id: TensorId, integers: &[u32]) {
        self.programs[program].1.set_integers(id, integers.to_vec());
    }

    pub fn integers(&self, program: usize, id: TensorId) -> &[u32] {
        self.programs[program].1.integers(id)
    }

    pub fn read(&self, program: usize, id: TensorId) -> Vec<f32> {
        let (plan, values) = &self.programs[program];
        let tensor = plan.tensor(id);
        let wide = match tensor.lifetime {
            Lifetime::Persistent => &self.shared[&tensor.name],
            _ => values.get(id),
        };
        wide.iter().map(|&number| number as f32).collect()
    }

    /// Runs a plan and returns its metrics, then its receipt. What persists is rounded to f32, which is what a checkpoint holds:
    /// a run that is resumed goes on with the same numbers.
    pub fn run(&mut self, program: usize) -> Vec<f32> {
        let (plan, values) = &mut self.programs[program];
        let persistent: Vec<TensorId> = (0..plan.tensors.len())
            .map(TensorId)
            .filter(|id| plan.tensor(*id).lifetime == Lifetime::Persistent)
            .collect();
        for &id in &persistent {
            values.set(id, self.shared[&plan.tensor(id).name].clone());
        }
        let outcome = [names::METRICS, names::RECEIPT].map(|name| plan.find(name));
        if let Some(receipt) = outcome[1] {
            values.set(receipt, receipt::fresh(0.0).to_vec());
        }
        for node in &plan.nodes {
            (node.twin)(values);
        }
        for &id in &persistent {
            let rounded = values.take(id).into_iter().map(|number| f64::from(number as f32)).collect();
            self.shared.insert(plan.tensor(id).name.clone(), rounded);
        }
        outcome.into_iter().flatten().flat_map(|id| values.get(id)).map(|&number| number as f32).collect()
    }
}
