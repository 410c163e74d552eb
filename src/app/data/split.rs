//! The group-stratified split: no person in two splits, every class shared out 3 : 1 : 1.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::app::data::records::Record;
use crate::network::random::{Purpose, stream};

/// The splits in the order used everywhere, and the fifths of the data that each gets.
pub const SPLITS: [(&str, f64); 3] = [("train", 3.0), ("val", 1.0), ("test", 1.0)];
const TRAIN: usize = 0;

/// All photographs of one person: their positions in the table, and how many there are of each class (the last entry
/// counts all of them, so that the splits also get the right sizes).
struct Group {
    rows: Vec<usize>,
    counts: Vec<(usize, f64)>,
}

/// The split (0 train, 1 val, 2 test) of every record.
///
/// With `n[s][k]` photographs of class k in split s, `n[k]` in all and `f[s]` fifths for split s,
/// the sum over s and k of `(n[s][k] / n[k])^2 / f[s]` is least when every split has its share of
/// every class. Persons are taken in a random order, those that hold the largest share of some
/// class first, each to the split where that sum grows least; then single persons move for as long
/// as a move lowers it. A class is never absent from training: there it could not be learned.
pub fn split(records: &[Record], seed: u64) -> Vec<usize> {
    share_out(records, &SPLITS.map(|(_, fifths)| fifths), Some(TRAIN), stream(seed, Purpose::Split, 0, 0))
}

/// The fold of every record, from 0, of `count` folds of one size: shared out as [`split`] does it.
pub fn folds(records: &[Record], count: usize, seed: u64) -> Vec<usize> {
    share_out(records, &vec![1.0; count], None, stream(seed, Purpose::Folds, 0, 0))
}

/// The part of every record, where the parts' sizes are as `sizes`. A class that `first` lacks goes
/// there.
fn share_out(records: &[Record], sizes: &[f64], first: Option<usize>, mut random: ChaCha8Rng) -> Vec<usize> {
    let (mut groups, totals) = group(records);
    groups.shuffle(&mut random);
    // Last come persons with few photographs of frequent classes, who fit anywhere.
    let largest_share = |g: &Group| g.counts.iter().map(|&(k, c)| c / totals[k]).fold(0.0, f64::max);
    groups.sort_by(|a, b| largest_share(b).total_cmp(&largest_share(a)));

    let mut shares = Shares { counts: vec![vec![0.0; totals.len()]; sizes.len()], totals, sizes, first };
    let mut split_of: Vec<usize> = Vec::with_capacity(groups.len());
    for group in &groups {
        let split = shares.best(group);
        shares.add(split, group, 1.0);
        split_of.push(split);
    }
    let mut moved = true;
    while moved {
        moved = false;
        for (group, split) in groups.iter().zip(&mut split_of) {
            shares.add(*split, group, -1.0);
            let best = shares.best(group);
            // The margin keeps rounding from moving somebody back and forth for ever.
            if shares.growth(best, group) < shares.growth(*split, group) - 1e-12 {
                *split = best;
                moved = true;
            }
            shares.add(*split, group, 1.0);
        }
    }

    let mut split_of_row = vec![0; records.len()];
    for (group, split) in groups.iter().zip(split_of) {
        for &row in &group.rows {
            split_of_row[row] = split;
        }
    }
    split_of_row
}

/// The persons, sorted by id, and the number of photographs of each class and in all.
fn group(records: &[Record]) -> (Vec<Group>, Vec<f64>) {
    let mut classes: BTreeMap<&str, f64> = BTreeMap::new();
    let mut persons: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, record) in records.iter().enumerate() {
        *classes.entry(&record.label).or_default() += 1.0;
        persons.entry(&record.id).or_default().push(row);
    }
    let index: BTreeMap<&str, usize> = classes.keys().enumerate().map(|(k, &name)| (name, k)).collect();
    let groups = persons.into_values().map(|rows| {
        let mut counts = BTreeMap::from([(classes.len(), rows.len() as f64)]);
        for &row in &rows {
            *counts.entry(index[records[row].label.as_str()]).or_default() += 1.0;
        }
        Group { rows, counts: counts.into_iter().collect() }
    });
    (groups.collect(), classes.values().copied().chain([records.len() as f64]).collect())
}

struct Shares<'a> {
    /// `[split][class]`, the last class being all photographs.
    counts: Vec<Vec<f64>>,
    totals: Vec<f64>,
    /// Of the splits, in any unit.
    sizes: &'a [f64],
    /// The split that must have every class.
    first: Option<usize>,
}

impl Shares<'_> {
    fn add(&mut self, split: usize, group: &Group, sign: f64) {
        for &(class, count) in &group.counts {
            self.counts[split][class] += sign * count;
        }
    }

    /// By how much the sum of squares grows when `group` is added to `split`.
    fn growth(&self, split: usize, group: &Group) -> f64 {
        let size = self.sizes[split];
        let of_class = |&(k, count): &(usize, f64)| {
            let before = self.counts[split][k];
            ((before + count).powi(2) - before.powi(2)) / (self.totals[k].powi(2) * size)
        };
        group.counts.iter().map(of_class).sum()
    }

    /// The split where `group`, now in none, costs least; of equals the first.
    fn best(&self, group: &Group) -> usize {
        if let Some(first) = self.first
            && group.counts.iter().any(|&(class, _)| self.counts[first][class] == 0.0)
        {
            return first;
        }
        let by_growth = |&a: &usize, &b: &usize| self.growth(a, group).total_cmp(&self.growth(b, group));
        (0..self.sizes.len()).min_by(by_growth).expect("there are splits")
    }
}
