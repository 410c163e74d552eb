//! The confusion matrix and the classification report, number for number as scikit-learn 1.x gives them
//! (`sklearn.metrics.confusion_matrix`, `classification_report`).

use serde_json::{Map, Value, json};

/// Scores of one class, or averaged over classes. Fractions are 0..1; 0/0 counts as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// Share of the samples predicted as this class that are of this class.
    pub precision: f64,
    /// Share of the samples of this class that were predicted as such.
    pub recall: f64,
    /// Harmonic mean of the two: `2 tp / (true + predicted)`.
    pub f1: f64,
    /// Number of samples whose truth is this class.
    pub support: usize,
}

/// How the predictions for a labelled set compare with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Names of the rows, n of them, in the order of the classes.
    pub names: Vec<String>,
    /// `confusion[truth][prediction]`: a count of samples, n x n.
    pub confusion: Vec<Vec<usize>>,
    /// One for each name.
    pub per_class: Vec<Scores>,
    /// Share of the samples whose prediction is right.
    pub accuracy: f64,
    /// Plain mean over the rows.
    pub macro_average: Scores,
    /// Mean over the rows weighted by their support.
    pub weighted_average: Scores,
}

impl Report {
    /// A row for every class that occurs in `truth` or `predicted`, as scikit-learn does unless told otherwise:
    /// a class that the test set lacks and nobody predicted does not pull the macro average down.
    ///
    /// `truth` and `predicted` are indices into `classes`, one of each a sample.
    ///
    /// Panics when their lengths differ or an index is not below `classes.len()`.
    pub fn new(classes: &[String], truth: &[usize], predicted: &[usize]) -> Report {
        let mut occurs = vec![false; classes.len()];
        for &label in truth.iter().chain(predicted) {
            occurs[label] = true;
        }
        let rows: Vec<usize> = (0..classes.len()).filter(|&label| occurs[label]).collect();
        Report::of_rows(classes, &rows, truth, predicted)
    }

    /// A row for every class, whether it occurs or not: scikit-learn's `labels=` parameter with all of them.
    pub fn over_all_classes(classes: &[String], truth: &[usize], predicted: &[usize]) -> Report {
        let rows: Vec<usize> = (0..classes.len()).collect();
        Report::of_rows(classes, &rows, truth, predicted)
    }

    /// `rows` holds, in ascending order, at least the labels that occur.
    fn of_rows(classes: &[String], rows: &[usize], truth: &[usize], predicted: &[usize]) -> Report {
        assert_eq!(truth.len(), predicted.len(), "one prediction a sample");
        let n = rows.len();
        let row_of = |label: usize| rows.binary_search(&label).expect("every label has a row");
        let mut confusion = vec![vec![0; n]; n];
        for (&t, &p) in truth.iter().zip(predicted) {
            confusion[row_of(t)][row_of(p)] += 1;
        }
        let per_class: Vec<Scores> = (0..n)
            .map(|class| {
                let right = confusion[class][class];
                let support = confusion[class].iter().sum();
                let claimed: usize = confusion.iter().map(|row| row[class]).sum();
                Scores {
                    precision: ratio(right, claimed),
                    recall: ratio(right, support),
                    f1: ratio(2 * right, support + claimed),
                    support,
                }
            })
            .collect();
        let right = (0..n).map(|class| confusion[class][class]).sum();
        Report {
            names: rows.iter().map(|&label| classes[label].clone()).collect(),
            accuracy: ratio(right, truth.len()),
            macro_average: average(&per_class, |_| 1.0),
            weighted_average: average(&per_class, |scores| scores.support as f64),
            confusion,
            per_class,
        }
    }

    /// The text of `print(classification_report(...))`, its last newline included: two decimals, ties to even
    /// on the exact value (0.125 is 0.12).
    pub fn to_text(&self) -> String {
        let longest = self.names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let width = longest.max("weighted avg".len());
        let line = |name: &str, [a, b, c, d]: [String; 4]| format!("{name:>width$}  {a:>9} {b:>9} {c:>9} {d:>9}\n");
        let scores = |name: &str, s: &Scores| {
            line(name, [fixed(s.precision), fixed(s.recall), fixed(s.f1), s.support.to_string()])
        };
        let samples = self.macro_average.support.to_string();

        let mut text = line("", ["precision", "recall", "f1-score", "support"].map(String::from)) + "\n";
        for (name, of_class) in self.names.iter().zip(&self.per_class) {
            text += &scores(name, of_class);
        }
        text += "\n";
        text += &line("accuracy", [String::new(), String::new(), fixed(self.accuracy), samples]);
        text += &scores("macro avg", &self.macro_average);
        text += &scores("weighted avg", &self.weighted_average);
        text
    }

    /// The value of `classification_report(output_dict=True)`: an object by class name, then `accuracy`,
    /// `macro avg` and `weighted avg`. Supports are floats there, and so here.
    pub fn to_json(&self) -> Value {
        let object = |s: &Scores| json!({"precision": s.precision, "recall": s.recall, "f1-score": s.f1, "support": s.support as f64});
        let mut report: Map<String, Value> =
            self.names.iter().cloned().zip(self.per_class.iter().map(object)).collect();
        report.insert("accuracy".into(), self.accuracy.into());
        report.insert("macro avg".into(), object(&self.macro_average));
        report.insert("weighted avg".into(), object(&self.weighted_average));
        Value::Object(report)
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn average(per_class: &[Scores], weight: impl Fn(&Scores) -> f64) -> Scores {
    let total: f64 = per_class.iter().map(&weight).sum();
    let mean = |value: fn(&Scores) -> f64| {
        let sum: f64 = per_class.iter().map(|scores| value(scores) * weight(scores)).sum();
        if total == 0.0 { 0.0 } else { sum / total }
    };
    Scores {
        precision: mean(|s| s.precision),
        recall: mean(|s| s.recall),
        f1: mean(|s| s.f1),
        support: per_class.iter().map(|s| s.support).sum(),
    }
}

fn fixed(value: f64) -> String {
    format!("{value:.2}")
}
