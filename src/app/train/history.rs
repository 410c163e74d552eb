//! Rows of the history, one per epoch, in memory and in `history.csv`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::files::{exact_float, write_atomic};

/// Results of an epoch. The fields are the columns of `history.csv`, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean over the samples of the class-weighted cross-entropy, each before its step's update.
    #[serde(with = "exact_float")]
    pub loss: f64,
    /// Share of the training samples predicted right, not class-weighted.
    #[serde(with = "exact_float")]
    pub accuracy: f64,
    /// Mean cross-entropy of the validation samples, not class-weighted: on another scale than `loss`.
    #[serde(with = "exact_float")]
    pub val_loss: f64,
    #[serde(with = "exact_float")]
    pub val_accuracy: f64,
    /// The learning rate of the epoch's last step.
    #[serde(with = "exact_float")]
    pub lr: f32,
    /// Wall clock of the epoch's training steps and its validation.
    #[serde(with = "exact_float")]
    pub seconds: f64,
    /// Training throughput.
    #[serde(with = "exact_float")]
    pub images_per_second: f64,
    /// Share, 0..1, of the training time spent waiting for data.
    #[serde(with = "exact_float")]
    pub data_wait: f64,
}

impl EpochRecord {
    /// An object of the columns; null stands for a number that is not finite, for which JSON has no form.
    pub fn to_json(&self) -> Value {
        let mut columns = serde_json::to_value(self).expect("plain values are JSON");
        for value in columns.as_object_mut().expect("columns have names").values_mut() {
            if let Some(number) = value.as_str() {
                *value = number.parse::<f64>().expect("it was written so").into();
            }
        }
        columns
    }
}

/// The sums of which the means of an epoch are made under way, in the order of its steps. Part of a
/// run's state, since a run can stop in the middle of an epoch and the epoch's record must not show
/// it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochSums {
    /// Number of steps finished.
    pub steps: usize,
    pub samples: usize,
    pub correct: usize,
    /// Sum over the samples of their weighted cross-entropy.
    #[serde(with = "exact_float")]
    pub loss: f64,
    /// Wall clock.
    #[serde(with = "exact_float")]
    pub seconds: f64,
    /// Seconds of it spent waiting for data.
    #[serde(with = "exact_float")]
    pub waited: f64,
    /// Seconds of it spent in exchanges with other devices.
    #[serde(default, with = "exact_float")]
    pub exchanged: f64,
}

impl EpochSums {
    /// `batch_loss` is the mean over the `samples` of the batch, so a short batch counts for less, as in Keras.
    pub fn add_step(&mut self, batch_loss: f64, correct: usize, samples: usize) {
        self.steps += 1;
        self.samples += samples;
        self.correct += correct;
        self.loss += batch_loss * samples as f64;
    }

    /// Mean over the samples so far; NaN without samples.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.samples as f64
    }

    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.samples as f64
    }

    pub fn images_per_second(&self) -> f64 {
        self.samples as f64 / self.seconds
    }

    /// Share, 0..1.
    pub fn data_wait(&self) -> f64 {
        self.waited / self.seconds
    }

    /// Share, 0..1.
    pub fn exchange_wait(&self) -> f64 {
        self.exchanged / self.seconds
    }
}

/// Replaces the file as a whole, so that it never ends in half a row.
pub fn write(path: &Path, history: &[EpochRecord]) -> Result<()> {
    write_atomic(path, |file| {
        let mut table = csv::Writer::from_writer(file);
        for record in history {
            table.serialize(record)?;
        }
        table.flush()
    })
}

/// Reads back exactly, bit by bit, what `write` wrote.
///
/// A malformed row gives `Error::Input` with its line.
pub fn read(path: &Path) -> Result<Vec<EpochRecord>> {
    let at = |error: csv::Error| match (error.position(), error.kind()) {
        (Some(position), csv::ErrorKind::Deserialize { err, .. }) => Error::at(path, position.line(), err),
        _ => Error::Input(format!("{}: {error}", path.display())),
    };
    csv::Reader::from_path(path).map_err(at)?.deserialize().collect::<csv::Result<_>>().map_err(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<EpochRecord> {
        let first = EpochRecord {
            epoch: 1,
            loss: 1.0 / 3.0,
            accuracy: 0.1 + 0.2,
            val_loss: f64::NAN,
            val_accuracy: 5e-324,
            lr: 1e-3,
            seconds: 1e300,
            images_per_second: f64::INFINITY,
            data_wait: 0.0,
        };
        let second = EpochRecord { epoch: 2, val_loss: 2.0, lr: 0.2 * 1e-3, ..first.clone() };
        vec![first, second]
    }

    /// Text of the debug form, since NaN is not equal to itself; that form is exact as well.
    fn exact(records: &[EpochRecord]) -> String {
        format!("{records:?}")
    }

    #[test]
    fn a_short_batch_counts_for_less() {
        let mut sums = EpochSums::default();
        sums.add_step(1.0, 24, 32);
        sums.add_step(4.0, 0, 16);
        assert_eq!((sums.steps, sums.mean_loss(), sums.accuracy()), (2, 2.0, 0.5));
    }

    #[test]
    fn as_an_object_its_columns_are_numbers() {
        let json = records()[1].to_json().to_string();
        assert_eq!(
            json,
            "{\"epoch\":2,\"loss\":0.3333333333333333,\"accuracy\":0.30000000000000004,\"val_loss\":2.0,\
             \"val_accuracy\":5e-324,\"lr\":0.00020000001,\"seconds\":1e+300,\"images_per_second\":null,\"data_wait\":0.0}"
        );
    }

    #[test]
    fn comes_back_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        write(&path, &records()).unwrap();
        assert_eq!(exact(&read(&path).unwrap()), exact(&records()));
    }

    #[test]
    fn rows_are_plain_numbers_under_the_names_of_the_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        write(&path, &records()[..1]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(
            rows,
            [
                "epoch,loss,accuracy,val_loss,val_accuracy,lr,seconds,images_per_second,data_wait",
                "1,0.3333333333333333,0.30000000000000004,NaN,5e-324,0.001,1e300,inf,0.0",
            ]
        );
    }

    #[test]
    fn a_broken_row_is_named_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        write(&path, &records()).unwrap();
        let broken = std::fs::read_to_string(&path).unwrap().replace("2.0", "two");
        std::fs::write(&path, broken).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert_eq!(error, format!("{}:3: \"two\": invalid float literal", path.display()));
    }
}
