//! `predictions.csv`: every photograph that a network was tested on, with its label and probabilities.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::Path;

use crate::app::bars::LongBar;
use crate::app::data::Findings;
use crate::app::data::findings::listed;
use crate::app::data::table::{Row, Table};
use crate::app::metrics::Predictions;
use crate::error::{Error, Result};

/// Columns before those of the classes.
const HEAD: [&str; 4] = ["filename", "id", "label", "predicted"];

/// Predictions with the files and persons that they are of.
#[derive(Clone, Debug)]
pub struct Named {
    /// Of each sample.
    pub files: Vec<String>,
    pub persons: Vec<String>,
    pub predictions: Predictions,
}

impl Named {
    /// `probabilities` is `[samples, classes]`.
    pub fn new(
        classes: &[String],
        files: Vec<String>,
        persons: Vec<String>,
        labels: Vec<usize>,
        probabilities: Vec<f32>,
    ) -> Named {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        for person in &persons {
            let next = numbers.len() as u32;
            numbers.entry(person).or_insert(next);
        }
        let numbers = persons.iter().map(|person| numbers[&person[..]]).collect();
        let predictions = Predictions { classes: classes.to_vec(), labels, persons: numbers, probabilities };
        Named { files, persons, predictions }
    }

    /// A row per photograph: file, person, label, predicted class, and the probability of each class.
    pub fn write(&self, file: &mut dyn Write) -> io::Result<()> {
        let Predictions { classes, labels, .. } = &self.predictions;
        let mut table = csv::Writer::from_writer(file);
        table.write_record(HEAD.into_iter().chain(classes.iter().map(String::as_str)))?;
        let bar = LongBar::new("Writing predictions", labels.len());
        for (sample, top) in self.predictions.tops().into_iter().enumerate() {
            bar.add(1);
            let [label, top] = [labels[sample], top].map(|class| &classes[class]);
            let probabilities = self.predictions.row(sample).iter().map(f32::to_string);
            let cells = [&self.files[sample], &self.persons[sample], label, top].into_iter().cloned();
            table.write_record(cells.chain(probabilities))?;
        }
        table.flush()
    }

    /// Reads what `write` wrote.
    ///
    /// Errors: another table, a label that is no class, a cell that is no probability; by file and line.
    pub fn read(path: &Path) -> Result<Named> {
        let mut found = Findings::default();
        let table = Table::read(path, &mut found)?;
        let classes = match table.names().split_at_checked(HEAD.len()) {
            Some((head, classes)) if head == HEAD && !classes.is_empty() => classes.to_vec(),
            _ => return Err(Error::at(path, 1, format!("not a table of predictions: {},...", HEAD.join(",")))),
        };
        let index: BTreeMap<&str, usize> = classes.iter().enumerate().map(|(at, class)| (&class[..], at)).collect();
        let rows = table.rows(&mut found, |row: &Row| {
            let label = row.field(2);
            let label = *index.get(label).ok_or_else(|| {
                Error::at_column(path, row.line, HEAD[2], format!("{label:?} is no column of probabilities"))
            })?;
            let probability = |class: usize| {
                let cell = row.field(HEAD.len() + class);
                let value = cell.parse::<f32>().ok().filter(|value| (0.0..=1.0).contains(value));
                value.ok_or_else(|| {
                    Error::at_column(path, row.line, &classes[class], format!("{cell:?} is no probability"))
                })
            };
            let probabilities: Vec<f32> = (0..classes.len()).map(probability).collect::<Result<_>>()?;
            Ok((row.field(0).to_string(), row.field(1).to_string(), label, probabilities))
        })?;
        listed(&found.faults)?;
        if rows.is_empty() {
            return Err(Error::at(path, 1, "no rows, only a header"));
        }
        let (mut files, mut persons, mut labels, mut probabilities) = (vec![], vec![], vec![], vec![]);
        for (file, person, label, row) in rows {
            files.push(file);
            persons.push(person);
            labels.push(label);
            probabilities.extend(row);
        }
        Ok(Named::new(&classes, files, persons, labels, probabilities))
    }

    /// The samples at these positions.
    pub fn subset(&self, samples: &[usize]) -> Named {
        let Predictions { classes, labels, .. } = &self.predictions;
        let pick = |of: &[String]| samples.iter().map(|&sample| of[sample].clone()).collect();
        let labels = samples.iter().map(|&sample| labels[sample]).collect();
        let probabilities = samples.iter().flat_map(|&sample| self.predictions.row(sample).to_vec()).collect();
        Named::new(classes, pick(&self.files), pick(&self.persons), labels, probabilities)
    }

    /// All of several parts, one after the other; their classes are the same.
    pub fn pooled(parts: &[Named]) -> Named {
        let all = |of: fn(&Named) -> &[String]| parts.iter().flat_map(|part| of(part).to_vec()).collect();
        let labels = parts.iter().flat_map(|part| part.predictions.labels.clone()).collect();
        let probabilities = parts.iter().flat_map(|part| part.predictions.probabilities.clone()).collect();
        let classes = parts.first().map_or(&[][..], |part| &part.predictions.classes);
        Named::new(classes, all(|part| &part.files), all(|part| &part.persons), labels, probabilities)
    }
}
