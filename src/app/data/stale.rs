//! Tables that no longer follow from the one they were made of: somebody has put a label right, or
//! added a row.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use crate::app::data::findings::{Findings, counted};
use crate::app::data::records::{Columns, Persons, Record, Records};
use crate::app::data::{DATA, DATASET, labels, records};

/// The tables that others are made of: the splits of dataset.csv, and that of data.csv.
#[derive(Default)]
pub(super) struct Sources<'a> {
    dataset: Option<Cow<'a, Records>>,
    data: Option<Records>,
    warnings: Vec<String>,
}

impl<'a> Sources<'a> {
    /// Reads the sources that are in `dir`. Faults in their rows stop nothing; a data.csv that is
    /// not in the tutorial's form has nothing to do with the others.
    pub fn read(dir: &Path, columns: &Columns) -> Sources<'a> {
        let (path, mut found) = (dir.join(DATASET), Findings::default());
        let mut sources = Sources::default();
        if path.exists() {
            match records::read(&path, columns, &mut found) {
                Ok(dataset) => sources.dataset = Some(Cow::Owned(dataset)),
                Err(error) => {
                    let warning = format!("the splits are not compared with what they are made of: {error}");
                    return Sources { warnings: vec![warning], ..sources };
                }
            }
        }
        sources.with_data(dir, columns, found)
    }

    /// Reads the sources beside a table that has been read to make splits of it.
    pub fn beside(source: &'a Records, columns: &Columns) -> Sources<'a> {
        let dir = source.path.parent().unwrap_or(Path::new(""));
        if source.path == dir.join(DATA) {
            return Sources::default();
        }
        let sources = Sources { dataset: Some(Cow::Borrowed(source)), ..Sources::default() };
        sources.with_data(dir, columns, Findings::default())
    }

    fn with_data(self, dir: &Path, columns: &Columns, mut found: Findings) -> Sources<'a> {
        let path = dir.join(DATA);
        let data = path.exists().then(|| labels::read(&path, columns, &mut found).ok()).flatten();
        Sources { data, warnings: found.warnings, ..self }
    }

    /// Warnings of guesses made in reading the sources, and of tables that no longer follow from
    /// them.
    pub fn warnings(self, splits: &[Records]) -> Vec<String> {
        let Sources { dataset, data, mut warnings } = self;
        let splits: Vec<&Records> = splits.iter().collect();
        let dataset = dataset.as_deref();
        let made: Vec<&Records> = splits.iter().copied().chain(dataset).collect();
        warnings.extend(dataset.and_then(|dataset| warning(dataset, &splits, &splits)));
        let of_data = if dataset.is_some() { &made[splits.len()..] } else { &splits };
        warnings.extend(data.and_then(|data| warning(&data, of_data, &made)));
        warnings
    }
}

/// Ways in which a row can have changed, each with the number of rows and an example.
#[derive(Default)]
struct Changes(Vec<(&'static str, usize, String)>);

impl Changes {
    fn add(&mut self, what: &'static str, example: impl FnOnce() -> String) {
        match self.0.iter_mut().find(|(known, ..)| *known == what) {
            Some((_, count, _)) => *count += 1,
            None => self.0.push((what, 1, example())),
        }
    }
}

/// A warning if the tables `made` have other rows than `source`. They are made anew when the files
/// `to_remove` are gone.
fn warning(source: &Records, made: &[&Records], to_remove: &[&Records]) -> Option<String> {
    let mut changes = Changes::default();
    let from = source.path.display();
    let names: Vec<String> =
        made.iter().map(|table| table.path.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect();
    let (last, before) = names.split_last()?;
    let missing = if made.len() == 1 { "missing" } else { "in no split" };
    let compare = |changes: &mut Changes, row: &Record, table: &Records, other: &Record| {
        let there = || format!("{}:{}", table.path.display(), other.line);
        if row.label != other.label {
            changes.add("with another label", || {
                format!("{from}:{}: {} is {:?}, {:?} in {}", row.line, row.filename, row.label, other.label, there())
            });
        } else if row.id != other.id && source.persons == Persons::Column && table.persons == Persons::Column {
            changes.add("of another person", || {
                format!("{from}:{}: {} is of {:?}, of {:?} in {}", row.line, row.filename, row.id, other.id, there())
            });
        }
    };

    // Tables that were made of the source have its order: what is next in one of them is found
    // without a search.
    let mut next = vec![0; made.len()];
    let mut left = Vec::new();
    for row in &source.rows {
        let is_next = |&table: &usize| made[table].rows.get(next[table]).is_some_and(|r| r.filename == row.filename);
        match (0..made.len()).find(is_next) {
            Some(table) => {
                compare(&mut changes, row, made[table], &made[table].rows[next[table]]);
                next[table] += 1;
            }
            None => left.push(row),
        }
    }
    // The rest by name; each name may stand there more than once.
    let mut others: HashMap<&str, Vec<(&Records, &Record)>> = HashMap::new();
    for (table, &next) in made.iter().zip(&next) {
        table.rows[next..].iter().for_each(|row| others.entry(&row.filename).or_default().push((*table, row)));
    }
    others.values_mut().for_each(|rows| rows.reverse());
    for row in left {
        match others.get_mut(&row.filename[..]).and_then(Vec::pop) {
            Some((table, other)) => compare(&mut changes, row, table, other),
            None => changes.add(missing, || format!("{from}:{}: {}", row.line, row.filename)),
        }
    }
    let mut gone: Vec<(&Records, &Record)> = others.into_values().flatten().collect();
    gone.sort_by_key(|(table, row)| (&table.path, row.line));
    for (table, row) in gone {
        changes.add("not in it", || format!("{}:{}: {}", table.path.display(), row.line, row.filename));
    }

    if changes.0.is_empty() {
        return None;
    }
    let made = if before.is_empty() { last.clone() } else { format!("{} and {last}", before.join(", ")) };
    let verb = if before.is_empty() { "follows" } else { "follow" };
    let changes =
        changes.0.into_iter().map(|(what, count, example)| format!("{} {what} ({example})", counted(count, "row")));
    let changes = changes.collect::<Vec<_>>().join("; ");
    let files: Vec<String> = to_remove.iter().map(|table| table.path.display().to_string()).collect();
    let files = files.join(", ");
    Some(format!("{made} no longer {verb} from {from}: {changes}; remove {files} to have all made anew"))
}
