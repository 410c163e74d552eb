//! Folds of a data set: a table that says in which fold each photograph is. One fold tests a run, the next one is its
//! validation split, and the run trains on the others.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::data::classes::two_classes;
use crate::app::data::dataset::of_records;
use crate::app::data::findings::{Findings, counted, first_of};
use crate::app::data::prepare::{ClassTable, Prepared, oddities, read_source};
use crate::app::data::records::{self, Columns, Persons, Record, Records};
use crate::app::data::split::{SPLITS, folds};
use crate::app::data::{DATASET, Dataset};
use crate::error::{Error, Result};
use crate::files::wait_for_lock;

/// The table of the folds, beside the other tables.
pub const FOLDS: &str = "folds.csv";

/// The column of that table with a number from 1.
const COLUMN: &str = "fold";

/// Fewest folds: one to test, one to validate, one to train on.
pub const FEWEST: usize = 3;

/// Most folds.
pub const MOST: usize = 100;

/// One of several folds, as a run records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// Its number, from 1.
    pub number: usize,
    /// Number of folds; a run records it once their table is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<usize>,
}

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "fold {}", self.number)?;
        self.of.map_or(Ok(()), |of| write!(f, " of {of}"))
    }
}

impl Fold {
    /// The position in `SPLITS` of the photographs of a fold, both from 1: of this fold they test, of the next they
    /// validate.
    fn split_of(self, fold: usize, folds: usize) -> usize {
        match fold {
            fold if fold == self.number => 2,
            fold if fold == self.number % folds + 1 => 1,
            _ => 0,
        }
    }

    /// This fold of a table with so many.
    fn among(self, path: &Path, folds: usize) -> Result<Fold> {
        let path = path.display();
        if self.of.is_some_and(|of| of != folds) {
            return Err(Error::Input(format!("{path}: has {folds} folds, and the run is of {self}")));
        }
        if !(1..=folds).contains(&self.number) {
            return Err(Error::Input(format!("{path}: has no fold {}, its folds are 1 to {folds}", self.number)));
        }
        Ok(Fold { of: Some(folds), ..self })
    }
}

/// Makes `dataset.csv` from `data.csv` if it is missing, and the table of `count` folds, in the folder `tables`. The
/// folds are shared out as the splits are. A table that is there stays as it is.
///
/// Errors: what [`super::prepare()`] refuses, a table with another number of folds, a class that some run would have
/// nobody to train on.
pub fn prepare_folds(dir: &Path, tables: &Path, columns: &Columns, count: usize, seed: u64) -> Result<Prepared> {
    let path = tables.join(FOLDS);
    if let Some(prepared) = existing(&path, columns, count)? {
        return Ok(prepared);
    }
    // What is wrong with the table is said before there is a lock in the folder.
    let (source, fold_of_row, mut warnings) = share_out(dir, tables, columns, count, seed)?;
    let lock = wait_for_lock(tables)?;
    let made = match existing(&path, columns, count) {
        Ok(None) => write(tables, columns, &source, &fold_of_row),
        other => other.map(|_| Vec::new()),
    };
    lock.remove();
    warnings.extend(oddities(columns, &source));
    Ok(Prepared { made: made?, table: table_of(&by_fold(&source, &fold_of_row, count)), warnings })
}

fn existing(path: &Path, columns: &Columns, count: usize) -> Result<Option<Prepared>> {
    if !path.exists() {
        return Ok(None);
    }
    let mut found = Findings::default();
    let folds = read(path, columns, &mut found)?;
    if folds.len() != count {
        let (path, has) = (path.display(), folds.len());
        return Err(Error::Input(format!("{path}: has {has} folds; remove it to have {count} made")));
    }
    Ok(Some(Prepared { made: Vec::new(), table: table_of(&folds), warnings: found.warnings }))
}

fn table_of(folds: &[Records]) -> ClassTable {
    let names: Vec<String> = (1..=folds.len()).map(|fold| format!("fold {fold}")).collect();
    ClassTable::new(&names, |fold| folds[fold].rows.iter())
}

/// The table that folds are made of, the fold of each row from 0, and warnings.
fn share_out(
    dir: &Path,
    tables: &Path,
    columns: &Columns,
    count: usize,
    seed: u64,
) -> Result<(Records, Vec<usize>, Vec<String>)> {
    let mut found = Findings::default();
    let source = read_source(dir, tables, columns, &mut found)?;
    first_of(found.faults)?;
    two_classes(&source)?;
    let fold_of_row = folds(&source.rows, count, seed);
    let path = source.path.display();
    if let Some(empty) = (0..count).find(|fold| !fold_of_row.contains(fold)) {
        return Err(Error::Input(format!(
            "{path}: too few people for {count} folds: none is left for fold {}",
            empty + 1
        )));
    }
    let parts = by_fold(&source, &fold_of_row, count);
    let labels = |parts: &mut dyn Iterator<Item = &Records>| -> BTreeSet<String> {
        parts.flat_map(|part| &part.rows).map(|row| row.label.clone()).collect()
    };
    let all = labels(&mut parts.iter());
    for number in 1..=count {
        let fold = Fold { number, of: Some(count) };
        let mut train = (1..=count).filter(|&other| fold.split_of(other, count) == 0).map(|other| &parts[other - 1]);
        if let Some(class) = all.difference(&labels(&mut train)).next() {
            let persons: BTreeSet<&str> =
                source.rows.iter().filter(|row| row.label == *class).map(|row| &row.id[..]).collect();
            return Err(Error::Input(format!(
                "{path}: {class:?} has {}, too few for {count} folds: with {fold} as test none would be trained on",
                counted(persons.len(), "person")
            )));
        }
    }
    Ok((source, fold_of_row, found.warnings))
}

fn by_fold(source: &Records, fold_of_row: &[usize], count: usize) -> Vec<Records> {
    let mut parts = vec![Records { rows: Vec::new(), ..source.clone() }; count];
    source.rows.iter().zip(fold_of_row).for_each(|(row, &fold)| parts[fold].rows.push(row.clone()));
    parts
}

/// Writes what is missing; all or nothing.
fn write(tables: &Path, columns: &Columns, source: &Records, fold_of_row: &[usize]) -> Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    let (dataset, folds) = (tables.join(DATASET), tables.join(FOLDS));
    let numbers: Vec<String> = fold_of_row.iter().map(|fold| (fold + 1).to_string()).collect();
    let mut write = || {
        if source.path.file_name() != dataset.file_name() {
            made.push(dataset.clone());
            records::write(&dataset, columns, &source.rows)?;
        }
        made.push(folds.clone());
        records::write_with(&folds, columns, &source.rows, Some((COLUMN, &numbers)))
    };
    let written = write();
    if written.is_err() {
        made.iter().for_each(|path| drop(std::fs::remove_file(path)));
    }
    written.map(|()| made)
}

/// The photographs of each fold; adds no fault to what was found.
///
/// Errors: what `records::read` refuses, a faulty row, a fold without photographs, too few folds, a person in two.
fn read(path: &Path, columns: &Columns, found: &mut Findings) -> Result<Vec<Records>> {
    let parse = |cell: &str| match cell.parse() {
        Ok(number) if (1..=MOST).contains(&number) => Ok(number),
        _ => Err(format!("{cell:?} is no fold: folds are numbered from 1 to {MOST} at most")),
    };
    let (records, numbers): (Records, Vec<usize>) = records::read_with(path, columns, found, COLUMN, parse)?;
    first_of(std::mem::take(&mut found.faults))?;
    let count = numbers.iter().copied().max().unwrap_or(0);
    let name = path.display();
    if count < FEWEST {
        return Err(Error::Input(format!("{name}: {}, and {FEWEST} are the least", counted(count, "fold"))));
    }
    if let Some(missing) = (1..=count).find(|fold| !numbers.contains(fold)) {
        return Err(Error::Input(format!("{name}: fold {missing} of {count} is missing: no row is in it")));
    }
    if records.persons != Persons::Photographs {
        one_fold_a_person(&records, &numbers, columns)?;
    }
    let fold_of_row: Vec<usize> = numbers.iter().map(|number| number - 1).collect();
    Ok(by_fold(&records, &fold_of_row, count))
}

/// Errors: a person in two folds, who would be recognised rather than diagnosed.
fn one_fold_a_person(records: &Records, numbers: &[usize], columns: &Columns) -> Result<()> {
    let mut faults = Vec::new();
    let column = columns.id().filter(|_| records.persons == Persons::Column).unwrap_or(&columns.filename);
    let mut first: HashMap<&str, (usize, u64)> = HashMap::new();
    let mut reported = BTreeSet::new();
    for (Record { id, line, .. }, &fold) in records.rows.iter().zip(numbers) {
        let &mut (other, other_line) = first.entry(id).or_insert((fold, *line));
        if other != fold && reported.insert(id) {
            let message = format!("person {id} is in fold {other} too, in line {other_line}");
            faults.push(Error::at_column(&records.path, *line, column, message));
        }
    }
    first_of(faults)
}

/// The records of train, val and test of a fold, each in the order of the table.
fn records_of(folds: Vec<Records>, fold: Fold) -> [Records; 3] {
    let count = folds.len();
    let mut splits = SPLITS.map(|_| Records { rows: Vec::new(), ..folds[0].clone() });
    for (index, records) in folds.into_iter().enumerate() {
        splits[fold.split_of(index + 1, count)].rows.extend(records.rows);
    }
    splits.iter_mut().for_each(|split| split.rows.sort_by_key(|row| row.line));
    splits
}

/// The splits of a run of one fold, the fold with their number, and the photographs of each class.
#[derive(Debug)]
pub struct Opened {
    pub dataset: Dataset,
    pub fold: Fold,
    pub table: ClassTable,
    pub warnings: Vec<String>,
}

/// Reads and checks the splits of a fold from the table in the folder `tables`; the photographs are in `dir`.
///
/// Errors: no table of folds, a fold that it does not have, a person in two folds, and what [`super::open`] refuses.
pub fn open_fold(dir: &Path, tables: &Path, columns: &Columns, fold: Fold) -> Result<Opened> {
    let path = tables.join(FOLDS);
    if !path.exists() {
        let (path, dir) = (path.display(), dir.display());
        return Err(Error::Input(format!("{path}: no such file; make it by `ocellus prepare {dir} --folds 5`")));
    }
    let mut found = Findings::default();
    let folds = read(&path, columns, &mut found)?;
    let fold = fold.among(&path, folds.len())?;
    let splits = records_of(folds, fold);
    let table = ClassTable::new(&SPLITS.map(|(name, _)| name), |split| splits[split].rows.iter());
    let dataset = of_records(dir, columns, splits, &mut found.faults);
    first_of(found.faults)?;
    Ok(Opened { dataset, fold, table, warnings: found.warnings })
}

/// Reads the rows of the split `name` (train, val or test) of a fold.
///
/// Errors: what [`open_fold`] refuses, another name.
pub fn read_split(path: &Path, columns: &Columns, fold: Fold, name: &str, found: &mut Findings) -> Result<Records> {
    let folds = read(path, columns, found)?;
    let fold = fold.among(path, folds.len())?;
    let split = SPLITS.iter().position(|(known, _)| *known == name);
    let split =
        split.ok_or_else(|| Error::Input(format!("--split {name}: of a fold there are train, val and test")))?;
    Ok(records_of(folds, fold).into_iter().nth(split).expect("there are three"))
}
