//! A CSV file in memory, with the line that each row stands on.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use csv::StringRecord;
use encoding_rs::SHIFT_JIS; // the Web's name for cp932

use crate::error::{Error, Result};

/// The rows of a CSV file whose first line names the columns. Every row has as many fields as there are columns.
pub struct Table {
    path: PathBuf,
    header: StringRecord,
    pub rows: Vec<Row>,
}

pub struct Row {
    /// The line where the row starts, counted from 1 as editors do.
    pub line: u64,
    fields: StringRecord,
}

impl Row {
    pub fn field(&self, column: usize) -> &str {
        &self.fields[column]
    }
}

impl Table {
    /// Reads a comma-separated file in UTF-8 or cp932 (a byte order mark, CRLF, CR and blank lines are tolerated). Rows
    /// with too few or too many fields are left out and added to `faults`.
    ///
    /// Errors: no such file, neither of the two encodings, no header, a quotation mark that swallows rows.
    pub fn read(path: &Path, faults: &mut Vec<Error>) -> Result<Table> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let text = decode(path, &bytes)?;
        if let Some(opened) = unclosed_quote(&text) {
            let line = 1 + newlines(&text.as_bytes()[..opened]);
            return Err(Error::at(path, line, "a quotation mark opened in this row is never closed"));
        }
        // Uneven rows are let through here, because the reader's own error counts no blank lines.
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let broken = |e: csv::Error| Error::at(path, 1, e);
        let header: StringRecord = reader.headers().map_err(broken)?.iter().map(str::trim).collect();
        if header.is_empty() {
            return Err(Error::at(path, 1, "empty file; the first line has to name the columns"));
        }
        let mut rows = Vec::new();
        let (mut line, mut counted) = (1, 0);
        for fields in reader.into_records() {
            let fields = fields.map_err(broken)?;
            // The reader's position is where it stopped before, which blank lines may separate from the row.
            let stopped = fields.position().map_or(0, |p| p.byte() as usize);
            let blank = text.as_bytes()[stopped..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            line += newlines(&text.as_bytes()[counted..stopped + blank]);
            counted = stopped + blank;
            if fields.len() != header.len() {
                let message = format!("{} fields, but the header names {}", fields.len(), header.len());
                faults.push(Error::at(path, line, message));
                continue;
            }
            rows.push(Row { line, fields });
        }
        Ok(Table { path: path.to_path_buf(), header, rows })
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
            (None, _) => {
                let names = self.header.iter().collect::<Vec<_>>().join(",");
                Err(Error::at(&self.path, 1, format!("no column `{name}`; the columns are: {names}")))
            }
            _ => Err(Error::at(&self.path, 1, format!("two columns are called `{name}`"))),
        }
    }
}

/// UTF-8 if it can be that, else cp932: spreadsheets in Japanese write it, and text in it is hardly ever valid UTF-8.
fn decode<'a>(path: &Path, bytes: &'a [u8]) -> Result<Cow<'a, str>> {
    str::from_utf8(bytes).map(Cow::Borrowed).or_else(|e| {
        SHIFT_JIS.decode_without_bom_handling_and_without_replacement(bytes).ok_or_else(|| {
            let before = &bytes[..e.valid_up_to()];
            let column = before.iter().rev().take_while(|&&byte| !matches!(byte, b'\r' | b'\n')).count() + 1;
            let message = format!("byte {column}: neither UTF-8 nor cp932 text; save the file as \"CSV UTF-8\"");
            Error::at(path, 1 + newlines(before), message)
        })
    })
}

/// Where a cell begins with a quotation mark that takes in everything to the end of the file, or rows up to the opening
/// mark of another cell: then text stands behind what would be its end. The CSV reader accepts both without a word.
fn unclosed_quote(text: &str) -> Option<usize> {
    enum Cell {
        Begins,
        Plain,
        Quoted(usize),
        Closed(usize),
    }
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut cell = Cell::Begins;
    for (at, byte) in text.bytes().enumerate().skip(mark) {
        cell = match (cell, byte) {
            (Cell::Begins, b'"') => Cell::Quoted(at),
            (Cell::Quoted(opened), b'"') => Cell::Closed(opened),
            // Two marks stand for one in the text.
            (Cell::Closed(opened), b'"') | (Cell::Quoted(opened), _) => Cell::Quoted(opened),
            (_, b',' | b'\r' | b'\n') => Cell::Begins,
            (Cell::Closed(opened), _) if newlines(&text.as_bytes()[opened..at]) > 0 => return Some(opened),
            _ => Cell::Plain,
        };
    }
    if let Cell::Quoted(opened) = cell { Some(opened) } else { None }
}

/// How many lines end here, by LF, CRLF or, as old spreadsheets write it, CR.
fn newlines(bytes: &[u8]) -> u64 {
    let ends_line = |&(at, &byte): &(usize, &u8)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    bytes.iter().enumerate().filter(ends_line).count() as u64
}
