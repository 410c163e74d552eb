//! From data.csv to three splits: makes what is missing, touches nothing that is there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::data::dataset::{first_of, two_classes};
use crate::data::records::{Columns, Record};
use crate::data::split::{SPLITS, split};
use crate::data::{labels, records};
use crate::error::{Error, Result};
use crate::files::wait_for_lock;

const DATASET: &str = "dataset.csv";
const DATA: &str = "data.csv";
/// The splits without which there is no training.
pub(super) const ENOUGH: [&str; 2] = ["train", "val"];

/// What `prepare` made (nothing if all was there), and what the splits hold.
#[derive(Debug)]
pub struct Prepared {
    pub made: Vec<PathBuf>,
    pub table: ClassTable,
}

/// Photographs of each class in each split.
#[derive(Debug, PartialEq, Eq)]
pub struct ClassTable {
    pub splits: Vec<&'static str>,
    /// Class name to one count a split, sorted by name.
    pub counts: BTreeMap<String, Vec<usize>>,
}

/// Makes `dataset.csv` from `data.csv` if it is missing, and `train.csv`, `val.csv`, `test.csv` from `dataset.csv` if
/// all three are. With train and val there, a missing test is no fault: there is no test split. Everything is computed
/// before anything is written, and no file is ever replaced. One process at a time makes files in a folder; where all
/// is there, the folder is only read.
///
/// Errors: nothing to start from, only some of the splits there, too few people, a single class, whatever is wrong in a
/// file's rows.
pub fn prepare(dir: &Path, columns: &Columns, seed: u64) -> Result<Prepared> {
    if let Some(prepared) = existing(dir, columns)? {
        return Ok(prepared);
    }
    if splits_in(dir).is_empty() {
        // What is wrong with the table is said before there is a lock in the folder.
        Plan::of(dir, columns, seed)?;
    }
    let lock = wait_for_lock(dir)?;
    let prepared = make(dir, columns, seed);
    lock.remove();
    prepared
}

/// The splits that are there, if they are enough.
fn existing(dir: &Path, columns: &Columns) -> Result<Option<Prepared>> {
    let there = splits_in(dir);
    if !ENOUGH.iter().all(|name| there.contains(name)) {
        return Ok(None);
    }
    let mut faults = Vec::new();
    let read = |name: &&str| records::read(&split_path(dir, name), columns, &mut faults);
    let splits = there.iter().map(read).collect::<Result<Vec<_>>>()?;
    first_of(faults)?;
    Ok(Some(Prepared { made: Vec::new(), table: ClassTable::new(&there, |split| splits[split].iter()) }))
}

/// Makes what is missing, for the holder of the folder's lock. While it was waited for, another process may have made
/// everything.
fn make(dir: &Path, columns: &Columns, seed: u64) -> Result<Prepared> {
    if let Some(prepared) = existing(dir, columns)? {
        return Ok(prepared);
    }
    let there = splits_in(dir);
    if !there.is_empty() {
        let missing: Vec<&str> = split_names().into_iter().filter(|name| !there.contains(name)).collect();
        let [there, missing] = [there, missing].map(|names| names.join(".csv and ") + ".csv");
        let dir = dir.display();
        return Err(Error::Input(format!(
            "{dir}: {there} without {missing}; add what is missing, or remove {there} to have all splits made anew"
        )));
    }
    Plan::of(dir, columns, seed)?.write(dir, columns)
}

fn split_names() -> [&'static str; 3] {
    SPLITS.map(|(name, _)| name)
}

fn splits_in(dir: &Path) -> Vec<&'static str> {
    split_names().into_iter().filter(|name| split_path(dir, name).exists()).collect()
}

/// What is to be written: the labelled photographs and the split of each.
struct Plan {
    source: PathBuf,
    rows: Vec<Record>,
    split_of_row: Vec<usize>,
}

impl Plan {
    fn of(dir: &Path, columns: &Columns, seed: u64) -> Result<Plan> {
        let mut faults = Vec::new();
        let (source, rows) = read_source(dir, columns, &mut faults)?;
        first_of(faults)?;
        let split_of_row = split(&rows, seed);
        let plan = Plan { source, rows, split_of_row };
        for (index, name) in split_names().iter().enumerate() {
            if plan.part(index).next().is_none() {
                let source = plan.source.display();
                return Err(Error::Input(format!("{source}: too few people to split: none is left for {name}.csv")));
            }
        }
        two_classes(&plan.source, &plan.rows)?;
        Ok(plan)
    }

    /// The rows of one split, by its position in `SPLITS`.
    fn part(&self, split: usize) -> impl Iterator<Item = &Record> {
        self.rows.iter().zip(&self.split_of_row).filter(move |&(_, s)| *s == split).map(|(record, _)| record)
    }

    fn write(&self, dir: &Path, columns: &Columns) -> Result<Prepared> {
        let mut made = Vec::new();
        let dataset = dir.join(DATASET);
        if self.source != dataset {
            records::write(&dataset, columns, &self.rows)?;
            made.push(dataset);
        }
        // Training last: were this stopped half-way, train and val without test would pass for a set that has no test.
        for (index, name) in split_names().iter().enumerate().rev() {
            let path = split_path(dir, name);
            records::write(&path, columns, self.part(index))?;
            made.push(path);
        }
        Ok(Prepared { made, table: ClassTable::new(&split_names(), |split| self.part(split)) })
    }
}

/// The labelled photographs that the splits are made of, and the file they are in: dataset.csv, else data.csv.
pub(super) fn read_source(dir: &Path, columns: &Columns, faults: &mut Vec<Error>) -> Result<(PathBuf, Vec<Record>)> {
    let (dataset, data) = (dir.join(DATASET), dir.join(DATA));
    let rows = match (dataset.exists(), data.exists()) {
        (true, _) => records::read(&dataset, columns, faults)?,
        (false, true) => labels::read(&data, columns, faults)?,
        (false, false) => {
            let dir = dir.display();
            return Err(Error::Input(format!("{dir}: neither train.csv and val.csv, nor {DATASET}, nor {DATA}")));
        }
    };
    Ok((if dataset.exists() { dataset } else { data }, rows))
}

/// The file of the split called `name`.
pub fn split_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.csv"))
}

impl ClassTable {
    fn new<'a, R: Iterator<Item = &'a Record>>(splits: &[&'static str], rows: impl Fn(usize) -> R) -> ClassTable {
        let mut counts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for split in 0..splits.len() {
            for record in rows(split) {
                counts.entry(record.label.clone()).or_insert(vec![0; splits.len()])[split] += 1;
            }
        }
        ClassTable { splits: splits.to_vec(), counts }
    }
}

impl fmt::Display for ClassTable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let width = self.counts.keys().map(|class| class.chars().count()).fold("class".len(), usize::max);
        write!(f, "{:width$}", "class")?;
        self.splits.iter().chain([&"total"]).try_for_each(|name| write!(f, " {name:>7}"))?;
        let sum = |split| self.counts.values().map(|counts| counts[split]).sum();
        let sums: Vec<usize> = (0..self.splits.len()).map(sum).collect();
        for (name, counts) in self.counts.iter().map(|(name, counts)| (name.as_str(), counts)).chain([("total", &sums)])
        {
            write!(f, "\n{name:width$}")?;
            counts.iter().chain([&counts.iter().sum()]).try_for_each(|count| write!(f, " {count:>7}"))?;
        }
        Ok(())
    }
}
