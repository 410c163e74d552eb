//! Exchanges: places between a plan's steps where its ranks meet. Each gives the rows of its own shares and gets those of
//! all others. Numbers are copied and never added up on the way, so nothing is rounded.

use std::ops::Range;

use super::{Node, Plan, TensorId};
use crate::engine::bound::unrounded;

/// A place where ranks meet.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub name: String,
    /// Index of the step before which they meet.
    pub before: usize,
    pub tensors: Vec<Gathered>,
}

/// Rows that belong to each share: of one tensor, or of a tensor for each.
#[derive(Clone, Debug)]
pub struct Gathered {
    pub of_share: Vec<Rows>,
}

/// Rows of a tensor that is not cut into windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    pub tensor: TensorId,
    pub rows: Range<usize>,
}

impl Plan {
    /// Rows of one tensor, of which each share has equally many, in the shares' order.
    pub fn rows_by_share(&self, tensor: TensorId) -> Gathered {
        let each = self.tensor(tensor).shape[0] / self.shares.count;
        let rows = |share: usize| Rows { tensor, rows: share * each..(share + 1) * each };
        Gathered { of_share: (0..self.shares.count).map(rows).collect() }
    }

    /// A whole tensor for each share.
    pub fn tensors_by_share(&self, tensors: &[TensorId]) -> Gathered {
        assert_eq!(tensors.len(), self.shares.count, "a tensor for each share");
        // Padding travels, too: it is zeros, and stays zeros in sums.
        let rows = |&tensor: &TensorId| Rows { tensor, rows: 0..self.tensor(tensor).stored_shape()[0] };
        Gathered { of_share: tensors.iter().map(rows).collect() }
    }

    /// Has the ranks meet before the next step.
    ///
    /// # Panics
    /// If no step was added since they met before.
    pub fn exchange(&mut self, name: &str, tensors: Vec<Gathered>) {
        let before = self.steps.len();
        assert!(self.exchanges.last().map_or(0, |last| last.before) < before, "{name}: no step comes before it");
        let exchange = Some(self.exchanges.len());
        self.exchanges.push(Exchange { name: name.into(), before, tensors });
        let (name, steps, flops, reads) = (name.into(), before..before, 0, Vec::new());
        // Copies between ranks; `engine::cpu` makes them, which knows the others.
        let (twin, bound) = (Box::new(|_: &mut _| ()), Box::new(unrounded));
        self.nodes.push(Node { name, steps, flops, reads, twin, bound, exchange });
    }

    /// Bytes in memory of such rows, counted from the tensor's first.
    pub fn bytes_of_rows(&self, rows: &Rows) -> Range<u64> {
        let tensor = self.tensor(rows.tensor);
        tensor.bytes_of(rows.rows.start)..tensor.bytes_of(rows.rows.end)
    }

    /// The rows of a share in an exchange, in the order in which they travel.
    pub fn rows_of_share<'e>(&self, exchange: &'e Exchange, share: usize) -> impl Iterator<Item = &'e Rows> {
        exchange.tensors.iter().map(move |gathered| &gathered.of_share[share])
    }

    /// Bytes that each share gives in an exchange.
    pub fn exchanged_by_share(&self, exchange: &Exchange) -> u64 {
        let bytes = |rows| {
            let Range { start, end } = self.bytes_of_rows(rows);
            end - start
        };
        self.rows_of_share(exchange, 0).map(bytes).sum()
    }
}
