//! A CSV file in memory, with the line that each row stands on.

use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::app::bars::LongBar;
use crate::app::data::alike;
use crate::app::data::encoding::{self, newlines};
use crate::app::data::findings::Findings;
use crate::error::{Error, Result};

/// Separators of cells: a comma, a semicolon (spreadsheets where numbers have a decimal comma) or a
/// tab.
const SEPARATORS: [u8; 3] = *b",;\t";

/// A CSV file whose first line names the columns.
pub struct Table {
    path: PathBuf,
    /// From the header on.
    text: String,
    separator: u8,
    header: StringRecord,
    /// The header's line.
    line: u64,
}

/// A row with at least as many fields as there are columns.
pub struct Row<'a> {
    /// The line where the row starts, counted from 1 as editors do.
    pub line: u64,
    fields: &'a StringRecord,
}

impl Row<'_> {
    pub fn field(&self, column: usize) -> &str {
        &self.fields[column]
    }
}

impl Table {
    /// Reads a file of text (a byte order mark, CRLF and CR are tolerated). The header tells the
    /// separator; an encoding that had to be guessed is a warning.
    ///
    /// Errors: no such file, an encoding that cannot be told, no header, a quotation mark that
    /// swallows rows.
    pub fn read(path: &Path, found: &mut Findings) -> Result<Table> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let (text, warning) = encoding::decode(path, &bytes)?;
        found.warnings.extend(warning);
        let (separator, skipped) = separator(&text);
        let text = text[skipped..].to_string();
        let line = 1 + u64::from(skipped > 0);
        if let Some(opened) = unclosed_quote(&text, separator) {
            let line = line + newlines(&text.as_bytes()[..opened]);
            return Err(Error::at(path, line, "a quotation mark opened in this row is never closed"));
        }
        let mut table = Table { path: path.to_path_buf(), text, separator, header: StringRecord::new(), line };
        let header = table.reader().headers().map_err(|error| table.broken(error))?.clone();
        let named = (0..header.len()).rfind(|&at| !header[at].trim().is_empty()).map_or(0, |last| last + 1);
        table.header = header.iter().take(named).map(str::trim).collect();
        if table.header.is_empty() {
            return Err(Error::at(path, line, "empty file; the first line has to name the columns"));
        }
        Ok(table)
    }

    fn reader(&self) -> csv::Reader<&[u8]> {
        // Uneven rows are let through here, because the reader's own error counts no blank lines.
        csv::ReaderBuilder::new().flexible(true).delimiter(self.separator).from_reader(self.text.as_bytes())
    }

    fn broken(&self, error: csv::Error) -> Error {
        Error::at(&self.path, self.line, error)
    }

    /// Converts each row by `of`, in order. Rows without a word are skipped, and empty cells after
    /// the last column. Rows with too few or too many fields, and those that `of` refuses, are
    /// faults.
    pub fn rows<T>(&self, found: &mut Findings, of: impl Fn(&Row) -> Result<T>) -> Result<Vec<T>> {
        let (text, header) = (self.text.as_bytes(), &self.header);
        let mut reader = self.reader();
        reader.headers().map_err(|error| self.broken(error))?;
        let mut rows = Vec::new();
        let (mut line, mut counted) = (self.line, 0);
        // One record serves all rows: a long table has millions.
        let mut fields = StringRecord::new();
        let bar = LongBar::new(&format!("Bytes of {}", self.path.display()), text.len());
        while reader.read_record(&mut fields).map_err(|error| self.broken(error))? {
            // The reader's position is where it stopped before, which blank lines may separate from the row.
            let stopped = fields.position().map_or(0, |p| p.byte() as usize);
            let blank = text[stopped..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            line += newlines(&text[counted..stopped + blank]);
            bar.add(stopped + blank - counted);
            counted = stopped + blank;
            let is_empty = |from: usize| fields.iter().skip(from).all(|field| field.trim().is_empty());
            if fields[0].trim().is_empty() && is_empty(0) {
                continue;
            }
            if fields.len() < header.len() || (fields.len() > header.len() && !is_empty(header.len())) {
                let message = format!("{} fields, but the header names {}", fields.len(), header.len());
                found.faults.push(Error::at(&self.path, line, message));
                continue;
            }
            match of(&Row { line, fields: &fields }) {
                Ok(row) => rows.push(row),
                Err(fault) => found.faults.push(fault),
            }
        }
        Ok(rows)
    }

    /// Names of the columns, in their order.
    pub fn names(&self) -> Vec<String> {
        self.header.iter().map(String::from).collect()
    }

    /// Whether there is a column called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.header.iter().any(|column| column == name)
    }

    /// The position of the column called `name`; columns come in any order.
    ///
    /// Errors: no such column, or two of them.
    pub fn column(&self, name: &str) -> Result<usize> {
        let mut found = (0..self.header.len()).filter(|&i| &self.header[i] == name);
        match (found.next(), found.next()) {
            (Some(column), None) => Ok(column),
            (None, _) => Err(Error::at(&self.path, self.line, self.no_column(name))),
            _ => Err(Error::at(&self.path, self.line, format!("two columns are called `{name}`"))),
        }
    }

    /// Says that there is no column of a name, which there are, and which of them looks like it.
    fn no_column(&self, name: &str) -> String {
        let names = self.header.iter().collect::<Vec<_>>().join(",");
        let wanted = loose(name);
        let alike = self.header.iter().filter(|column| loose(column) == wanted);
        let alike = alike.map(|column| format!("; did you mean {column:?}?")).collect::<String>();
        format!("no column `{name}`; the columns are: {names}{alike}")
    }
}

/// A column's name without what is easily mistaken in it.
fn loose(name: &str) -> String {
    alike::key(name).replace(['_', '-', '.'], "")
}

/// Separator of a table's cells, and the bytes before its header: some spreadsheets write `sep=;`
/// there.
fn separator(text: &str) -> (u8, usize) {
    let first = text.split(['\r', '\n']).next().unwrap_or_default();
    if let Some(named) = first.trim_matches('"').strip_prefix("sep=").filter(|named| named.len() == 1) {
        let rest = &text[first.len()..];
        let end = if rest.starts_with("\r\n") { 2 } else { rest.len().min(1) };
        return (named.as_bytes()[0], first.len() + end);
    }
    let mut quoted = false;
    let mut counts = SEPARATORS.map(|separator| (separator, 0));
    for byte in first.bytes() {
        quoted ^= byte == b'"';
        counts.iter_mut().filter(|(separator, _)| *separator == byte && !quoted).for_each(|(_, count)| *count += 1);
    }
    // Of equals the first.
    let (separator, _) = counts.into_iter().rev().max_by_key(|&(_, count)| count).expect("there are separators");
    (separator, 0)
}

/// Where a cell begins with a quotation mark that takes in everything to the end of the file, or
/// rows up to the opening mark of another cell: then text follows what would be its end. The CSV
/// reader accepts both without a word.
fn unclosed_quote(text: &str, separator: u8) -> Option<usize> {
    enum Cell {
        Begins,
        Plain,
        Quoted(usize),
        Closed(usize),
    }
    if !text.contains('"') {
        return None;
    }
    let mut cell = Cell::Begins;
    for (at, byte) in text.bytes().enumerate() {
        cell = match (cell, byte) {
            (Cell::Begins, b'"') => Cell::Quoted(at),
            (Cell::Quoted(opened), b'"') => Cell::Closed(opened),
            // Two marks stand for one in the text.
            (Cell::Closed(opened), b'"') | (Cell::Quoted(opened), _) => Cell::Quoted(opened),
            (_, b'\r' | b'\n') => Cell::Begins,
            (_, byte) if byte == separator => Cell::Begins,
            (Cell::Closed(opened), _) if newlines(&text.as_bytes()[opened..at]) > 0 => return Some(opened),
            _ => Cell::Plain,
        };
    }
    if let Cell::Quoted(opened) = cell { Some(opened) } else { None }
}
