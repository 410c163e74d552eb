//! The splits of a data set, checked: what is wrong in them is found before any training starts.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::app::bars::LongBar;
use crate::app::data::alike;
use crate::app::data::classes::{classes_of, two_classes};
use crate::app::data::copies::{self, Print, Printed};
use crate::app::data::decode::{self, Faint};
use crate::app::data::examples::{Example, Split};
use crate::app::data::findings::{Findings, first_of, in_short};
use crate::app::data::folder::Folder;
use crate::app::data::prepare::{ENOUGH, oddities, read_source, source_folder, split_oddities, split_path};
use crate::app::data::records::{self, Columns, Persons, Record, Records};
use crate::app::data::split::SPLITS;
use crate::app::data::stale::Sources;
use crate::error::{Error, Result};

#[derive(Debug)]
pub struct Dataset {
    /// The class names, sorted; a label is a position in this list.
    pub classes: Vec<String>,
    pub train: Arc<Split>,
    pub val: Arc<Split>,
    pub test: Option<Arc<Split>>,
}

/// Reads the splits of `dir` (test.csv may be missing) and checks that they can be trained on. Image files are looked
/// for in `dir/img` if there is such a folder, else in `dir`. The classes are the labels of train.csv.
///
/// Errors: the first fault, with file and line, and how many more there are: an unreadable table, an unknown label, a
/// missing image, a person or a photograph in two splits, fewer than two classes. Images are not opened here; `decode`
/// does that.
pub fn open(dir: &Path, columns: &Columns) -> Result<Dataset> {
    open_in(dir, dir, columns)
}

/// Opens splits in another folder than the photographs' `dir`, which may be read-only.
pub fn open_in(dir: &Path, folder: &Path, columns: &Columns) -> Result<Dataset> {
    let mut found = Findings::default();
    let tables = read(folder, columns, &mut found);
    let (classes, splits) = splits_of(dir, columns, tables, &mut found.faults);
    first_of(found.faults)?;
    let mut splits = splits.into_iter().map(Arc::new);
    let mut next = || splits.next().expect("without train and val there is a fault");
    Ok(Dataset { classes, train: next(), val: next(), test: splits.next() })
}

/// The splits of these tables, train, val and test, which may be of one file; photographs are in `dir`.
pub(super) fn of_records(dir: &Path, columns: &Columns, tables: [Records; 3], faults: &mut Vec<Error>) -> Dataset {
    faults.extend(two_classes(&tables[0]).err());
    let classes = classes_of(&tables[0].rows);
    let [train, val, test] = tables.map(|table| Split::of(dir, table, columns, &classes, faults));
    let splits = [train, val, test];
    one_split_a_photograph(&splits, columns, faults);
    let [train, val, test] = splits.map(Arc::new);
    Dataset { classes, train, val, test: Some(test) }
}

/// Everything that is wrong or odd with the splits and the images of `dir`, or with the table that
/// the splits would be made of; each image is decoded, none is kept. `progress` gets (images done,
/// images in all).
///
/// Errors: neither splits nor a table to make them of, or such a table that cannot be read.
pub fn check(dir: &Path, columns: &Columns, progress: impl Fn(usize, usize) + Sync) -> Result<Findings> {
    check_in(dir, dir, columns, progress)
}

/// Checks tables in another folder than the photographs' `dir`.
pub fn check_in(
    dir: &Path,
    folder: &Path,
    columns: &Columns,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Findings> {
    let mut found = Findings::default();
    let splits = if SPLITS.iter().any(|(name, _)| split_path(folder, name).exists()) {
        let tables = read(folder, columns, &mut found);
        let sources = Sources::read(source_folder(dir, folder), columns);
        found.warnings.extend(split_oddities(columns, &tables, sources));
        splits_of(dir, columns, tables, &mut found.faults).1
    } else {
        let records = read_source(dir, folder, columns, &mut found)?;
        // The label of a row that was left out is not known.
        if found.faults.is_empty() {
            found.faults.extend(two_classes(&records).err());
        }
        found.warnings.extend(oddities(columns, &records));
        let classes = classes_of(&records.rows);
        let all = Split::of(dir, records, columns, &classes, &mut found.faults);
        one_split_a_photograph(std::slice::from_ref(&all), columns, &mut found.faults);
        vec![all]
    };
    let total = splits.iter().map(|split| split.examples.len()).sum();
    let mut before = 0;
    let (mut prints, faint): (Vec<Vec<Option<Print>>>, Faint) = Default::default();
    for split in &splits {
        let (faults, seen) = decode::check(split, &faint, |done| progress(before + done, total));
        found.faults.extend(faults);
        prints.push(seen);
        before += split.examples.len();
    }
    let printed: Vec<Printed<Print>> =
        splits.iter().zip(&prints).map(|(split, prints)| Printed { split, prints }).collect();
    found.warnings.extend(copies::all(&printed));
    found.warnings.extend(faint.warning());
    Ok(found)
}

impl Split {
    /// Reads one split; `classes`, in any order, gives labels their numbers. Rows with an unknown
    /// label or without an image file in the folder are left out and are faults.
    ///
    /// Errors: what `records::read` refuses.
    pub fn read(csv: &Path, columns: &Columns, classes: &[String], found: &mut Findings) -> Result<Split> {
        let records = records::read(csv, columns, found)?;
        let dir = csv.parent().unwrap_or(Path::new(""));
        Ok(Split::of(dir, records, columns, classes, &mut found.faults))
    }

    /// The photographs of a table; `classes`, in any order, gives labels their numbers. Rows with an unknown label or
    /// without an image file in the folder are left out and are faults.
    pub fn of(dir: &Path, records: Records, columns: &Columns, classes: &[String], faults: &mut Vec<Error>) -> Split {
        let Records { path: csv, rows, persons } = records;
        let mut folder = Folder::of(dir);
        let number: HashMap<&str, usize> = classes.iter().enumerate().map(|(i, class)| (class.as_str(), i)).collect();
        let mut alike: Option<HashMap<String, &str>> = None;
        let mut examples = Vec::with_capacity(rows.len());
        let bar = LongBar::new(&format!("Photographs of {}", csv.display()), rows.len());
        for Record { filename, id, label, line } in rows {
            bar.add(1);
            let fault = match (folder.find(&filename), number.get(label.as_str())) {
                (Ok(path), Some(&label)) => {
                    examples.push(Example { path, label, id, line });
                    continue;
                }
                (Err(why), _) => (&columns.filename, why),
                (Ok(_), None) => {
                    let by_key = || classes.iter().map(|class| (alike::key(class), class.as_str())).collect();
                    let alike = alike.get_or_insert_with(by_key).get(&alike::key(&label));
                    (&columns.label, unknown(&label, classes, alike.copied()))
                }
            };
            faults.push(Error::at_column(&csv, line, fault.0, fault.1));
        }
        Split { csv, dir: dir.to_path_buf(), examples, persons }
    }

    /// Keeps `count` photographs from all over the file, or all if there are no more.
    pub fn thin_out(&mut self, count: usize) {
        let all = self.examples.len();
        if count < all {
            self.examples = (0..count).map(|index| self.examples[index * all / count].clone()).collect();
        }
    }

    /// Photographs of each of `classes` classes.
    pub fn counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        self.examples.iter().for_each(|example| counts[example.label] += 1);
        counts
    }
}

/// Message for a label that is not among the classes, with the class that it looks like.
fn unknown(label: &str, classes: &[String], alike: Option<&str>) -> String {
    let hint = alike.map(|class| format!("; it differs from {class:?} only {}", alike::difference(label, class)));
    format!("{label:?} is none of the classes ({}){}", in_short(classes), hint.unwrap_or_default())
}

/// The tables of the splits that there are, in their order. One that is missing or that cannot be
/// read is a fault.
fn read(dir: &Path, columns: &Columns, found: &mut Findings) -> Vec<Records> {
    let mut tables = Vec::new();
    for (name, _) in SPLITS {
        let csv = split_path(dir, name);
        if csv.exists() {
            match records::read(&csv, columns, found) {
                Ok(records) => tables.push(records),
                Err(error) => found.faults.push(error),
            }
        } else if ENOUGH.contains(&name) {
            let needed = ENOUGH.join(".csv and ");
            found.faults.push(Error::Input(format!("{}: no such file; {needed}.csv are the least", csv.display())));
        }
    }
    tables
}

/// The classes (the labels of train.csv), and the splits of these tables, checked against each
/// other; the photographs are in `dir`.
fn splits_of(
    dir: &Path,
    columns: &Columns,
    tables: Vec<Records>,
    faults: &mut Vec<Error>,
) -> (Vec<String>, Vec<Split>) {
    let train = split_path(Path::new(""), SPLITS[0].0);
    let is_train = |table: &&Records| table.path.file_name() == train.file_name() && !table.rows.is_empty();
    let classes = match tables.iter().find(is_train) {
        Some(table) => {
            faults.extend(two_classes(table).err());
            classes_of(&table.rows)
        }
        // Nothing can be said of labels.
        None => classes_of(tables.iter().flat_map(|table| &table.rows)),
    };
    let splits: Vec<Split> = tables.into_iter().map(|table| Split::of(dir, table, columns, &classes, faults)).collect();
    one_split_a_person(&splits, columns, faults);
    one_split_a_photograph(&splits, columns, faults);
    (classes, splits)
}

/// A person in two splits would be recognised rather than diagnosed. Reported once per person and
/// split; the first time with how persons are told apart.
fn one_split_a_person(splits: &[Split], columns: &Columns, faults: &mut Vec<Error>) {
    let mut first: HashMap<&str, (&Split, u64)> = HashMap::new();
    let mut told = false;
    for split in splits.iter().filter(|split| split.persons != Persons::Photographs) {
        let column = columns.id().filter(|_| split.persons == Persons::Column).unwrap_or(&columns.filename);
        let rule = split.persons.rule(columns);
        let mut reported = HashSet::new();
        for Example { id, line, .. } in &split.examples {
            let &mut (other, other_line) = first.entry(id).or_insert((split, *line));
            if other.csv != split.csv && reported.insert(id) {
                let other = other.csv.display();
                let mut message = format!("person {id} is in {other}:{other_line} too");
                if !rule.is_empty() && !std::mem::replace(&mut told, true) {
                    message += &format!(" ({rule})");
                }
                faults.push(Error::at_column(&split.csv, *line, column, message));
            }
        }
    }
}

/// Nor may a photograph be in two splits, whoever it is said to be of. A split may repeat it, but not with another label.
fn one_split_a_photograph(splits: &[Split], columns: &Columns, faults: &mut Vec<Error>) {
    // Paths are compared part by part: a `./` makes no difference.
    let mut first: HashMap<&Path, (&Split, &Example)> = HashMap::new();
    for split in splits {
        for example in &split.examples {
            let &mut (other, earlier) = first.entry(example.path.as_path()).or_insert((split, example));
            let why = match std::ptr::eq(other, split) {
                false => "",
                true if earlier.label != example.label => ", with another label",
                true => continue,
            };
            let place = format!("{}:{}", other.csv.display(), earlier.line);
            let message = format!("photograph {} is in {place} too{why}", example.path.display());
            faults.push(Error::at_column(&split.csv, example.line, &columns.filename, message));
        }
    }
}
