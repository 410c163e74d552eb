//! The plan on the CPU: every node's f64 twin, in order. Slow and plain; what `--device cpu` runs, and what the GPU is
//! compared with.

use std::collections::HashMap;

use crate::engine::collective::Collective;
use crate::engine::layout::{run_of, with_run};
use crate::engine::plan::names;
use crate::engine::plan::{Element, Exchange, Lifetime, Plan, Run, TensorId};
use crate::engine::receipt;
use crate::engine::tensor::Values;
use crate::error::Result;

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
            if tensor.lifetime == Lifetime::Persistent && !tensor.is_arena() {
                let zeros = || vec![0.0; tensor.shape.iter().product()];
                self.shared.entry(tensor.name.clone()).or_insert_with(zeros);
            }
        }
        let mut values = Values::new(plan.tensors.len());
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
        self.run_with(program, None).expect("only an exchange can fail")
    }

    /// Runs a plan with exchanges between other ranks.
    ///
    /// # Errors
    /// As [`Collective::all_gather`].
    pub fn run_with(&mut self, program: usize, mut collective: Option<&mut dyn Collective>) -> Result<Vec<f32>> {
        let (plan, values) = &mut self.programs[program];
        let persistent: Vec<TensorId> = (0..plan.tensors.len())
            .map(TensorId)
            .filter(|id| plan.tensor(*id).lifetime == Lifetime::Persistent && !plan.tensor(*id).is_arena())
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
            if let Some(exchange) = node.exchange {
                let collective = collective.as_deref_mut().expect("a plan with exchanges is run with other ranks");
                self::exchange(plan, &plan.exchanges[exchange], values, collective)?;
            }
        }
        for &id in &persistent {
            let rounded = values.take(id).into_iter().map(|number| f64::from(number as f32)).collect();
            self.shared.insert(plan.tensor(id).name.clone(), rounded);
        }
        Ok(outcome.into_iter().flatten().flat_map(|id| values.get(id)).map(|&number| number as f32).collect())
    }
}

/// The twin of an exchange: f64 go from rank to rank as they are.
fn exchange(plan: &Plan, exchange: &Exchange, values: &mut Values, collective: &mut dyn Collective) -> Result<()> {
    let (own, ranks) = (plan.target.shares.rank(), plan.target.shares.ranks());
    let numbers = |values: &Values, runs: &[Run]| -> Vec<f64> {
        runs.iter().flat_map(|run| run_of(plan.tensor(run.tensor), values.get(run.tensor), &run.numbers)).collect()
    };
    let put = |values: &mut Values, runs: Vec<Run>, mut block: &[f64]| {
        for Run { tensor: id, numbers } in runs {
            let (these, rest) = block.split_at(numbers.len());
            let tensor = plan.tensor(id);
            let mut all = values.take(id);
            all.resize(tensor.shape.iter().product(), 0.0);
            values.set(id, with_run(tensor, &all, numbers.start, these));
            block = rest;
        }
    };
    let others = || (0..ranks).filter(|rank| *rank != own);
    let length = |runs: Vec<Run>| runs.iter().map(|run| run.numbers.len()).sum::<usize>();
    if !exchange.gathered.is_empty() {
        let block = (0..ranks).map(|rank| length(plan.runs_of(exchange, rank))).max().unwrap_or(0);
        let mut given = numbers(values, &plan.runs_of(exchange, own));
        given.resize(block, 0.0);
        let mut all = vec![0.0; block * ranks];
        collective.all_gather(bytemuck::cast_slice(&given), bytemuck::cast_slice_mut(&mut all))?;
        others().for_each(|rank| put(values, plan.runs_of(exchange, rank), &all[rank * block..]));
    }
    if !exchange.dealt.is_empty() {
        let block = (0..ranks).map(|rank| length(plan.runs_for(exchange, rank))).max().unwrap_or(0);
        let mut given = vec![0.0; block * ranks];
        for rank in others() {
            let numbers = numbers(values, &plan.runs_for(exchange, rank));
            given[rank * block..][..numbers.len()].copy_from_slice(&numbers);
        }
        let mut all = vec![0.0; given.len()];
        collective.all_to_all(bytemuck::cast_slice(&given), bytemuck::cast_slice_mut(&mut all))?;
        others().for_each(|rank| put(values, plan.runs_from(exchange, rank), &all[rank * block..]));
    }
    Ok(())
}
