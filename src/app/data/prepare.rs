//! From data.csv to three splits: makes what is missing, touches nothing that is there.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::app::data::classes::two_classes;
use crate::app::data::findings::{Findings, counted, first_of};
use crate::app::data::records::{Columns, Persons, Record, Records};
use crate::app::data::split::{SPLITS, split};
use crate::app::data::stale::Sources;
use crate::app::data::{DATA, DATASET, classes, labels, records};
use crate::error::{Error, Result};
use crate::files::{is_read_only, wait_for_lock};

/// The splits without which there is no training.
pub(super) const ENOUGH: [&str; 2] = ["train", "val"];

/// Result of `prepare`: the files made (none if all were there), and the contents of the splits.
#[derive(Debug)]
pub struct Prepared {
    pub made: Vec<PathBuf>,
    pub table: ClassTable,
    /// Warnings about the tables.
    pub warnings: Vec<String>,
}

impl Prepared {
    /// `made`, `warnings`, and `classes`: the count of each split by its name, for each class.
    pub fn to_json(&self) -> Value {
        let ClassTable { splits, counts } = &self.table;
        let by_split = |counts: &[usize]| -> Value {
            Value::Object(splits.iter().zip(counts).map(|(split, &count)| (split.clone(), count.into())).collect())
        };
        let classes: Value =
            Value::Object(counts.iter().map(|(class, counts)| (class.clone(), by_split(counts))).collect());
        json!({ "made": self.made, "classes": classes, "warnings": self.warnings })
    }
}

/// Photographs of each class in each split.
#[derive(Debug, PartialEq, Eq)]
pub struct ClassTable {
    pub splits: Vec<String>,
    /// Class name to one count per split, sorted by name.
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
    prepare_in(dir, dir, columns, seed)
}

/// Prepares `dir` with its new tables in the folder `tables`, for a `dir` that is read-only. A
/// `dataset.csv` or `data.csv` in `tables` counts before those in `dir`.
pub fn prepare_in(dir: &Path, tables: &Path, columns: &Columns, seed: u64) -> Result<Prepared> {
    if let Some(prepared) = existing(dir, tables, columns)? {
        return Ok(prepared);
    }
    if splits_in(tables).is_empty() {
        // What is wrong with the table is said before there is a lock in the folder.
        Plan::of(dir, tables, columns, seed)?;
    }
    let lock = match wait_for_lock(tables) {
        // Nobody is about to add the others.
        Err(Error::Io { source, .. }) if is_read_only(&source) && !splits_in(tables).is_empty() => {
            return Err(incomplete(tables));
        }
        lock => lock?,
    };
    let prepared = make(dir, tables, columns, seed);
    lock.remove();
    prepared
}

/// The splits that are there, if they are enough.
fn existing(dir: &Path, tables: &Path, columns: &Columns) -> Result<Option<Prepared>> {
    let there = splits_in(tables);
    if !ENOUGH.iter().all(|name| there.contains(name)) {
        return Ok(None);
    }
    let (splits, sources) = rayon::join(
        || there.par_iter().map(|name| read_split(&split_path(tables, name), columns)).collect::<Vec<_>>(),
        || Sources::read(source_folder(dir, tables), columns),
    );
    let mut found = Findings::default();
    let mut tables = Vec::new();
    for (read, of_table) in splits {
        tables.push(read?);
        found.faults.extend(of_table.faults);
        found.warnings.extend(of_table.warnings);
    }
    first_of(found.faults)?;
    let table = ClassTable::new(&there, |split| tables[split].rows.iter());
    let mut warnings = found.warnings;
    warnings.extend(split_oddities(columns, &tables, sources));
    Ok(Some(Prepared { made: Vec::new(), table, warnings }))
}

fn read_split(path: &Path, columns: &Columns) -> (Result<Records>, Findings) {
    let mut found = Findings::default();
    (records::read(path, columns, &mut found), found)
}

/// Warnings about existing splits.
pub(super) fn split_oddities(columns: &Columns, splits: &[Records], sources: Sources) -> Vec<String> {
    let mut warnings = classes::that_look_alike(splits, columns);
    warnings.extend(records::mixed(splits, columns));
    warnings.extend(sources.warnings(splits));
    warnings
}

/// Makes what is missing, for the holder of the folder's lock. While it was waited for, another process may have made
/// everything.
fn make(dir: &Path, tables: &Path, columns: &Columns, seed: u64) -> Result<Prepared> {
    if let Some(prepared) = existing(dir, tables, columns)? {
        return Ok(prepared);
    }
    if !splits_in(tables).is_empty() {
        return Err(incomplete(tables));
    }
    let plan = Plan::of(dir, tables, columns, seed)?;
    let mut made = Vec::new();
    let prepared = plan.write(tables, columns, &mut made);
    if prepared.is_err() {
        // Half of the tables, as on a full disk, would have the next attempt refused. One that
        // stays does no harm.
        made.iter().for_each(|path| drop(std::fs::remove_file(path)));
    }
    let mut warnings = plan.warnings.clone();
    warnings.extend(oddities(columns, &plan.source));
    prepared.map(|table| Prepared { made, table, warnings })
}

fn incomplete(tables: &Path) -> Error {
    let there = splits_in(tables);
    let missing: Vec<&str> = split_names().into_iter().filter(|name| !there.contains(name)).collect();
    let [there, missing] = [there, missing].map(|names| names.join(".csv and ") + ".csv");
    let tables = tables.display();
    Error::Input(format!(
        "{tables}: {there} without {missing}; add what is missing, or remove {there} to have all splits made anew"
    ))
}

fn split_names() -> [&'static str; 3] {
    SPLITS.map(|(name, _)| name)
}

fn splits_in(dir: &Path) -> Vec<&'static str> {
    split_names().into_iter().filter(|name| split_path(dir, name).exists()).collect()
}

/// Tables to be written: the labelled photographs and the split of each.
struct Plan {
    source: Records,
    split_of_row: Vec<usize>,
    /// Of reading the source.
    warnings: Vec<String>,
}

impl Plan {
    fn of(dir: &Path, tables: &Path, columns: &Columns, seed: u64) -> Result<Plan> {
        let mut found = Findings::default();
        let source = read_source(dir, tables, columns, &mut found)?;
        first_of(found.faults)?;
        let split_of_row = split(&source.rows, seed);
        let plan = Plan { source, split_of_row, warnings: found.warnings };
        for (index, name) in split_names().iter().enumerate() {
            if plan.part(index).next().is_none() {
                let Records { path, rows, persons } = &plan.source;
                let (source, count) = (path.display(), persons_of(rows).len());
                let why = match persons.rule(columns) {
                    rule if rule.is_empty() => counted(count, "person"),
                    rule => {
                        format!("{}, as {:?} of {}: {rule}", counted(count, "person"), rows[0].id, rows[0].filename)
                    }
                };
                return Err(Error::Input(format!(
                    "{source}: too few people to split: none is left for {name}.csv ({why})"
                )));
            }
        }
        two_classes(&plan.source)?;
        Ok(plan)
    }

    /// The rows of one split, by its position in `SPLITS`.
    fn part(&self, split: usize) -> impl Iterator<Item = &Record> + Clone {
        self.source.rows.iter().zip(&self.split_of_row).filter(move |&(_, s)| *s == split).map(|(record, _)| record)
    }

    /// Adds what it writes to `made` before it does.
    fn write(&self, dir: &Path, columns: &Columns, made: &mut Vec<PathBuf>) -> Result<ClassTable> {
        let dataset = dir.join(DATASET);
        if self.source.path.file_name() != dataset.file_name() {
            made.push(dataset.clone());
            records::write(&dataset, columns, &self.source.rows)?;
        }
        // Training last: were this stopped half-way, train and val without test would pass for a set that has no test.
        for (index, name) in split_names().iter().enumerate().rev() {
            let path = split_path(dir, name);
            made.push(path.clone());
            records::write(&path, columns, self.part(index))?;
        }
        Ok(ClassTable::new(&split_names(), |split| self.part(split)))
    }
}

/// The photographs of each person.
fn persons_of(rows: &[Record]) -> HashMap<&str, usize> {
    let mut persons = HashMap::new();
    rows.iter().for_each(|row| *persons.entry(&row.id[..]).or_default() += 1);
    persons
}

/// Photographs per person, on average, from which file names are suspected not to tell persons
/// apart.
const MANY: usize = 10;

/// A warning if the persons that file names begin with are too few to be persons.
fn few_persons(source: &Records, columns: &Columns) -> Option<String> {
    if source.persons != Persons::Names {
        return None;
    }
    let persons = persons_of(&source.rows);
    let (count, rows) = (persons.len(), source.rows.len());
    // Of equals the first by name: the message does not change from run to run.
    let (&largest, &most) = persons.iter().max_by_key(|&(&id, &count)| (count, std::cmp::Reverse(id)))?;
    (rows > MANY * count || most > MANY && 4 * most > rows).then(|| {
        format!(
            "{}: {} for {}, {} of them of {largest:?}: {}",
            source.path.display(),
            counted(count, "person"),
            counted(rows, "photograph"),
            most,
            source.persons.rule(columns)
        )
    })
}

/// The folder with the table that splits are made of: `tables` if there is one, else `dir`.
pub(super) fn source_folder<'a>(dir: &'a Path, tables: &'a Path) -> &'a Path {
    if [DATASET, DATA].iter().any(|name| tables.join(name).exists()) { tables } else { dir }
}

/// The labelled photographs that the splits are made of: dataset.csv's, else data.csv's, in `tables` if one of them is
/// there, else in `dir`.
pub(super) fn read_source(dir: &Path, tables: &Path, columns: &Columns, found: &mut Findings) -> Result<Records> {
    let dir = source_folder(dir, tables);
    let (dataset, data) = (dir.join(DATASET), dir.join(DATA));
    match (dataset.exists(), data.exists()) {
        (true, _) => records::read(&dataset, columns, found),
        (false, true) => labels::read(&data, columns, found),
        (false, false) => {
            let dir = dir.display();
            Err(Error::Input(format!("{dir}: neither train.csv and val.csv, nor {DATASET}, nor {DATA}")))
        }
    }
}

/// Warnings about the table that splits are made of.
pub(super) fn oddities(columns: &Columns, source: &Records) -> Vec<String> {
    let mut warnings = classes::that_look_alike(std::slice::from_ref(source), columns);
    warnings.extend(few_persons(source, columns));
    warnings.extend(Sources::beside(source, columns).warnings(&[]));
    warnings
}

/// The file of the split called `name`.
pub fn split_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.csv"))
}

impl ClassTable {
    pub(super) fn new<'a, R: Iterator<Item = &'a Record>, S: ToString>(
        splits: &[S],
        rows: impl Fn(usize) -> R,
    ) -> ClassTable {
        let mut counts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for split in 0..splits.len() {
            for record in rows(split) {
                counts.entry(record.label.clone()).or_insert(vec![0; splits.len()])[split] += 1;
            }
        }
        ClassTable { splits: splits.iter().map(S::to_string).collect(), counts }
    }
}

impl fmt::Display for ClassTable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let width = self.counts.keys().map(|class| class.chars().count()).fold("class".len(), usize::max);
        write!(f, "{:width$}", "class")?;
        self.splits.iter().map(String::as_str).chain(["total"]).try_for_each(|name| write!(f, " {name:>7}"))?;
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
