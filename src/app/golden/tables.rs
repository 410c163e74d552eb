//! The files without tensors: `report`, `callbacks` and the pair `data.csv`, `dataset.csv`.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::file::read_json;
use crate::app::data::{self, Columns, findings::first_of, labels, records, split::split};
use crate::app::report::Report;
use crate::app::train::callbacks::{CallbackOptions, Callbacks};
use crate::app::train::history::EpochRecord;
use crate::error::{Error, Result};
use crate::proof::doctor::findings::Findings;

#[derive(Deserialize)]
struct Cases<T> {
    cases: Vec<T>,
}

#[derive(Deserialize)]
struct ReportCase {
    name: String,
    y_true: Vec<usize>,
    y_pred: Vec<usize>,
    target_names: Vec<String>,
    confusion_matrix: Vec<Vec<usize>>,
    /// None: scikit-learn's call raised an error.
    report: Option<String>,
    /// Some: the labels whose rows were asked for.
    labels: Option<Vec<usize>>,
}

/// A confusion matrix has the square of it.
const MOST_CLASSES: usize = 1000;

/// scikit-learn's confusion matrices and report texts.
pub fn reports(dir: &Path, findings: &mut Findings) -> Result<()> {
    let cases: Cases<ReportCase> = read_json(&dir.join("report.json"))?;
    for case in cases.cases {
        let new = if case.labels.is_some() { Report::over_all_classes } else { Report::new };
        let classes = case.target_names.len();
        if classes > MOST_CLASSES
            || case.y_true.len() != case.y_pred.len()
            || case.y_true.iter().chain(&case.y_pred).any(|&c| c >= classes)
        {
            findings
                .note(&case.name, Err("classes without a name, too many, or not as many predictions as labels".into()));
            continue;
        }
        let got = new(&case.target_names, &case.y_true, &case.y_pred);
        let (matrix, want) = (&got.confusion, &case.confusion_matrix);
        findings.expect(&case.name, matrix == want, || format!("confusion matrix {matrix:?}, want {want:?}"));
        if let Some(want) = &case.report {
            let text = got.to_text();
            findings.expect(&case.name, text == *want, || difference(&text, want));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct CallbackCase {
    name: String,
    loss: Vec<Number>,
    val_loss: Vec<Number>,
    #[serde(flatten)]
    trace: Trace,
    epochs_run: usize,
}

/// JSON has no NaN or infinity; the file writes them as strings.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(#[serde(deserialize_with = "from_text")] f64),
}

fn from_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl Number {
    fn value(self) -> f64 {
        match self {
            Number::Finite(value) | Number::Other(value) => value,
        }
    }
}

/// Trace of the callbacks, epoch by epoch from 0.
#[derive(Debug, Default, Deserialize, PartialEq)]
struct Trace {
    lr_used: Vec<f32>,
    lr_after: Vec<f32>,
    epochs_saved: Vec<usize>,
    stop_after_epoch: Option<usize>,
}

/// Keras's traces of its three callbacks. Between epochs their state is written and read again, as a stopped and resumed
/// run does.
pub fn callbacks(dir: &Path, findings: &mut Findings) -> Result<()> {
    let cases: Cases<CallbackCase> = read_json(&dir.join("callbacks.json"))?;
    for case in cases.cases {
        let (got, want) = (play(&case), &case.trace);
        let same = got == *want && got.lr_used.len() == case.epochs_run;
        findings.expect(&case.name, same, || format!("{got:?}, want {want:?} in {} epochs", case.epochs_run));
    }
    Ok(())
}

fn play(case: &CallbackCase) -> Trace {
    let mut trace = Trace::default();
    let mut callbacks = Callbacks::new(CallbackOptions::default());
    let mut lr = *case.trace.lr_used.first().unwrap_or(&f32::NAN);
    for (epoch, (loss, val_loss)) in case.loss.iter().zip(&case.val_loss).enumerate() {
        trace.lr_used.push(lr);
        let (loss, val_loss) = (loss.value(), val_loss.value());
        let record = EpochRecord { epoch: epoch + 1, loss, val_loss, lr, ..EpochRecord::default() };
        let end = callbacks.epoch_end(&record);
        lr = end.lr;
        trace.lr_after.push(lr);
        if end.save_best {
            trace.epochs_saved.push(epoch);
        }
        if end.stop {
            trace.stop_after_epoch = Some(epoch);
            break;
        }
        let saved = serde_json::to_string(&callbacks).expect("plain values are JSON");
        callbacks = serde_json::from_str(&saved).expect("what was written can be read");
    }
    trace
}

/// `dataset.csv` is what the tutorial makes of `data.csv`, byte for byte; in a split of it nobody is in two parts.
pub fn dataset(dir: &Path, findings: &mut Findings) -> Result<()> {
    let mut read = data::Findings::default();
    let columns = Columns::default();
    let rows = labels::read(&dir.join("data.csv"), &columns, &mut read)?.rows;
    first_of(read.faults)?;
    let scratch = tempfile::tempdir().map_err(Error::io(dir))?;
    let made = scratch.path().join("dataset.csv");
    records::write(&made, &columns, &rows)?;
    let read = |path: &Path| std::fs::read_to_string(path).map_err(Error::io(path));
    let (got, want) = (read(&made)?, read(&dir.join("dataset.csv"))?);
    findings.expect("dataset.csv", got == want, || difference(&got, &want));

    let mut part_of = HashMap::new();
    let parts = split(&rows, 0);
    let together = rows.iter().zip(&parts).all(|(row, part)| part_of.entry(&row.id).or_insert(part) == &part);
    findings.expect("split of dataset.csv", together, || "a person is in two parts".into());
    Ok(())
}

/// The first line in which two texts differ.
fn difference(got: &str, want: &str) -> String {
    let (got, want): (Vec<&str>, Vec<&str>) = (got.split('\n').collect(), want.split('\n').collect());
    let line = (0..got.len().max(want.len())).find(|&line| got.get(line) != want.get(line)).unwrap_or(0);
    format!("line {}: {:?}, want {:?}", line + 1, got.get(line).unwrap_or(&""), want.get(line).unwrap_or(&""))
}
