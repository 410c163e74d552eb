//! The table of filename, id and label: the format of dataset.csv and of the three splits.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::bars::LongBar;
use crate::app::data::findings::Findings;
use crate::app::data::table::{Row, Table};
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// Names of the columns, in every table of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// The column of file names.
    pub filename: String,
    /// The column of labels.
    pub label: String,
    /// The column that tells persons apart; without it, `id`, and where there is no such column, file names up to the
    /// first _ or . of them. With `none` each photograph is a person of its own, unless a table has a column of that
    /// name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// The name of a column of persons that stands for none.
pub const NO_PERSONS: &str = "none";

impl Default for Columns {
    fn default() -> Columns {
        Columns { filename: "filename".into(), label: "label".into(), id: None }
    }
}

impl Columns {
    /// The column of persons, if there may be one: `id` is not if it is another column's name.
    pub fn id(&self) -> Option<&str> {
        let free = |name: &&str| *name != self.filename && *name != self.label;
        self.id.as_deref().or(Some("id").filter(free))
    }

    /// Errors: a name that two columns have.
    fn check(&self) -> Result<()> {
        let Columns { filename, label, id } = self;
        if filename != label && id.as_ref().is_none_or(|id| id != filename && id != label) {
            return Ok(());
        }
        let names: Vec<&str> = [filename, label].into_iter().chain(id).map(String::as_str).collect();
        let names = names.join(", ");
        Err(Error::Input(format!("the columns of file names, labels and persons need different names, not {names}")))
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

/// How the persons of a table are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persons {
    /// By a column.
    Column,
    /// By the beginnings of file names: see `person`.
    Names,
    /// Each photograph is a person of its own.
    Photographs,
}

impl Persons {
    /// How persons are told apart where that may be wrong, and what to do about it; empty for a
    /// column.
    pub(super) fn rule(self, columns: &Columns) -> String {
        if self != Persons::Names {
            return String::new();
        }
        let column = columns.id().map_or("of persons".to_string(), |name| format!("`{name}`"));
        format!(
            "without a column {column}, the file name up to its first _ or . is the person; --id-column names another column, \
             and --id-column {NO_PERSONS} makes each photograph a person of its own"
        )
    }
}

/// The labelled photographs of a table.
#[derive(Clone, Debug)]
pub struct Records {
    pub path: PathBuf,
    pub rows: Vec<Record>,
    pub persons: Persons,
}

/// The person a photograph is of: the file name, without its folders, up to its first `_` or `.`.
pub fn person(filename: &str) -> Option<&str> {
    let name = filename.rsplit(['/', '\\']).next()?;
    name.split(['_', '.']).next().map(str::trim).filter(|id| !id.is_empty())
}

/// Reads a table. Rows with an empty cell, or one of several lines, are left out and are faults.
///
/// Errors: what `Table::read` refuses, a missing column, a file without rows.
pub fn read(path: &Path, columns: &Columns, found: &mut Findings) -> Result<Records> {
    let table = Table::read(path, found)?;
    let (records, _) = of_table(path, &table, columns, found, |_| Ok(()))?;
    Ok(records)
}

/// Reads a table with one more column, whose cells `parse` converts: of each row one.
///
/// Errors: what `read` refuses, no column `name`.
pub(super) fn read_with<T>(
    path: &Path,
    columns: &Columns,
    found: &mut Findings,
    name: &str,
    parse: impl Fn(&str) -> std::result::Result<T, String>,
) -> Result<(Records, Vec<T>)> {
    let table = Table::read(path, found)?;
    let column = table.column(name)?;
    of_table(path, &table, columns, found, |row| {
        parse(cell(path, row, column, name)?).map_err(|why| Error::at_column(path, row.line, name, why))
    })
}

fn of_table<T>(
    path: &Path,
    table: &Table,
    columns: &Columns,
    found: &mut Findings,
    more: impl Fn(&Row) -> Result<T>,
) -> Result<(Records, Vec<T>)> {
    let before = found.faults.len();
    let naming = Naming::of(path, table, columns)?;
    let label = table.column(&columns.label).map_err(|error| naming_option(error, "label"))?;
    let rows = table.rows(found, |row| {
        let (filename, id) = naming.file_and_person(row)?;
        let label = cell(path, row, label, &columns.label)?;
        Ok((Record { filename: filename.into(), id: id.into(), label: label.into(), line: row.line }, more(row)?))
    })?;
    if rows.is_empty() && found.faults.len() == before {
        return Err(Error::at(path, 1, "no rows, only a header"));
    }
    let (rows, more) = rows.into_iter().unzip();
    Ok((Records { path: path.to_path_buf(), rows, persons: naming.persons() }, more))
}

/// Appends to the error of a missing column the option that gives it another name.
fn naming_option(error: Error, column: &str) -> Error {
    Error::Input(format!("{error} (--{column}-column names another)"))
}

/// Where the rows of a table say which file they are of, and which person.
pub(super) struct Naming<'a> {
    path: &'a Path,
    columns: &'a Columns,
    filename: usize,
    persons: Persons,
    /// The column of persons and its name.
    id: Option<(usize, &'a str)>,
}

impl Naming<'_> {
    /// Errors: names that are the same, no column of file names, none of the name that persons' was given.
    pub fn of<'a>(path: &'a Path, table: &Table, columns: &'a Columns) -> Result<Naming<'a>> {
        columns.check()?;
        let filename = table.column(&columns.filename).map_err(|error| naming_option(error, "filename"))?;
        let (persons, id) = match (columns.id(), &columns.id) {
            (Some(name), _) if table.has(name) => (Persons::Column, Some((table.column(name)?, name))),
            (_, Some(name)) if name == NO_PERSONS => (Persons::Photographs, None),
            (Some(name), Some(_)) => return Err(naming_option(table.column(name).expect_err("it is missing"), "id")),
            _ => (Persons::Names, None),
        };
        Ok(Naming { path, columns, filename, persons, id })
    }

    pub fn persons(&self) -> Persons {
        self.persons
    }

    /// The file's name and the person's id.
    ///
    /// Errors: what `cell` refuses, a file name that begins with no id where it has to.
    pub fn file_and_person<'r>(&self, row: &'r Row) -> Result<(&'r str, &'r str)> {
        let filename = cell(self.path, row, self.filename, &self.columns.filename)?;
        let id = match self.id {
            Some((id, name)) => cell(self.path, row, id, name)?,
            None if self.persons == Persons::Photographs => filename,
            None => person(filename).ok_or_else(|| {
                let message = format!("no id in {filename:?} ({})", self.persons.rule(self.columns));
                Error::at_column(self.path, row.line, &self.columns.filename, message)
            })?,
        };
        Ok((filename, id))
    }
}

/// A warning if some tables have a column of persons and others have none: then a person has two
/// names.
pub(super) fn mixed(tables: &[Records], columns: &Columns) -> Option<String> {
    let with = tables.iter().find(|table| table.persons == Persons::Column)?;
    let without = tables.iter().find(|table| table.persons != Persons::Column)?;
    let (with, without, name) = (with.path.display(), without.path.display(), columns.id()?);
    Some(format!("{with} has a column `{name}`, {without} has none: a person in both may not be recognised"))
}

/// The text of a cell without the spaces around it, by which two persons or classes would differ that look alike.
///
/// Errors: it is empty, or goes over several lines.
fn cell<'a>(path: &Path, row: &'a Row, column: usize, name: &str) -> Result<&'a str> {
    let text = row.field(column);
    let fault = |what: &str| Err(Error::at_column(path, row.line, name, what));
    match text.trim() {
        "" => fault("empty"),
        _ if text.bytes().any(|byte| matches!(byte, b'\r' | b'\n')) => {
            fault("a line break inside it; a quotation mark may be missing or one too many")
        }
        trimmed => Ok(trimmed),
    }
}

/// Writes the table (without persons if their column has no name, or if each photograph is a person
/// of its own) with LF line ends, quoting only what has to be, as pandas writes it.
pub fn write<'a, R>(path: &Path, columns: &Columns, records: R) -> Result<()>
where
    R: IntoIterator<Item = &'a Record, IntoIter: Clone>,
{
    write_with(path, columns, records, None)
}

/// Writes the table with one more column: its name, and a cell per row.
pub(super) fn write_with<'a, R>(
    path: &Path,
    columns: &Columns,
    records: R,
    more: Option<(&str, &[String])>,
) -> Result<()>
where
    R: IntoIterator<Item = &'a Record, IntoIter: Clone>,
{
    let records = records.into_iter();
    let has_persons = columns.id.as_deref() != Some(NO_PERSONS) || records.clone().any(|row| row.id != row.filename);
    let id = columns.id().filter(|_| has_persons);
    write_atomic(path, |file| {
        let mut writer = csv::Writer::from_writer(file);
        let added = more.map(|(name, _)| name);
        writer
            .write_record([Some(&columns.filename[..]), id, Some(&columns.label[..]), added].into_iter().flatten())?;
        let bar = LongBar::new(&format!("Rows of {}", path.display()), records.clone().count());
        for (index, Record { filename, id: whose, label, .. }) in records.enumerate() {
            bar.add(1);
            let added = more.map(|(_, cells)| &cells[index]);
            writer.write_record([Some(filename), id.map(|_| whose), Some(label), added].into_iter().flatten())?;
        }
        writer.flush()
    })
}
