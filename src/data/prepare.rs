//! From data.csv to three splits: makes what is missing, touches nothing that is there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::data::split::{SPLITS, split};
use crate::data::{labels, records, records::Record};
use crate::error::{Error, Result};

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
/// before anything is written, and no file is ever replaced.
///
/// Errors: nothing to start from, only some of the splits there, too few people, whatever is wrong in a file's rows.
pub fn prepare(dir: &Path, seed: u64) -> Result<Prepared> {
    let paths = SPLITS.map(|(name, _)| split_path(dir, name));
    let present = paths.each_ref().map(|path| path.exists());
    match present {
        [true, true, _] => {
            let there = SPLITS.iter().zip(&paths).filter(|(_, path)| path.exists());
            let splits =
                there.map(|(&(name, _), path)| Ok((name, records::read(path)?))).collect::<Result<Vec<_>>>()?;
            let table = ClassTable::new(splits.iter().map(|(name, records)| (*name, records.iter())));
            return Ok(Prepared { made: Vec::new(), table });
        }
        [false, false, false] => {}
        _ => {
            let (there, missing): (Vec<_>, Vec<_>) = SPLITS.iter().zip(present).partition(|(_, present)| *present);
            let list = |splits: Vec<(&(&str, usize), bool)>| {
                splits.iter().map(|((name, _), _)| format!("{name}.csv")).collect::<Vec<_>>().join(" and ")
            };
            let (there, missing) = (list(there), list(missing));
            return Err(Error::Input(format!(
                "{}: {there} without {missing}; add what is missing, or remove {there} to have all splits made anew",
                dir.display()
            )));
        }
    }

    let (dataset, data) = (dir.join("dataset.csv"), dir.join("data.csv"));
    let (source, rows) = match (dataset.exists(), data.exists()) {
        (true, _) => (&dataset, records::read(&dataset)?),
        (false, true) => (&data, labels::read(&data)?),
        (false, false) => {
            let dir = dir.display();
            return Err(Error::Input(format!("{dir}: neither train.csv and val.csv, nor dataset.csv, nor data.csv")));
        }
    };
    let split_of_row = split(&rows, seed);
    let of_split = |split| rows.iter().zip(&split_of_row).filter(move |&(_, s)| *s == split).map(|(record, _)| record);
    for (index, (name, _)) in SPLITS.iter().enumerate() {
        if of_split(index).next().is_none() {
            let source = source.display();
            return Err(Error::Input(format!("{source}: too few people to split: none is left for {name}.csv")));
        }
    }
    let mut made = Vec::new();
    if source == &data {
        records::write(&dataset, &rows)?;
        made.push(dataset);
    }
    // Training last: were this stopped half-way, train and val without test would pass for a set that has no test.
    for (index, path) in paths.into_iter().enumerate().rev() {
        records::write(&path, of_split(index))?;
        made.push(path);
    }
    let table = ClassTable::new(SPLITS.iter().enumerate().map(|(index, &(name, _))| (name, of_split(index))));
    Ok(Prepared { made, table })
}

/// The file of the split called `name`.
pub fn split_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(name).with_extension("csv")
}

impl ClassTable {
    fn new<'a, R>(splits: impl Iterator<Item = (&'static str, R)>) -> ClassTable
    where
        R: Iterator<Item = &'a Record>,
    {
        let mut table = ClassTable { splits: Vec::new(), counts: BTreeMap::new() };
        for (index, (name, records)) in splits.enumerate() {
            table.splits.push(name);
            for record in records {
                let counts = table.counts.entry(record.label.clone()).or_default();
                counts.resize(index + 1, 0);
                counts[index] += 1;
            }
        }
        for counts in table.counts.values_mut() {
            counts.resize(table.splits.len(), 0);
        }
        table
    }
}

impl fmt::Display for ClassTable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let row = |f: &mut fmt::Formatter, name: &str, counts: &[usize]| {
            let width = self.counts.keys().map(|class| class.chars().count()).fold("class".len(), usize::max);
            write!(f, "{name:width$}")?;
            counts.iter().chain([&counts.iter().sum()]).try_for_each(|count| write!(f, " {count:>7}"))
        };
        let width = self.counts.keys().map(|class| class.chars().count()).fold("class".len(), usize::max);
        write!(f, "{:width$}", "class")?;
        self.splits.iter().chain([&"total"]).try_for_each(|name| write!(f, " {name:>7}"))?;
        for (class, counts) in &self.counts {
            writeln!(f)?;
            row(f, class, counts)?;
        }
        let sums: Vec<usize> =
            (0..self.splits.len()).map(|split| self.counts.values().map(|counts| counts[split]).sum()).collect();
        writeln!(f)?;
        row(f, "total", &sums)
    }
}
