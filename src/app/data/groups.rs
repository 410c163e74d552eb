//! Photographs by the values of a column that is neither file, person nor label: sex, age, camera, eye.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::app::data::examples::Split;
use crate::app::data::findings::Findings;
use crate::app::data::folder::Folder;
use crate::app::data::records::Columns;
use crate::app::data::table::Table;
use crate::app::data::{DATA, DATASET};
use crate::error::{Error, Result};

/// More different numbers than this are cut into bands.
const MANY: usize = 10;

/// Bands of about as many photographs each.
const BANDS: usize = 4;

/// Group of the photographs without a value.
const EMPTY: &str = "(empty)";

/// The photographs of a split in groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Grouping {
    pub column: String,
    /// The table with the column.
    pub table: PathBuf,
    /// The groups are bands of numbers.
    pub is_banded: bool,
    /// In the order in which they are listed.
    pub names: Vec<String>,
    /// The group of each photograph.
    pub of: Vec<usize>,
}

impl Grouping {
    /// Reads the column from the split's own table, else from dataset.csv or data.csv of one of the `folders`.
    ///
    /// Errors: no such column in any of them, two values for one photograph.
    pub fn read(column: &str, folders: &[&Path], columns: &Columns, split: &Split) -> Result<Grouping> {
        let mut paths = vec![split.csv.clone()];
        paths.extend([DATASET, DATA].iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))));
        let mut seen = BTreeSet::new();
        paths.retain(|path| path.is_file() && seen.insert(path.clone()));
        for path in &paths {
            let table = Table::read(path, &mut Findings::default())?;
            if table.has(column) {
                let values = values(path, &table, column, columns, split)?;
                return Ok(Grouping::of(column, path, &values));
            }
        }
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        Err(Error::Input(format!("--by {column}: no such column in {}", paths.join(", "))))
    }

    /// Groups of these values, one per photograph.
    fn of(column: &str, table: &Path, values: &[String]) -> Grouping {
        let distinct: BTreeSet<&str> = values.iter().map(String::as_str).filter(|value| !value.is_empty()).collect();
        let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
        let is_banded = distinct.len() > MANY && distinct.iter().all(|value| number(value).is_some());
        let of_each: Vec<String> = match is_banded {
            true => banded(&values.iter().map(|value| number(value)).collect::<Vec<_>>()),
            false => values.iter().map(|value| if value.is_empty() { EMPTY.into() } else { value.clone() }).collect(),
        };
        let mut names: Vec<String> = of_each.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        // Bands and numbers by size, other values by their letters, the empty last.
        let first = |name: &str| name.split(' ').next().and_then(number).unwrap_or(f64::INFINITY);
        names.sort_by(|a, b| (a == EMPTY).cmp(&(b == EMPTY)).then(first(a).total_cmp(&first(b))).then(a.cmp(b)));
        let index: HashMap<&str, usize> = names.iter().enumerate().map(|(at, name)| (&name[..], at)).collect();
        let of = of_each.iter().map(|name| index[&name[..]]).collect();
        Grouping { column: column.into(), table: table.to_path_buf(), is_banded, names, of }
    }
}

/// The value of each photograph, empty where the table has none.
fn values(path: &Path, table: &Table, column: &str, columns: &Columns, split: &Split) -> Result<Vec<String>> {
    let (filename, value) = (table.column(&columns.filename)?, table.column(column)?);
    let mut folder = Folder::of(&split.dir);
    let mut found = Findings::default();
    let rows = table.rows(&mut found, |row| {
        Ok((row.line, row.field(filename).trim().to_string(), row.field(value).trim().to_string()))
    })?;
    let mut of_file: HashMap<PathBuf, (u64, String)> = HashMap::new();
    for (line, name, value) in rows {
        // A table may list photographs that are not there; the split's own are.
        let Ok(file) = folder.find(&name) else { continue };
        let (first, known) = of_file.entry(file).or_insert((line, value.clone()));
        if *known != value {
            let message = format!("{value:?} for {name}, which has {known:?} in line {first}");
            return Err(Error::at_column(path, line, column, message));
        }
    }
    let value = |path: &PathBuf| of_file.get(path).map_or(String::new(), |(_, value)| value.clone());
    Ok(split.examples.iter().map(|example| value(&example.path)).collect())
}

/// The band of each number, named by its least and its largest.
fn banded(values: &[Option<f64>]) -> Vec<String> {
    let mut sorted: Vec<f64> = values.iter().flatten().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let mut starts: Vec<f64> = (0..BANDS).map(|band| sorted[band * sorted.len() / BANDS]).collect();
    starts.dedup();
    let band_of = |value: f64| starts.iter().rposition(|&start| start <= value).expect("the first is the least");
    let name = |band: usize| {
        let last = sorted.iter().rev().find(|&&value| band_of(value) == band).expect("it begins with a value");
        format!("{} to {last}", starts[band])
    };
    let names: Vec<String> = (0..starts.len()).map(name).collect();
    values.iter().map(|value| value.map_or(EMPTY.into(), |value| names[band_of(value)].clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(values: &[&str]) -> Grouping {
        let values: Vec<String> = values.iter().map(|value| value.to_string()).collect();
        Grouping::of("column", Path::new("data.csv"), &values)
    }

    #[test]
    fn values_are_groups_and_many_numbers_are_bands() {
        let sexes = grouped(&["M", "F", "", "M"]);
        assert_eq!((sexes.names, sexes.of), (vec!["F".into(), "M".into(), EMPTY.into()], vec![1, 0, 2, 1]));
        let few = grouped(&["10", "9", "2", "9"]);
        assert_eq!((&few.names[..], few.is_banded), (&["2".into(), "9".into(), "10".into()][..], false));

        let ages: Vec<String> = (1..=40).map(|age| age.to_string()).chain([String::new()]).collect();
        let bands = grouped(&ages.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(bands.is_banded);
        assert_eq!(bands.names, ["1 to 10", "11 to 20", "21 to 30", "31 to 40", EMPTY]);
        assert_eq!((bands.of[0], bands.of[9], bands.of[10], bands.of[39], bands.of[40]), (0, 0, 1, 3, 4));
        // A text among them: each is a value of its own.
        let mixed: Vec<String> = (1..=20).map(|age| age.to_string()).chain(["old".into()]).collect();
        let mixed = grouped(&mixed.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((mixed.is_banded, mixed.names.len()), (false, 21));
    }

    #[test]
    fn equal_numbers_stay_in_one_band() {
        let most = ["50"; 60].into_iter().chain(["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "99"]);
        let bands = grouped(&most.collect::<Vec<_>>());
        assert_eq!(bands.names, ["1 to 10", "50 to 99"]);
    }
}
