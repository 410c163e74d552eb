//! Rows that `predict` prints, one per photograph.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::super::output::{Out, printed};
use super::Format;
use crate::app::checkpoint::Operation;
use crate::app::predict;
use crate::error::Result;

/// Rows in the order of their photographs. Those of CSV are printed as they come; of the others,
/// the probabilities are kept.
pub struct Rows<'a> {
    format: Format,
    paths: &'a [PathBuf],
    classes: &'a [String],
    operation: &'a Operation,
    csv: csv::Writer<Out>,
    has_header: bool,
    /// Positions in `paths`, and the class probabilities of each.
    positions: Vec<usize>,
    probabilities: Vec<f32>,
}

impl<'a> Rows<'a> {
    /// `operation` says at which probabilities classes are positive, if that was chosen.
    pub fn new(format: Format, paths: &'a [PathBuf], classes: &'a [String], operation: &'a Operation) -> Rows<'a> {
        let csv = csv::Writer::from_writer(Out);
        Rows {
            format,
            paths,
            classes,
            operation,
            csv,
            has_header: false,
            positions: Vec::new(),
            probabilities: Vec::new(),
        }
    }

    /// Adds the photographs at these positions; `probabilities` is `[positions, classes]`.
    pub fn add(&mut self, positions: &[usize], probabilities: &[f32]) -> Result<()> {
        if self.format == Format::Csv {
            return printed(self.write_csv(positions, probabilities));
        }
        self.positions.extend(positions);
        self.probabilities.extend(probabilities);
        Ok(())
    }

    /// Prints what is not printed yet.
    pub fn end(mut self) -> Result<()> {
        let mut out = BufWriter::new(Out);
        printed(match self.format {
            Format::Csv => self.write_csv(&[], &[]),
            Format::Table => self.write_table(&mut out).and_then(|()| out.flush()),
            Format::Json => self.write_json(&mut out).and_then(|()| out.flush()),
        })
    }

    /// The header goes before the first row.
    fn write_csv(&mut self, positions: &[usize], probabilities: &[f32]) -> io::Result<()> {
        if !std::mem::replace(&mut self.has_header, true) {
            let positive = self.has_thresholds().then_some("positive");
            let head = ["filename", "predicted"].into_iter().chain(self.classes.iter().map(String::as_str));
            self.csv.write_record(head.chain(positive))?;
        }
        for (&position, row) in positions.iter().zip(probabilities.chunks_exact(self.classes.len())) {
            let cells = [self.name(position), self.top(row).to_string()].into_iter();
            let positive = self.has_thresholds().then(|| self.operation.positive(self.classes, row).join("|"));
            self.csv.write_record(cells.chain(row.iter().map(|p| p.to_string())).chain(positive))?;
        }
        self.csv.flush()
    }

    fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        let width = self.each().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let columns: Vec<usize> = self.classes.iter().map(|class| class.chars().count().max(6)).collect();
        let heads = columns.iter().zip(self.classes).map(|(width, class)| format!("  {class:>width$}"));
        writeln!(out, "{:width$}{}  predicted", "", heads.collect::<String>())?;
        self.each().try_for_each(|(name, row)| {
            let cells = columns.iter().zip(row).map(|(width, p)| format!("  {p:width$.4}")).collect::<String>();
            writeln!(out, "{name:width$}{cells}  {}", self.top(row))
        })
    }

    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    /// Names and probabilities of what was kept.
    fn each(&self) -> impl Iterator<Item = (String, &[f32])> {
        let rows = self.probabilities.chunks_exact(self.classes.len());
        self.positions.iter().map(|&position| self.name(position)).zip(rows)
    }

    fn has_thresholds(&self) -> bool {
        !self.operation.thresholds.is_empty()
    }

    fn name(&self, position: usize) -> String {
        self.paths[position].display().to_string()
    }

    /// The most probable class.
    fn top(&self, row: &[f32]) -> &'a str {
        &self.classes[predict::top_classes(row, self.classes.len())[0]]
    }
}

/// One object at a time: all of them would take many times the memory of the probabilities.
impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.each().map(|(name, row)| {
            let probabilities: Map<String, Value> =
                self.classes.iter().cloned().zip(row.iter().map(|&p| p.into())).collect();
            let mut entry = json!({ "filename": name, "predicted": self.top(row), "probabilities": probabilities });
            if self.has_thresholds() {
                entry["positive"] = self.operation.positive(self.classes, row).into();
            }
            entry
        }))
    }
}
