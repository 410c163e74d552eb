//! The group-stratified split: no person in two splits, every class shared out 3 : 1 : 1.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;

use crate::data::random::{Purpose, stream};
use crate::data::records::Record;

/// The splits in the order used everywhere, and the number of folds that each is made of.
pub const SPLITS: [(&str, usize); 3] = [("train", 3), ("val", 1), ("test", 1)];
const FOLDS: usize = 5;
const TRAIN_FOLDS: usize = SPLITS[0].1;

/// All photographs of one person: their positions in the table, and how many there are of each class (the last entry
/// counts all of them, so that the folds also get equal sizes).
struct Group {
    rows: Vec<usize>,
    counts: Vec<(usize, f64)>,
}

/// The split (0 train, 1 val, 2 test) of every record.
///
/// With c[f][k] photographs of class k in fold f and n[k] in all, the sum of (c[f][k] / n[k])^2 over folds and classes
/// is least when every fold holds the same share of every class. Persons are taken in a random order, those that fill
/// the largest share of some class first, each to the fold where that sum grows least; then single persons move for
/// as long as a move lowers it. A class is never absent from training: there it could not be learned.
pub fn split(records: &[Record], seed: u64) -> Vec<usize> {
    let (mut groups, totals) = group(records);
    groups.shuffle(&mut stream(seed, Purpose::Split, 0, 0));
    // Late in the order only small persons of frequent classes are left, which fit anywhere.
    let largest_share = |g: &Group| g.counts.iter().map(|&(k, c)| c / totals[k]).fold(0.0, f64::max);
    groups.sort_by(|a, b| largest_share(b).total_cmp(&largest_share(a)));

    let mut folds = Folds { counts: vec![vec![0.0; totals.len()]; FOLDS], totals };
    let mut fold_of: Vec<usize> = Vec::with_capacity(groups.len());
    for group in &groups {
        let fold = folds.best(group);
        folds.add(fold, group, 1.0);
        fold_of.push(fold);
    }
    let mut moved = true;
    while moved {
        moved = false;
        for (group, fold) in groups.iter().zip(&mut fold_of) {
            folds.add(*fold, group, -1.0);
            let best = folds.best(group);
            // The margin keeps rounding from moving somebody back and forth for ever.
            if folds.growth(best, group) < folds.growth(*fold, group) - 1e-12 {
                *fold = best;
                moved = true;
            }
            folds.add(*fold, group, 1.0);
        }
    }

    let split_of_fold: Vec<usize> =
        SPLITS.iter().enumerate().flat_map(|(split, &(_, folds))| vec![split; folds]).collect();
    let mut split_of_row = vec![0; records.len()];
    for (group, fold) in groups.iter().zip(fold_of) {
        for &row in &group.rows {
            split_of_row[row] = split_of_fold[fold];
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

struct Folds {
    /// `[fold][class]`, the last class being all photographs.
    counts: Vec<Vec<f64>>,
    totals: Vec<f64>,
}

impl Folds {
    fn add(&mut self, fold: usize, group: &Group, sign: f64) {
        for &(class, count) in &group.counts {
            self.counts[fold][class] += sign * count;
        }
    }

    /// By how much the sum of squares grows with `group` in `fold`, apart from what is the same for every fold.
    fn growth(&self, fold: usize, group: &Group) -> f64 {
        group.counts.iter().map(|&(k, c)| self.counts[fold][k] * c / (self.totals[k] * self.totals[k])).sum()
    }

    /// The fold where `group`, now in none, costs least; of equals the first.
    fn best(&self, group: &Group) -> usize {
        let in_training = |class: usize| self.counts[..TRAIN_FOLDS].iter().any(|fold| fold[class] > 0.0);
        let open = if group.counts.iter().all(|&(class, _)| in_training(class)) { FOLDS } else { TRAIN_FOLDS };
        let by_growth = |&a: &usize, &b: &usize| self.growth(a, group).total_cmp(&self.growth(b, group));
        (0..open).min_by(by_growth).expect("there are folds")
    }
}
