//! The splits of a data set, checked: what is wrong in them is found before any training starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::data::decode;
use crate::data::prepare::split_path;
use crate::data::records;
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
#[derive(Debug)]
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
/// missing image, a person in two splits, fewer than two classes. Images are not opened here; `decode` does that.
pub fn open(dir: &Path) -> Result<Dataset> {
    let mut faults = Vec::new();
    let dataset = read(dir, &mut faults)?;
    first_of(faults)?;
    Ok(dataset)
}

/// Everything that is wrong with the splits and the images of `dir`; each image is decoded, none is kept. `progress`
/// gets (images done, images in all).
///
/// Errors: a table that cannot be read as such, so that there are no rows to check.
pub fn check(dir: &Path, progress: impl Fn(usize, usize) + Sync) -> Result<Vec<Error>> {
    let mut faults = Vec::new();
    let dataset = read(dir, &mut faults)?;
    let total = dataset.splits().map(|split| split.examples.len()).sum();
    let mut before = 0;
    for split in dataset.splits() {
        faults.extend(decode::check(split, |done| progress(before + done, total)));
        before += split.examples.len();
    }
    Ok(faults)
}

/// `Ok` if there is no fault, else the first of them and the number of others.
pub(super) fn first_of(faults: Vec<Error>) -> Result<()> {
    let more = faults.len().saturating_sub(1);
    match faults.into_iter().next() {
        None => Ok(()),
        Some(fault) if more == 0 => Err(fault),
        Some(fault) => Err(Error::Input(format!("{fault}\n({more} more; `ocellus check-data` lists them all)"))),
    }
}

impl Dataset {
    /// The splits that there are: train, val and, if there is one, test.
    pub fn splits(&self) -> impl Iterator<Item = &Split> {
        [&self.train, &self.val].into_iter().chain(&self.test)
    }
}

impl Split {
    /// Reads one split; `classes` gives labels their numbers. Rows with an unknown label or without an image file are
    /// left out and added to `faults`.
    ///
    /// Errors: what `records::read` refuses.
    pub fn read(csv: &Path, classes: &[String], faults: &mut Vec<Error>) -> Result<Split> {
        let dir = csv.parent().unwrap_or(Path::new(""));
        let images = Some(dir.join("img")).filter(|img| img.is_dir()).unwrap_or(dir.to_path_buf());
        let mut examples = Vec::new();
        for record in records::read(csv)? {
            let path = images.join(&record.filename);
            match classes.binary_search(&record.label) {
                Err(_) => {
                    let classes = classes.join(", ");
                    let message = format!("label {:?} is none of the classes ({classes})", record.label);
                    faults.push(Error::at(csv, record.line, message));
                }
                Ok(_) if !path.is_file() => {
                    faults.push(Error::at(csv, record.line, format!("no image file {}", path.display())));
                }
                Ok(label) => examples.push(Example { path, label, id: record.id, line: record.line }),
            }
        }
        Ok(Split { csv: csv.to_path_buf(), examples })
    }

    /// Photographs of each of `classes` classes.
    pub fn counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        self.examples.iter().for_each(|example| counts[example.label] += 1);
        counts
    }
}

fn read(dir: &Path, faults: &mut Vec<Error>) -> Result<Dataset> {
    let [train, val, test] = SPLITS.map(|(name, _)| split_path(dir, name));
    let classes: BTreeSet<String> = records::read(&train)?.into_iter().map(|record| record.label).collect();
    let classes = Vec::from_iter(classes);
    if let [only] = &classes[..] {
        faults.push(Error::at(&train, 2, format!("all rows have the label {only:?}; two classes are the least")));
    }
    let dataset = Dataset {
        train: Split::read(&train, &classes, faults)?,
        val: Split::read(&val, &classes, faults)?,
        test: if test.exists() { Some(Split::read(&test, &classes, faults)?) } else { None },
        classes,
    };
    one_split_a_person(&dataset, faults);
    Ok(dataset)
}

/// A person in two splits would be recognised rather than diagnosed. Reported once a person and split.
fn one_split_a_person(dataset: &Dataset, faults: &mut Vec<Error>) {
    let mut first: BTreeMap<&str, (&Split, u64)> = BTreeMap::new();
    for split in dataset.splits() {
        let mut reported = BTreeSet::new();
        for Example { id, line, .. } in &split.examples {
            let &mut (other, other_line) = first.entry(id).or_insert((split, *line));
            if other.csv != split.csv && reported.insert(id) {
                let other = other.csv.display();
                faults.push(Error::at(&split.csv, *line, format!("person {id} is in {other}:{other_line} too")));
            }
        }
    }
}
