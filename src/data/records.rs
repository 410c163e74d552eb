//! The table `filename,id,label`: the format of dataset.csv and of the three splits.

use std::path::Path;

use crate::data::table::Table;
use crate::error::{Error, Result};
use crate::files::write_atomic;

const COLUMNS: [&str; 3] = ["filename", "id", "label"];

/// One photograph: its file, the person it is of, its class, and the line of the CSV file that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub filename: String,
    pub id: String,
    pub label: String,
    pub line: u64,
}

/// Errors: what `Table::read` refuses, a missing column, an empty cell, a file without rows.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let table = Table::read(path)?;
    let mut columns = [0; 3];
    for (column, name) in columns.iter_mut().zip(COLUMNS) {
        *column = table.column(name)?;
    }
    if table.rows.is_empty() {
        return Err(Error::at(path, 1, "no rows, only a header"));
    }
    let record = |row: &crate::data::table::Row| {
        let [filename, id, label] = columns.map(|c| row.field(c).to_string());
        for (value, name) in [&filename, &id, &label].into_iter().zip(COLUMNS) {
            if value.trim().is_empty() {
                return Err(Error::at(path, row.line, format!("column `{name}` is empty")));
            }
        }
        Ok(Record { filename, id, label, line: row.line })
    };
    table.rows.iter().map(record).collect()
}

/// Writes the table with LF line ends, quoting only what has to be (as pandas writes it).
pub fn write<'a>(path: &Path, records: impl IntoIterator<Item = &'a Record>) -> Result<()> {
    write_atomic(path, |file| {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(COLUMNS)?;
        for record in records {
            writer.write_record([&record.filename, &record.id, &record.label])?;
        }
        writer.flush()
    })
}
