//! The tutorial's labelling: `data.csv`, one column a disease, to one label a photograph.

use std::path::Path;

use crate::data::records::Record;
use crate::data::table::{Row, Table};
use crate::error::{Error, Result};

/// The diseases in the order in which they are joined to a label.
const FLAGS: [&str; 9] = ["AMD", "RVO", "Gla", "MH", "DR", "RD", "RP", "AO", "DM"];
/// The label of a photograph without any flag.
const HEALTHY: &str = "Normal";
/// The one combination that the tutorial keeps.
const KEPT_PAIR: [&str; 2] = ["DR", "DM"];
/// Single labels that the tutorial leaves out.
const DROPPED: [&str; 3] = ["DR", "AO", "DM"];

/// Reads `data.csv` (`filename` and the nine flags; other columns are ignored) and keeps the rows that have a label,
/// in their order. A flag is set by a 1; empty or another number is not set.
///
/// Errors: what `Table::read` refuses, a missing column, a cell that is no number, a file name without a person's
/// id, no row left.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let table = Table::read(path)?;
    let filename = table.column("filename")?;
    let flags = FLAGS.iter().map(|&name| Ok((name, table.column(name)?))).collect::<Result<Vec<_>>>()?;
    let mut records = Vec::new();
    for row in &table.rows {
        let mut set = Vec::new();
        for &(name, column) in &flags {
            if is_set(row, column).map_err(|what| Error::at(path, row.line, format!("column `{name}`: {what}")))? {
                set.push(name);
            }
        }
        let filename = row.field(filename);
        let id = person(filename)
            .ok_or_else(|| Error::at(path, row.line, format!("column `filename`: no id in {filename:?}")))?;
        if let Some(label) = label(&set) {
            records.push(Record { filename: filename.to_string(), id: id.to_string(), label, line: row.line });
        }
    }
    if records.is_empty() {
        return Err(Error::at(path, 1, "no row with a label that is kept"));
    }
    Ok(records)
}

fn is_set(row: &Row, column: usize) -> std::result::Result<bool, String> {
    match row.field(column).trim() {
        "" => Ok(false),
        text => text.parse::<f64>().map(|value| value == 1.0).map_err(|_| format!("{text:?} is not a number")),
    }
}

/// The label of a row with these flags, `None` if the tutorial drops such rows.
fn label(set: &[&str]) -> Option<String> {
    match set {
        [] => Some(HEALTHY.to_string()),
        [one] => (!DROPPED.contains(one)).then(|| one.to_string()),
        several => (several == KEPT_PAIR).then(|| several.join("_")),
    }
}

/// The person a photograph is of: the file name up to its first `_` or `.`.
fn person(filename: &str) -> Option<&str> {
    filename.split(['_', '.']).next().filter(|id| !id.trim().is_empty())
}
