//! Exchanges: places between a plan's steps where its ranks meet. Numbers are copied and never added up on the way, so
//! nothing is rounded.

use std::ops::Range;

use super::{Node, Plan, Shares, TensorId};
use crate::engine::bound::unrounded;

/// A place where ranks meet.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub name: String,
    /// Index of the step before which they meet.
    pub before: usize,
    /// Of each, every rank gets the runs of all shares. They are there before the next step.
    pub gathered: Vec<Gathered>,
    /// Of each, every rank gets its own slice of the parts of all shares.
    pub dealt: Vec<Dealt>,
    /// Index of the step before which what is dealt is there. Steps until then are computed meanwhile.
    pub until: usize,
}

/// Numbers that belong to each share: of one tensor, or of a tensor for each.
#[derive(Clone, Debug)]
pub struct Gathered {
    pub of_share: Vec<Run>,
}

/// Numbers of a tensor that is not cut into windows, as they lie in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub tensor: TensorId,
    pub numbers: Range<usize>,
}

/// A tensor for each share: all of it where the share is held, else room for this rank's slice.
#[derive(Clone, Debug)]
pub struct Dealt {
    pub parts: Vec<TensorId>,
    /// Numbers of a whole one in memory.
    pub numbers: usize,
}

impl Plan {
    /// Rows of one tensor, of which each share has equally many, in the shares' order.
    pub fn rows_by_share(&self, tensor: TensorId) -> Gathered {
        let each = self.count_of(tensor.into()) / self.shares.count;
        let rows = |share: usize| Run { tensor, numbers: share * each..(share + 1) * each };
        Gathered { of_share: (0..self.shares.count).map(rows).collect() }
    }

    /// A whole tensor for each share.
    pub fn tensors_by_share(&self, tensors: &[TensorId]) -> Gathered {
        assert_eq!(tensors.len(), self.shares.count, "a tensor for each share");
        // Padding travels, too: it is zeros, and stays zeros in sums.
        let whole = |&tensor: &TensorId| Run { tensor, numbers: 0..self.count_of(tensor.into()) };
        Gathered { of_share: tensors.iter().map(whole).collect() }
    }

    /// Has the ranks meet before the next step. What is dealt is there at once, unless [`Plan::arrives`] says later.
    ///
    /// # Panics
    /// If no step was added since they met before.
    pub fn exchange(&mut self, name: &str, gathered: Vec<Gathered>, dealt: Vec<Dealt>) {
        let before = self.steps.len();
        assert!(self.exchanges.last().map_or(0, |last| last.before) < before, "{name}: no step comes before it");
        let exchange = Some(self.exchanges.len());
        self.exchanges.push(Exchange { name: name.into(), before, gathered, dealt, until: before });
        let (name, steps, flops, reads) = (name.into(), before..before, 0, Vec::new());
        // Copies between ranks; `engine::cpu` makes them, which knows the others.
        let (twin, bound) = (Box::new(|_: &mut _| ()), Box::new(unrounded));
        self.nodes.push(Node { name, steps, flops, reads, twin, bound, exchange });
    }

    /// Gives what was dealt in the last exchange time until the next step, before which the ranks meet again.
    pub fn arrives(&mut self) {
        let until = self.steps.len();
        self.exchanges.last_mut().expect("something was dealt").until = until;
    }

    /// Bytes in memory of a run, counted from the tensor's first.
    pub fn bytes_of_run(&self, run: &Run) -> Range<u64> {
        let bytes = self.tensor(run.tensor).element.bytes() as u64;
        run.numbers.start as u64 * bytes..run.numbers.end as u64 * bytes
    }

    /// Runs that a rank gives to all, in the order in which they travel.
    pub fn runs_of(&self, exchange: &Exchange, rank: usize) -> Vec<Run> {
        let of_share = |share: usize| exchange.gathered.iter().map(move |gathered| gathered.of_share[share].clone());
        self.target.shares.of_other(rank).held.flat_map(of_share).collect()
    }

    /// Runs that this rank deals to another, in the order in which they travel.
    pub fn runs_for(&self, exchange: &Exchange, rank: usize) -> Vec<Run> {
        self.dealt(exchange, &self.target.shares, |numbers| self.slices_by_rank(numbers).nth(rank))
    }

    /// Runs in which this rank's slices of what another deals find room, in the order in which they travel.
    pub fn runs_from(&self, exchange: &Exchange, rank: usize) -> Vec<Run> {
        let own = self.target.shares.rank();
        let room = |numbers| self.slices_by_rank(numbers).nth(own).map(|slice| 0..slice.len());
        self.dealt(exchange, &self.target.shares.of_other(rank), room)
    }

    /// Runs of the parts that belong to some shares; `run` makes each of how many numbers a whole part has.
    fn dealt(&self, exchange: &Exchange, shares: &Shares, run: impl Fn(usize) -> Option<Range<usize>>) -> Vec<Run> {
        let mut runs = Vec::new();
        for share in shares.held.clone() {
            for Dealt { parts, numbers } in &exchange.dealt {
                runs.push(Run { tensor: parts[share], numbers: run(*numbers).expect("a slice for each rank") });
            }
        }
        runs
    }

    pub fn bytes_of_runs(&self, runs: &[Run]) -> u64 {
        runs.iter().map(|run| self.bytes_of_run(run)).map(|bytes| bytes.end - bytes.start).sum()
    }

    /// Bytes that this rank gives in an exchange, where those that go to all count once, and bytes that it gets.
    pub fn exchanged(&self, exchange: &Exchange) -> [u64; 2] {
        let own = self.target.shares.rank();
        let (mut given, mut got) = (self.bytes_of_runs(&self.runs_of(exchange, own)), 0);
        for other in (0..self.target.shares.ranks()).filter(|rank| *rank != own) {
            given += self.bytes_of_runs(&self.runs_for(exchange, other));
            got += self.bytes_of_runs(&[self.runs_of(exchange, other), self.runs_from(exchange, other)].concat());
        }
        [given, got]
    }
}

impl Exchange {
    /// How often ranks hand each other bytes in it: what is gathered and what is dealt go by themselves.
    pub fn meetings(&self) -> usize {
        usize::from(!self.gathered.is_empty()) + usize::from(!self.dealt.is_empty())
    }
}
