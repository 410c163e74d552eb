//! The splits of a data set, checked: what is wrong in them is found before any training starts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use crate::data::decode;
use crate::data::prepare::{ENOUGH, read_source, split_path};
use crate::data::records::{self, Columns, Record};
use crate::data::split::SPLITS;
use crate::error::{Error, Result};

#[derive(Debug)]
pub struct Dataset {
    /// The class names, sorted; a label is a position in this list.
    pub classes: Vec<String>,
    pub train: Split,
    pub val: Split,
    pub test: Option<Split>,
}

/// The photographs of one CSV file, in its order.
#[derive(Clone, Debug)]
pub struct Split {
    pub csv: PathBuf,
    pub examples: Vec<Example>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    pub path: PathBuf,
    /// Position in the list of classes.
    pub label: usize,
    /// The person the photograph is of.
    pub id: String,
    /// Line in the split's CSV file.
    pub line: u64,
}

/// Reads the splits of `dir` (test.csv may be missing) and checks that they can be trained on. Image files are looked
/// for in `dir/img` if there is such a folder, else in `dir`. The classes are the labels of train.csv.
///
/// Errors: the first fault, with file and line, and how many more there are: an unreadable table, an unknown label, a
/// missing image, a person or a photograph in two splits, fewer than two classes. Images are not opened here; `decode`
/// does that.
pub fn open(dir: &Path, columns: &Columns) -> Result<Dataset> {
    let mut faults = Vec::new();
    let (classes, splits) = read(dir, columns, &mut faults);
    first_of(faults)?;
    let mut splits = splits.into_iter();
    let mut next = || splits.next().expect("without train and val there is a fault");
    Ok(Dataset { classes, train: next(), val: next(), test: splits.next() })
}

/// Everything that is wrong with the splits and the images of `dir`, or with the table that the splits would be made of;
/// each image is decoded, none is kept. `progress` gets (images done, images in all).
///
/// Errors: neither splits nor a table to make them of, or such a table that cannot be read.
pub fn check(dir: &Path, columns: &Columns, progress: impl Fn(usize, usize) + Sync) -> Result<Vec<Error>> {
    let mut faults = Vec::new();
    let splits = if SPLITS.iter().any(|(name, _)| split_path(dir, name).exists()) {
        read(dir, columns, &mut faults).1
    } else {
        let (csv, records) = read_source(dir, columns, &mut faults)?;
        // The label of a row that was left out is not known.
        if faults.is_empty() {
            faults.extend(two_classes(&csv, &records).err());
        }
        let classes = classes_of(&records);
        let all = Split::of(&csv, columns, records, &classes, &mut faults);
        one_split_a_photograph(std::slice::from_ref(&all), columns, &mut faults);
        vec![all]
    };
    let total = splits.iter().map(|split| split.examples.len()).sum();
    let mut before = 0;
    for split in &splits {
        faults.extend(decode::check(split, |done| progress(before + done, total)));
        before += split.examples.len();
    }
    Ok(faults)
}

/// Faults, or names, that are listed before the rest is only counted.
const LISTED: usize = 20;

fn in_short(names: &[String]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    names[..names.len() - more].join(", ") + &rest
}

/// `Ok` if there is no fault, else the first of them, one a line, and the number of others: for what `check-data` cannot
/// know, as the classes of a checkpoint.
pub fn listed(faults: &[Error]) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> = faults.iter().take(LISTED).map(ToString::to_string).collect();
    if faults.len() > LISTED {
        lines.push(format!("({} more)", faults.len() - LISTED));
    }
    Err(Error::Input(lines.join("\n")))
}

/// `Ok` if there is no fault, else the first of them and the number of others.
pub fn first_of(faults: Vec<Error>) -> Result<()> {
    let more = faults.len().saturating_sub(1);
    match faults.into_iter().next() {
        None => Ok(()),
        Some(fault) if more == 0 => Err(fault),
        Some(fault) => Err(Error::Input(format!("{fault}\n({more} more; `ocellus check-data` lists them all)"))),
    }
}

impl Split {
    /// Reads one split; `classes`, in any order, gives labels their numbers. Rows with an unknown label or without an
    /// image file in the folder are left out and added to `faults`.
    ///
    /// Errors: what `records::read` refuses.
    pub fn read(csv: &Path, columns: &Columns, classes: &[String], faults: &mut Vec<Error>) -> Result<Split> {
        let records = records::read(csv, columns, faults)?;
        Ok(Split::of(csv, columns, records, classes, faults))
    }

    fn of(csv: &Path, columns: &Columns, records: Vec<Record>, classes: &[String], faults: &mut Vec<Error>) -> Split {
        let dir = csv.parent().unwrap_or(Path::new(""));
        let images = Some(dir.join("img")).filter(|img| img.is_dir()).unwrap_or(dir.to_path_buf());
        let number: HashMap<&str, usize> = classes.iter().enumerate().map(|(i, class)| (class.as_str(), i)).collect();
        let mut examples = Vec::new();
        for Record { filename, id, label, line } in records {
            let path = images.join(&filename);
            let fault = if !stays_inside(&filename) {
                (&columns.filename, format!("{filename:?} leads out of the folder {}", images.display()))
            } else if !path.is_file() {
                (&columns.filename, format!("no image file {}", path.display()))
            } else if let Some(&label) = number.get(label.as_str()) {
                examples.push(Example { path, label, id, line });
                continue;
            } else {
                (&columns.label, format!("{label:?} is none of the classes ({})", in_short(classes)))
            };
            faults.push(Error::at_column(csv, line, fault.0, fault.1));
        }
        Split { csv: csv.to_path_buf(), examples }
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

/// A table can name any file of the machine; only those below the folder of images are photographs of the set.
fn stays_inside(filename: &str) -> bool {
    Path::new(filename).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// The labels, sorted.
fn classes_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<String> {
    let labels: BTreeSet<&String> = records.into_iter().map(|record| &record.label).collect();
    labels.into_iter().cloned().collect()
}

/// Errors: all rows have one label; there is nothing to tell apart.
pub(super) fn two_classes(csv: &Path, records: &[Record]) -> Result<()> {
    match &classes_of(records)[..] {
        [only] => Err(Error::at(csv, 2, format!("all rows have the label {only:?}; two classes are the least"))),
        _ => Ok(()),
    }
}

/// The classes (the labels of train.csv), and the splits that there are, in their order. A table that is missing or that
/// cannot be read is a fault.
fn read(dir: &Path, columns: &Columns, faults: &mut Vec<Error>) -> (Vec<String>, Vec<Split>) {
    let mut tables = Vec::new();
    for (name, _) in SPLITS {
        let csv = split_path(dir, name);
        if csv.exists() {
            match records::read(&csv, columns, faults) {
                Ok(records) => tables.push((csv, records)),
                Err(error) => faults.push(error),
            }
        } else if ENOUGH.contains(&name) {
            let needed = ENOUGH.join(".csv and ");
            faults.push(Error::Input(format!("{}: no such file; {needed}.csv are the least", csv.display())));
        }
    }
    let train = split_path(dir, SPLITS[0].0);
    let classes = match tables.iter().find(|(csv, records)| *csv == train && !records.is_empty()) {
        Some((csv, records)) => {
            faults.extend(two_classes(csv, records).err());
            classes_of(records)
        }
        // Nothing can be said of labels.
        None => classes_of(tables.iter().flat_map(|(_, records)| records)),
    };
    let split = |(csv, records): (PathBuf, Vec<Record>)| Split::of(&csv, columns, records, &classes, faults);
    let splits: Vec<Split> = tables.into_iter().map(split).collect();
    one_split_a_person(&splits, columns, faults);
    one_split_a_photograph(&splits, columns, faults);
    (classes, splits)
}

/// A person in two splits would be recognised rather than diagnosed. Reported once a person and split.
fn one_split_a_person(splits: &[Split], columns: &Columns, faults: &mut Vec<Error>) {
    let column = columns.id().unwrap_or(&columns.filename);
    let mut first: BTreeMap<&str, (&Split, u64)> = BTreeMap::new();
    for split in splits {
        let mut reported = BTreeSet::new();
        for Example { id, line, .. } in &split.examples {
            let &mut (other, other_line) = first.entry(id).or_insert((split, *line));
            if other.csv != split.csv && reported.insert(id) {
                let other = other.csv.display();
                let message = format!("person {id} is in {other}:{other_line} too");
                faults.push(Error::at_column(&split.csv, *line, column, message));
            }
        }
    }
}

/// Nor may a photograph be in two splits, whoever it is said to be of. A split may repeat it, but not with another label.
fn one_split_a_photograph(splits: &[Split], columns: &Columns, faults: &mut Vec<Error>) {
    // Paths are compared part by part: a `./` makes no difference.
    let mut first: BTreeMap<&Path, (&Split, &Example)> = BTreeMap::new();
    for split in splits {
        for example in &split.examples {
            let &mut (other, earlier) = first.entry(example.path.as_path()).or_insert((split, example));
            let why = match other.csv == split.csv {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let names = |count: usize| (0..count).map(|name| name.to_string()).collect::<Vec<_>>();
        assert_eq!(in_short(&names(3)), "0, 1, 2");
        assert!(in_short(&names(LISTED)).ends_with(", 18, 19"));
        assert!(in_short(&names(LISTED + 5)).ends_with(", 18, 19, and 5 more"));
    }
}
