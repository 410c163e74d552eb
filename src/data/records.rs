//! The table of filename, id and label: the format of dataset.csv and of the three splits.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::table::{Row, Table};
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// What the columns are called, in every table of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    pub filename: String,
    pub label: String,
    /// None means `id`, and where there is no such column, the person that the file name begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Default for Columns {
    fn default() -> Columns {
        Columns { filename: "filename".into(), label: "label".into(), id: None }
    }
}

impl Columns {
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or("id")
    }
}

/// One photograph: its file, the person it is of, its class, and the line of the CSV file that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub filename: String,
    pub id: String,
    pub label: String,
    pub line: u64,
}

/// The person a photograph is of: the file name up to its first `_` or `.`.
pub fn person(filename: &str) -> Option<&str> {
    filename.split(['_', '.']).next().filter(|id| !id.trim().is_empty())
}

/// Reads a table. Rows with an empty cell, or one of several lines, are left out and added to `faults`.
///
/// Errors: what `Table::read` refuses, a missing column, a file without rows.
pub fn read(path: &Path, columns: &Columns, faults: &mut Vec<Error>) -> Result<Vec<Record>> {
    let before = faults.len();
    let table = Table::read(path, faults)?;
    let (filename, label) = (table.column(&columns.filename)?, table.column(&columns.label)?);
    let id = match columns.id.is_some() || table.has(columns.id()) {
        true => Some(table.column(columns.id())?),
        false => None,
    };
    if table.rows.is_empty() && faults.len() == before {
        return Err(Error::at(path, 1, "no rows, only a header"));
    }
    let record = |row: &Row| {
        let filename = cell(path, row, filename, &columns.filename)?;
        let id = match id {
            Some(id) => cell(path, row, id, columns.id())?,
            None => person_in(path, row.line, &columns.filename, filename)?,
        };
        let label = cell(path, row, label, &columns.label)?;
        Ok(Record { filename: filename.into(), id: id.into(), label: label.into(), line: row.line })
    };
    Ok(table.rows.iter().filter_map(|row| record(row).map_err(|fault| faults.push(fault)).ok()).collect())
}

/// The text of a cell.
///
/// Errors: it is empty, or goes over several lines.
pub(super) fn cell<'a>(path: &Path, row: &'a Row, column: usize, name: &str) -> Result<&'a str> {
    let text = row.field(column);
    let fault = |what: &str| Err(Error::at_column(path, row.line, name, what));
    if text.trim().is_empty() {
        return fault("empty");
    }
    if text.contains(['\r', '\n']) {
        return fault("a line break inside it; a quotation mark may be missing or one too many");
    }
    Ok(text)
}

/// `person`, or what is wrong with the cell.
pub fn person_in<'a>(path: &Path, line: u64, column: &str, filename: &'a str) -> Result<&'a str> {
    person(filename).ok_or_else(|| Error::at_column(path, line, column, format!("no id in {filename:?}")))
}

/// Writes the table with LF line ends, quoting only what has to be (as pandas writes it).
pub fn write<'a>(path: &Path, columns: &Columns, records: impl IntoIterator<Item = &'a Record>) -> Result<()> {
    write_atomic(path, |file| {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record([&columns.filename, columns.id(), &columns.label])?;
        for record in records {
            writer.write_record([&record.filename, &record.id, &record.label])?;
        }
        writer.flush()
    })
}
