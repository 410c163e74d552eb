//! A group: several devices of one kind that compute one plan together, each its shares of every batch. A rank is a device
//! with a thread of its own. What persists is the same on all of them, bit by bit.

use std::ops::Range;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use super::{Closed, Engine, Running};
use crate::engine::collective::{Collective, Meeting, Spent, Timed};
use crate::engine::numbers::same_bits;
use crate::engine::plan::{Lifetime, Plan, Shares, Target, names};
use crate::engine::receipt;
use crate::error::{Error, Result};

/// Work for a rank's thread.
type Job = Box<dyn FnOnce(&mut Engine, &mut dyn Collective) + Send>;

#[derive(Debug)]
pub struct Group {
    ranks: Vec<Rank>,
    meeting: Arc<Meeting>,
    /// Time that rank 0 spent in exchanges.
    spent: Arc<Spent>,
    /// The plans of rank 0, by their numbers: for names, shapes and sizes.
    plans: Vec<Plan>,
    target: Target,
    dispatch_ms: u32,
    is_software: bool,
    /// The rank that runs the next batch of a plan that teaches nothing, and the one whose run was waited for last.
    turn: usize,
    last: usize,
}

#[derive(Debug)]
struct Rank {
    name: String,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Numbers of a run, from each rank that takes part.
#[derive(Debug)]
pub struct OfRanks {
    first: usize,
    numbers: Vec<Answer<Vec<f32>>>,
}

/// The result that a rank's thread will send.
type Answer<T> = mpsc::Receiver<Result<T>>;

/// Fails the meeting of a thread that panics.
struct Watch(Arc<Meeting>, usize);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(self.1);
        }
    }
}

/// Properties that must be alike in the devices of a group, and limits that all keep.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Member {
    device: String,
    variant: String,
    binding_bytes: u64,
    dispatch_flops: u64,
    groups_per_dimension: u32,
}

impl Member {
    pub fn of(engine: &Engine) -> Member {
        let Target { binding_bytes, dispatch_flops, groups_per_dimension, variant, .. } = engine.target();
        let (device, variant) = (engine.describe(), variant.to_string());
        Member { device, variant, binding_bytes, dispatch_flops, groups_per_dimension }
    }
}

/// The target of a group, from that of its first device: a share for each, and limits that all keep.
///
/// # Errors
/// `Error::Device` where two devices are not of one kind.
pub(super) fn common(of_first: Target, members: &[Member]) -> Result<Target> {
    let mut target = Target { shares: Shares::all(members.len()), ..of_first };
    let first = &members[0];
    for (rank, other) in members.iter().enumerate().skip(1) {
        if (&first.device, &first.variant) != (&other.device, &other.variant) {
            return Err(Error::Device(format!(
                "device 0 of the group is {}, which computes with {}, and device {rank} is {}, which computes with {}: \
                 their results are rounded differently; name devices of one kind",
                first.device, first.variant, other.device, other.variant,
            )));
        }
        target.binding_bytes = target.binding_bytes.min(other.binding_bytes);
        target.dispatch_flops = target.dispatch_flops.min(other.dispatch_flops);
        target.groups_per_dimension = target.groups_per_dimension.min(other.groups_per_dimension);
    }
    Ok(target)
}

impl Group {
    /// A group of these engines, the first of which is rank 0.
    ///
    /// # Errors
    /// `Error::Device` where two are not of one kind: their results would be rounded differently.
    pub fn new(engines: Vec<Engine>) -> Result<Group> {
        let first = &engines[0];
        let members: Vec<Member> = engines.iter().map(Member::of).collect();
        let target = common(first.target(), &members)?;
        let (dispatch_ms, is_software) = (first.dispatch_ms(), first.is_software());
        let meeting = Meeting::new(engines.len());
        let count = engines.len();
        let seats: Vec<Timed> = (0..count).map(|rank| Timed::new(Box::new(meeting.seat(rank)))).collect();
        let spent = seats[0].spent();
        let rank = |((rank, mut engine), mut seat): ((usize, Engine), Timed)| {
            let name = format!("device {rank} of {count} ({})", engine.describe());
            let (jobs, queue) = mpsc::channel::<Job>();
            let watch = Watch(Arc::clone(&meeting), rank);
            let thread = std::thread::spawn(move || {
                let _watch = watch;
                for job in queue {
                    job(&mut engine, &mut seat);
                }
            });
            Rank { name, jobs: Some(jobs), thread: Some(thread) }
        };
        let ranks = engines.into_iter().enumerate().zip(seats).map(rank).collect();
        let plans = Vec::new();
        Ok(Group { ranks, meeting, spent, plans, target, dispatch_ms, is_software, turn: 0, last: 0 })
    }

    /// How many ranks there are.
    pub fn ranks(&self) -> usize {
        self.ranks.len()
    }

    /// Time that rank 0 spent in exchanges so far.
    pub fn spent(&self) -> &Spent {
        &self.spent
    }

    pub fn describe(&self) -> String {
        let names: Vec<&str> = self.ranks.iter().map(|rank| &rank.name[..]).collect();
        names.join(", ")
    }

    pub fn is_software(&self) -> bool {
        self.is_software
    }

    pub fn dispatch_ms(&self) -> u32 {
        self.dispatch_ms
    }

    /// Limits that every rank keeps. A batch has as many shares as there are ranks.
    pub fn target(&self) -> Target {
        self.target.clone()
    }

    pub fn plan(&self, program: usize) -> &Plan {
        &self.plans[program]
    }

    /// Gives up the devices.
    pub fn close(&mut self) -> Vec<Closed> {
        // Threads that wait for a device that was lost are not waited for.
        let closed = self.ask(0..self.ranks(), |_| |engine: &mut Engine, _: &mut dyn Collective| Ok(engine.close()));
        closed.into_iter().filter_map(|answer| answer.recv().ok()?.ok()).flatten().collect()
    }

    /// Has threads do work that may fail.
    fn ask<T, W>(&self, ranks: Range<usize>, work: impl Fn(usize) -> W) -> Vec<Answer<T>>
    where
        T: Send + 'static,
        W: FnOnce(&mut Engine, &mut dyn Collective) -> Result<T> + Send + 'static,
    {
        let ask = |rank: usize| {
            let ((answer, answered), work) = (mpsc::channel(), work(rank));
            let meeting = Arc::clone(&self.meeting);
            let job: Job = Box::new(move |engine, collective| {
                let done = work(engine, collective);
                if done.is_err() {
                    meeting.fail(rank);
                }
                // Nobody waits for it any more where another rank failed first.
                drop(answer.send(done));
            });
            // A thread that ended gives no answer, which is found out where one is waited for.
            drop(self.ranks[rank].jobs.as_ref().expect("a group is open").send(job));
            answered
        };
        ranks.map(ask).collect()
    }

    /// Waits for the answers of some ranks. The error is that of the rank that failed first, with its name.
    fn answers<T>(&self, first: usize, answers: Vec<Answer<T>>) -> Result<Vec<T>> {
        let gone = || Err(Error::Device("its thread ended".into()));
        let mut answers: Vec<Result<T>> =
            answers.into_iter().map(|one| one.recv().unwrap_or_else(|_| gone())).collect();
        if answers.iter().all(Result::is_ok) {
            return answers.into_iter().collect();
        }
        let failed = |index: &usize| answers[*index].is_err();
        let culprit = self.meeting.failed().and_then(|rank| rank.checked_sub(first)).filter(|at| *at < answers.len());
        let culprit = culprit.filter(failed).or_else(|| (0..answers.len()).find(failed)).expect("one failed");
        let Err(error) = answers.swap_remove(culprit) else { unreachable!("it failed") };
        let name = &self.ranks[first + culprit].name;
        Err(match error {
            Error::DeviceLost(why) => Error::DeviceLost(format!("{name}: {why}")),
            Error::Device(why) => Error::Device(format!("{name}: {why}")),
            other => other,
        })
    }

    /// Has every rank load its own plan, which `make` makes for its target.
    pub fn load(&mut self, target: &Target, make: impl Fn(&Target) -> Plan) -> Result<usize> {
        let ranks = self.ranks();
        let of = |rank| make(&target.of_rank(rank, ranks));
        let loaded = self.ask(0..ranks, |rank| {
            let plan = of(rank);
            move |engine: &mut Engine, _: &mut dyn Collective| engine.load(plan)
        });
        self.answers(0, loaded)?;
        self.plans.push(of(0));
        Ok(self.plans.len() - 1)
    }

    /// Has every rank make room for its own plans.
    pub fn reserve(&mut self, target: &Target, make: impl Fn(&Target) -> Vec<Plan>) -> Result<()> {
        let ranks = self.ranks();
        let reserved = self.ask(0..ranks, |rank| {
            let plans = make(&target.of_rank(rank, ranks));
            move |engine: &mut Engine, _: &mut dyn Collective| engine.reserve(&plans)
        });
        self.answers(0, reserved).map(drop)
    }

    /// The ranks that are given a tensor.
    fn given(&self, program: usize, name: &str) -> Range<usize> {
        match self.plans[program].teaches() || !names::OF_BATCH.contains(&name) {
            true => 0..self.ranks(),
            false => self.turn..self.turn + 1,
        }
    }

    /// Writes a tensor of numbers, or each rank's part of one that belongs to images.
    pub fn write(&mut self, program: usize, name: &str, values: &[f32]) {
        self.write_with(program, name, values, Engine::write);
    }

    /// Writes a tensor of integers, as [`Group::write`].
    pub fn write_integers(&mut self, program: usize, name: &str, values: &[u32]) {
        self.write_with(program, name, values, Engine::write_integers);
    }

    fn write_with<T>(&self, program: usize, name: &str, values: &[T], write: fn(&mut Engine, usize, &str, &[T]))
    where
        T: Copy + Default + Send + Sync + 'static,
    {
        let (name, values) = (name.to_string(), Arc::<[T]>::from(values));
        self.ask(self.given(program, &name), |_| {
            let (name, values) = (name.clone(), Arc::clone(&values));
            move |engine: &mut Engine, _: &mut dyn Collective| {
                let (id, plan) = (engine.id(program, &name), engine.plan(program));
                let part = plan.own_part(id, &values).to_vec();
                write(engine, program, &name, &part);
                Ok(())
            }
        });
    }

    /// Reads a tensor. One that persists is read from every rank, and must be the same everywhere, or is put together from
    /// slices.
    ///
    /// # Errors
    /// As `Engine::read`; `Error::Check` where ranks disagree.
    pub fn read(&mut self, program: usize, name: &str) -> Result<Vec<f32>> {
        let plan = &self.plans[program];
        let id = plan.find(name).unwrap_or_else(|| panic!("the plan has no tensor {name}"));
        let from = match (plan.tensor(id).lifetime, self.plans[program].teaches()) {
            (Lifetime::Persistent, _) => 0..self.ranks(),
            (_, true) => 0..1,
            (_, false) => self.last..self.last + 1,
        };
        let first = from.start;
        let read = self.ask(from, |_| {
            let name = name.to_string();
            move |engine: &mut Engine, _: &mut dyn Collective| engine.read(program, &name)
        });
        let all = self.answers(first, read)?;
        let plan = &self.plans[program];
        match &plan.tensor(id).slice {
            Some(slice) => Ok(plan.joined(slice, &all)),
            None => self.alike(name, first, all),
        }
    }

    /// The numbers that all ranks have alike.
    fn alike(&self, what: &str, first: usize, mut all: Vec<Vec<f32>>) -> Result<Vec<f32>> {
        match all.iter().position(|one| !same_bits(one, &all[0])) {
            None => Ok(all.swap_remove(0)),
            Some(other) => Err(disagree(what, &self.ranks[first].name, &self.ranks[first + other].name)),
        }
    }

    /// Starts a run of a plan that has metrics.
    pub fn start(&mut self, program: usize) -> OfRanks {
        let ranks = match self.plans[program].teaches() {
            true => 0..self.ranks(),
            false => {
                let own = self.turn;
                self.turn = (own + 1) % self.ranks();
                own..own + 1
            }
        };
        let first = ranks.start;
        let numbers = self.ask(ranks, |_| {
            move |engine: &mut Engine, collective: &mut dyn Collective| {
                let running: Running = engine.start_with(program, collective)?;
                engine.numbers(running)
            }
        });
        OfRanks { first, numbers }
    }

    /// Waits for a run: its metrics, then its receipt.
    pub fn finish(&mut self, running: OfRanks) -> Result<Vec<f32>> {
        self.last = running.first;
        let mut all = self.answers(running.first, running.numbers)?;
        all.iter_mut().for_each(|numbers| receipt::clear_own(numbers));
        receipt::agree_on_fault(&mut all);
        self.alike("the loss of a step", running.first, all)
    }
}

/// Error for two ranks that should have the same numbers.
pub(super) fn disagree(what: &str, one: &str, other: &str) -> Error {
    Error::Check(format!("{one} and {other} have different numbers in {what}, though both computed the same"))
}

impl Drop for Group {
    fn drop(&mut self) {
        let failed = self.meeting.failed().is_some();
        for Rank { jobs, thread, .. } in &mut self.ranks {
            drop(jobs.take());
            // A rank that failed may wait for its device for long.
            if let Some(thread) = thread.take().filter(|_| !failed) {
                drop(thread.join());
            }
        }
    }
}
