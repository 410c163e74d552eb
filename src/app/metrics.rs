//! Figures of a classifier beyond scikit-learn's report: per class sensitivity, specificity, predictive values, ROC-AUC and
//! average precision; agreement and calibration over all classes; each with an interval by bootstrap over persons.
//!
//! Definitions are scikit-learn's (`roc_auc_score`, `average_precision_score`, `cohen_kappa_score`, `matthews_corrcoef`,
//! `log_loss` without clipping), one class against the rest. A figure that is not defined, such as the sensitivity of a
//! class without samples, is `None`.

mod bootstrap;
mod curve;
pub mod folds;
pub mod groups;
pub mod operating;
pub mod temperature;

use serde_json::{Map, Value, json};

pub use curve::Curve;

use crate::app::predict::top_classes;
use curve::Ranked;

/// Probabilities for labelled photographs.
#[derive(Clone, Debug, Default)]
pub struct Predictions {
    /// Names of the classes, in the order of the probabilities.
    pub classes: Vec<String>,
    /// The class of each sample.
    pub labels: Vec<usize>,
    /// The person of each sample, as a number below the number of persons.
    pub persons: Vec<u32>,
    /// `[samples, classes]`
    pub probabilities: Vec<f32>,
}

/// A figure of all classes together: its key in JSON and its name.
pub const OVERALL: [(&str, &str); 10] = [
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("macro_roc_auc", "macro ROC-AUC"),
    ("macro_average_precision", "macro average precision"),
    ("cohen_kappa", "Cohen's kappa"),
    ("quadratic_weighted_kappa", "quadratic weighted kappa"),
    ("matthews", "Matthews correlation"),
    ("brier", "Brier score"),
    ("log_loss", "log loss"),
    ("ece_15", "calibration error (15 bins)"),
];

/// A figure of one class against the rest: its key in JSON and its name.
pub const PER_CLASS: [(&str, &str); 6] = [
    ("sensitivity", "sensitivity"),
    ("specificity", "specificity"),
    ("ppv", "PPV"),
    ("npv", "NPV"),
    ("roc_auc", "ROC-AUC"),
    ("average_precision", "avg precision"),
];

/// The position of a figure in its list, by its key.
pub fn position(list: &[(&str, &str)], key: &str) -> Option<usize> {
    list.iter().position(|(known, _)| *known == key)
}

/// Bins of the calibration error.
pub const BINS: usize = 15;

/// The bin of a probability.
fn bin_of(probability: f64) -> usize {
    ((probability * BINS as f64) as usize).min(BINS - 1)
}

/// Samples whose most probable class has a probability between two numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    pub from: f64,
    pub to: f64,
    /// The mean of those probabilities.
    pub confidence: f64,
    /// The share of them that are correct.
    pub correct: f64,
    /// Their share of all samples.
    pub share: f64,
}

/// A figure, and between which numbers it lies in 95 % of the resamples in which it is defined.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figure {
    pub value: Option<f64>,
    pub interval: Option<[f64; 2]>,
}

/// All figures of a set of predictions.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    pub classes: Vec<String>,
    /// Samples of each class.
    pub supports: Vec<usize>,
    /// In the order of [`OVERALL`].
    pub overall: Vec<Figure>,
    /// Of each class, in the order of [`PER_CLASS`].
    pub per_class: Vec<Vec<Figure>>,
    /// Resamples of the intervals; 0 without intervals.
    pub resamples: usize,
    pub persons: usize,
}

impl Predictions {
    pub fn samples(&self) -> usize {
        self.labels.len()
    }

    /// The probabilities of one sample.
    pub fn row(&self, sample: usize) -> &[f32] {
        let classes = self.classes.len();
        &self.probabilities[sample * classes..][..classes]
    }

    /// The most probable class of each sample; of equals the first, as NumPy's `argmax`.
    pub fn tops(&self) -> Vec<usize> {
        top_classes(&self.probabilities, self.classes.len())
    }

    /// One class against the rest, ranked by its probability.
    pub fn ranked(&self, class: usize) -> Ranked {
        let score = |sample: usize| self.row(sample)[class];
        Ranked::new(self.samples(), score, |sample| self.labels[sample] == class)
    }

    /// The ROC and precision-recall curve of a class.
    pub fn curve(&self, class: usize) -> Curve {
        self.ranked(class).curve()
    }

    /// The bins of the calibration error: how sure the network was, and how often it was correct.
    pub fn reliability(&self) -> Vec<Bin> {
        let edge = |bin: usize| bin as f64 / BINS as f64;
        let mut bins: Vec<Bin> =
            (0..BINS).map(|bin| Bin { from: edge(bin), to: edge(bin + 1), ..Bin::default() }).collect();
        for (sample, top) in self.tops().into_iter().enumerate() {
            let confidence = f64::from(self.row(sample)[top]);
            let bin = &mut bins[bin_of(confidence)];
            bin.confidence += confidence;
            bin.correct += f64::from(u8::from(top == self.labels[sample]));
            bin.share += 1.0;
        }
        for bin in bins.iter_mut().filter(|bin| bin.share > 0.0) {
            bin.confidence /= bin.share;
            bin.correct /= bin.share;
            bin.share /= self.samples() as f64;
        }
        bins
    }

    /// Every figure, with intervals from so many resamples of the persons.
    pub fn figures(&self, seed: u64, resamples: usize) -> Figures {
        let prepared = bootstrap::Prepared::new(self);
        let values = prepared.figures(&vec![1; prepared.persons]);
        let intervals = prepared.intervals(seed, resamples);
        let figure = |at: usize| Figure { value: defined(values[at]), interval: intervals[at] };
        let supports = (0..self.classes.len()).map(|class| self.labels.iter().filter(|&&l| l == class).count());
        let of_class = |class: usize| {
            let first = OVERALL.len() + class * PER_CLASS.len();
            (first..first + PER_CLASS.len()).map(figure).collect()
        };
        Figures {
            classes: self.classes.clone(),
            supports: supports.collect(),
            overall: (0..OVERALL.len()).map(figure).collect(),
            per_class: (0..self.classes.len()).map(of_class).collect(),
            resamples,
            persons: prepared.persons,
        }
    }
}

/// A figure that was computed; NaN stands for one that is not defined.
fn defined(value: f64) -> Option<f64> {
    Some(value).filter(|value| !value.is_nan())
}

impl Figure {
    /// `0.512 (0.412-0.603)`; what is not defined says so.
    pub fn shown(&self) -> String {
        match (self.value, self.interval) {
            (None, _) => "undefined".into(),
            (Some(value), None) => format!("{value:.3}"),
            (Some(value), Some([low, high])) => format!("{value:.3} ({low:.3}-{high:.3})"),
        }
    }

    fn to_json(self) -> Value {
        json!({ "value": self.value, "interval": self.interval })
    }
}

impl Figures {
    /// A table of the classes and a list of the figures over all of them.
    pub fn to_text(&self) -> String {
        let name = self.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).max("class".len());
        let cell = "0.000 (0.000-0.000)".len();
        let mut text = format!("{:>name$}", "class");
        text += &PER_CLASS.iter().map(|(_, title)| format!("  {title:>cell$}")).collect::<String>();
        text += "\n\n";
        for (class, figures) in self.classes.iter().zip(&self.per_class) {
            text += &format!("{class:>name$}");
            text += &figures.iter().map(|figure| format!("  {:>cell$}", figure.shown())).collect::<String>();
            text += "\n";
        }
        text += "\n";
        let widest = OVERALL.iter().map(|(_, title)| title.len()).max().unwrap_or(0);
        for ((_, title), figure) in OVERALL.iter().zip(&self.overall) {
            text += &format!("{title:>widest$}  {}\n", figure.shown());
        }
        text + "\n" + &self.about() + "\n"
    }

    /// How the intervals came about, in a sentence.
    pub fn about(&self) -> String {
        match self.resamples {
            0 => "Without intervals.".into(),
            count => format!(
                "In parentheses: 95 % intervals, from {count} bootstrap resamples of the {} persons.",
                self.persons
            ),
        }
    }

    /// Keys of [`OVERALL`], `classes` by name with keys of [`PER_CLASS`], and how the intervals came about. A figure is
    /// `{"value", "interval"}`; null stands for what is not defined.
    pub fn to_json(&self) -> Value {
        let object = |keys: &[(&str, &str)], figures: &[Figure]| -> Map<String, Value> {
            keys.iter().zip(figures).map(|((key, _), figure)| (key.to_string(), figure.to_json())).collect()
        };
        let mut all = object(&OVERALL, &self.overall);
        let class = |index: usize| {
            let mut figures = object(&PER_CLASS, &self.per_class[index]);
            figures.insert("support".into(), self.supports[index].into());
            (self.classes[index].clone(), Value::Object(figures))
        };
        all.insert("classes".into(), Value::Object((0..self.classes.len()).map(class).collect()));
        all.insert("bootstrap".into(), json!({ "resamples": self.resamples, "persons": self.persons, "level": 0.95 }));
        Value::Object(all)
    }
}
