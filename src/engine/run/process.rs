//! A rank in a process of its own: one of several that compute one plan together, each its shares of every batch. All
//! call the same methods in the same order. What persists is the same on all of them, bit by bit.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::group::{Member, common, disagree};
use super::{Engine, Running};
use crate::engine::collective::{Collective, Spent, Timed};
use crate::engine::numbers::same_bits;
use crate::engine::plan::{Lifetime, Plan, Slice, Target, names};
use crate::engine::receipt;
use crate::error::{Error, Result};

#[derive(Debug)]
pub struct Process {
    /// The device of this rank.
    own: Engine,
    /// The way to the other ranks; None once this one goes on alone.
    others: Option<Timed>,
    spent: Arc<Spent>,
    target: Target,
    /// The rank that runs the next batch of a plan that teaches nothing, and the one whose run was waited for last.
    turn: usize,
    last: usize,
    stop: Stop,
}

/// Whether the run should end: a process that was asked to, and what all ranks know of it.
#[derive(Debug, Default)]
struct Stop {
    asked: Option<Arc<AtomicBool>>,
    agreed: Arc<AtomicBool>,
}

/// A run of which this rank may have a part.
#[derive(Debug)]
pub struct OfProcess {
    /// The rank that runs it; None means all.
    by: Option<usize>,
    own: Option<Box<Running>>,
    /// Numbers of its metrics and its receipt.
    length: usize,
}

impl Process {
    /// A rank that computes on one device. Returns once all ranks are there.
    ///
    /// # Errors
    /// `Error::Device` where two ranks' devices are not of one kind: their results would be rounded differently.
    pub fn new(own: Engine, others: Box<dyn Collective>) -> Result<Process> {
        let mut others = Timed::new(others);
        let spent = others.spent();
        let member = serde_json::to_string(&Member::of(&own)).expect("a member is plain values");
        let members: Vec<Member> = others
            .texts(&member)?
            .iter()
            .map(|text| serde_json::from_str(text))
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| Error::Input("the ranks are not of one version of ocellus".into()))?;
        let target = common(own.target(), &members)?;
        Ok(Process { own, others: Some(others), spent, target, turn: 0, last: 0, stop: Stop::default() })
    }

    pub fn rank(&self) -> usize {
        self.others.as_ref().map_or(0, |others| others.rank())
    }

    /// How many ranks compute together.
    pub fn ranks(&self) -> usize {
        self.others.as_ref().map_or(1, |others| others.ranks())
    }

    pub fn describe(&self) -> String {
        let own = self.own.describe();
        self.others.as_ref().map_or(own.clone(), |others| format!("{} ranks, each with {own}", others.ranks()))
    }

    /// Seconds spent in exchanges so far.
    pub fn exchange_seconds(&self) -> f64 {
        self.spent.seconds()
    }

    /// The device of this rank.
    pub fn own(&self) -> &Engine {
        &self.own
    }

    /// Limits that every rank keeps. A batch has as many shares as there are ranks.
    pub fn target(&self) -> Target {
        self.target.clone()
    }

    pub fn plan(&self, program: usize) -> &Plan {
        self.own.plan(program)
    }

    /// From here on this rank computes without the others, which must not wait for it. Plans with exchanges cannot be run any more.
    pub fn go_alone(&mut self) {
        self.others = None;
    }

    /// A flag that all ranks set after the same step, once one of them finds `asked`.
    pub fn agreed(&mut self, asked: &Arc<AtomicBool>) -> Arc<AtomicBool> {
        self.stop.asked = Some(Arc::clone(asked));
        Arc::clone(&self.stop.agreed)
    }

    /// Loads the plan that `make` makes for this rank's target.
    pub fn load(&mut self, target: &Target, make: impl Fn(&Target) -> Plan) -> Result<usize> {
        let own = self.own_target(target);
        self.own.load(make(&own))
    }

    /// Makes room for this rank's plans.
    pub fn reserve(&mut self, target: &Target, make: impl Fn(&Target) -> Vec<Plan>) -> Result<()> {
        let own = self.own_target(target);
        self.own.reserve(&make(&own))
    }

    fn own_target(&self, target: &Target) -> Target {
        target.of_rank(self.rank(), self.ranks())
    }

    /// Whether this rank runs a batch of a plan, `ahead` runs from now.
    fn takes_part(&self, program: usize, ahead: usize) -> bool {
        let turn = (self.turn + ahead) % self.ranks();
        self.plan(program).teaches() || self.others.is_none() || turn == self.rank()
    }

    /// The images that this rank computes of a batch, `ahead` runs from now.
    pub fn images_to_read(&self, program: usize, ahead: usize) -> Range<usize> {
        let (plan, takes_part) = (self.plan(program), self.takes_part(program, ahead));
        if takes_part { plan.first_image()..plan.first_image() + plan.images() } else { 0..0 }
    }

    /// Writes a tensor of numbers with one of `Engine`'s methods: all of it, or this rank's part of one that belongs to images.
    pub fn write<T>(&mut self, program: usize, name: &str, values: &[T], write: fn(&mut Engine, usize, &str, &[T]))
    where
        T: Copy + Default,
    {
        if names::OF_BATCH.contains(&name) && !self.takes_part(program, 0) {
            return;
        }
        let (id, plan) = (self.own.id(program, name), self.own.plan(program));
        let part = plan.own_part(id, values);
        write(&mut self.own, program, name, &part);
    }

    /// Reads a tensor: the numbers of this rank, which must be those of all where the tensor persists or all ran the plan;
    /// else those of the rank that ran it. One that ranks have slices of is put together.
    ///
    /// # Errors
    /// As `Engine::read`; `Error::Check` where ranks disagree.
    ///
    /// # Panics
    /// Of slices, once this rank goes on alone.
    pub fn read(&mut self, program: usize, name: &str) -> Result<Vec<f32>> {
        let plan = self.own.plan(program);
        let of_one = plan.tensor(self.own.id(program, name)).lifetime != Lifetime::Persistent && !plan.teaches();
        let slice = plan.tensor(self.own.id(program, name)).slice.clone();
        let numbers = self.own.read(program, name)?;
        if let Some(slice) = slice {
            let others = self.others.as_mut().expect("the other ranks have the other slices");
            return read_slices(others, self.own.plan(program), &slice, numbers);
        }
        match (&mut self.others, of_one) {
            (None, _) => Ok(numbers),
            (Some(others), true) => Ok(gather(others, &numbers)?.swap_remove(self.last)),
            (Some(others), false) => {
                let sum = blake3::hash(bytemuck::cast_slice(&numbers)).to_hex();
                let sums = others.texts(&sum)?;
                match sums.iter().position(|other| *other != sums[0]) {
                    None => Ok(numbers),
                    Some(other) => Err(disagree(name, "rank 0", &format!("rank {other}"))),
                }
            }
        }
    }

    /// Starts a run of a plan that has metrics.
    ///
    /// # Errors
    /// When this device fails, or another rank does.
    pub fn start(&mut self, program: usize) -> Result<OfProcess> {
        let by = match self.plan(program).teaches() || self.others.is_none() {
            true => None,
            false => Some(self.turn),
        };
        let takes_part = self.takes_part(program, 0);
        if by.is_some() {
            self.turn = (self.turn + 1) % self.ranks();
        }
        let own = match (&mut self.others, takes_part) {
            (_, false) => None,
            (Some(others), true) => Some(Box::new(self.own.start_with(program, others)?)),
            (None, true) => Some(Box::new(self.own.start(program))),
        };
        let metrics = self.plan(program).find(names::METRICS).expect("the plan has metrics");
        let length = self.plan(program).tensor(metrics).shape.iter().product::<usize>() + receipt::LENGTH;
        Ok(OfProcess { by, own, length })
    }

    /// Waits for a run: its metrics, then its receipt.
    pub fn finish(&mut self, OfProcess { by, own, length }: OfProcess) -> Result<Vec<f32>> {
        let mut numbers = match own {
            Some(running) => self.own.numbers(*running)?,
            None => vec![0.0; length],
        };
        let Some(others) = &mut self.others else { return Ok(numbers) };
        receipt::clear_own(&mut numbers);
        let asked = self.stop.asked.as_ref().is_some_and(|asked| asked.load(Ordering::Relaxed));
        numbers.push(f32::from(u8::from(asked)));
        let mut all = gather(others, &numbers)?;
        let asked: Vec<bool> = all.iter_mut().map(|numbers| numbers.pop() == Some(1.0)).collect();
        if asked.contains(&true) {
            self.stop.agreed.store(true, Ordering::Relaxed);
        }
        if let Some(by) = by {
            self.last = by;
            return Ok(all.swap_remove(by));
        }
        receipt::agree_on_fault(&mut all);
        match all.iter().position(|other| !same_bits(other, &all[0])) {
            None => Ok(all.swap_remove(0)),
            Some(other) => Err(disagree("the loss of a step", "rank 0", &format!("rank {other}"))),
        }
    }
}

/// The tensor of which each rank has a slice.
fn read_slices(others: &mut dyn Collective, plan: &Plan, slice: &Slice, mut own: Vec<f32>) -> Result<Vec<f32>> {
    let lengths: Vec<usize> = plan.slices_by_rank(plan.count_of(slice.of.into())).map(|slice| slice.len()).collect();
    own.resize(lengths.iter().copied().max().unwrap_or(0), 0.0);
    let mut all = gather(others, &own)?;
    all.iter_mut().zip(lengths).for_each(|(numbers, length)| numbers.truncate(length));
    Ok(plan.joined(slice, &all))
}

/// The numbers of all ranks, in the order of the ranks.
fn gather(others: &mut dyn Collective, own: &[f32]) -> Result<Vec<Vec<f32>>> {
    let mut all = vec![0.0f32; own.len() * others.ranks()];
    others.all_gather(bytemuck::cast_slice(own), bytemuck::cast_slice_mut(&mut all))?;
    Ok(all.chunks(own.len()).map(<[f32]>::to_vec).collect())
}
