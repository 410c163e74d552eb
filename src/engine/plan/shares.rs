//! Shares: a batch cut into equal runs of images. What a share adds to a sum over the batch is finished before it meets
//! that of another, and depends on that share alone. So it does not matter which device computes it.

use std::ops::Range;

use super::{Plan, TensorId, Window, names};

/// How a batch is cut into shares, and which of them a plan computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// How many shares of one size the batch has.
    pub count: usize,
    /// The shares that the plan computes itself.
    pub held: Range<usize>,
}

impl Default for Shares {
    /// The whole batch as one share.
    fn default() -> Shares {
        Shares::all(1)
    }
}

impl Shares {
    /// So many shares, all on one device.
    pub fn all(count: usize) -> Shares {
        Shares { count, held: 0..count }
    }

    /// The shares of one of several ranks, which hold equally many of them.
    ///
    /// # Panics
    /// If there is no such rank, or `ranks` does not divide the shares.
    pub fn of_rank(count: usize, rank: usize, ranks: usize) -> Shares {
        assert!(rank < ranks && count.is_multiple_of(ranks), "{count} shares for rank {rank} of {ranks}");
        let each = count / ranks;
        Shares { count, held: rank * each..(rank + 1) * each }
    }

    /// How many ranks there are, each of which holds as many shares as this one.
    pub fn ranks(&self) -> usize {
        self.count / self.held.len()
    }

    /// The rank that holds these.
    pub fn rank(&self) -> usize {
        self.held.start / self.held.len()
    }

    /// The shares of another rank.
    pub fn of_other(&self, rank: usize) -> Shares {
        Shares::of_rank(self.count, rank, self.ranks())
    }

    /// Whether no other rank is needed.
    pub fn are_all_held(&self) -> bool {
        self.held == (0..self.count)
    }

    /// Themselves where they divide a batch; else the whole batch as one share, which every rank computes.
    pub(super) fn for_batch(&self, batch: usize) -> Shares {
        if batch.is_multiple_of(self.count) { self.clone() } else { Shares::default() }
    }
}

/// A sum over the batch whose parts other ranks hold, until an exchange brings them.
#[derive(Clone, Debug)]
pub struct Unfinished {
    pub name: String,
    /// The part of each share; that of the first becomes the sum.
    pub parts: Vec<TensorId>,
    /// The slice that this rank adds up; `None` where every rank adds up all.
    pub slice: Option<Range<usize>>,
}

impl Plan {
    /// Whether it changes weights. All ranks run such a plan; of others, one rank runs a batch, the next one the next.
    pub fn teaches(&self) -> bool {
        self.find(names::RATE).is_some()
    }

    /// Images of one share.
    pub fn images_of_share(&self) -> usize {
        self.batch / self.shares.count
    }

    /// Images that the plan holds: those of its shares.
    pub fn images(&self) -> usize {
        self.images_of_share() * self.shares.held.len()
    }

    /// Place in the batch of the first image that the plan holds.
    pub fn first_image(&self) -> usize {
        self.images_of_share() * self.shares.held.start
    }

    /// Windows of each share that the plan holds: equally many, of the same sizes.
    pub fn windows_by_share(&self) -> impl Iterator<Item = &[Window]> {
        self.windows.chunks(self.windows.len() / self.shares.held.len())
    }
}
