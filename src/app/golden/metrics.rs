//! The file `metrics`: scikit-learn's figures of labelled probabilities, thresholds, temperatures and intervals.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::file::read_json;
use crate::app::metrics::operating::{Goal, choose};
use crate::app::metrics::{Figure, Figures, OVERALL, PER_CLASS, Predictions, position, temperature};
use crate::error::Result;
use crate::proof::doctor::findings::Findings;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    labels: Vec<usize>,
    persons: Vec<u32>,
    probabilities: Vec<Vec<f32>>,
    /// Figures by their keys, `classes` with those of each class. Null where a figure is not defined.
    expect: Map<String, Value>,
    temperature: Temperature,
    /// The threshold, its specificity and its sensitivity.
    #[serde(rename = "threshold_class_0_specificity_0.9")]
    threshold: Option<[f64; 3]>,
    bootstrap_over_persons: Option<Intervals>,
}

#[derive(Deserialize)]
struct Temperature {
    value: Option<f64>,
    log_loss: Option<f64>,
}

#[derive(Deserialize)]
struct Intervals {
    resamples: usize,
    accuracy: [f64; 2],
    roc_auc_of_class_0: [f64; 2],
}

const FIGURE: f64 = 1e-9;
/// Resamples are drawn by other random numbers than the file's.
const INTERVAL: f64 = 0.01;

pub fn check(dir: &Path, findings: &mut Findings) -> Result<()> {
    let cases: Cases = read_json(&dir.join("metrics.json"))?;
    for case in cases.cases {
        let classes = case.probabilities.first().map_or(0, Vec::len);
        let fits = case.labels.len() == case.probabilities.len()
            && case.labels.len() == case.persons.len()
            && case.probabilities.iter().all(|row| row.len() == classes)
            && case.labels.iter().all(|&label| label < classes)
            && case.persons.iter().all(|&person| (person as usize) < case.persons.len() * 1000);
        if classes == 0 || !fits {
            findings.note(&case.name, Err("as many labels and persons as rows of one length are wanted".into()));
            continue;
        }
        let predictions = Predictions {
            classes: (0..classes).map(|class| class.to_string()).collect(),
            labels: case.labels.clone(),
            persons: numbered(&case.persons),
            probabilities: case.probabilities.concat(),
        };
        check_case(&case, &predictions, findings);
    }
    Ok(())
}

/// Persons as numbers without gaps.
fn numbered(persons: &[u32]) -> Vec<u32> {
    let mut known = persons.to_vec();
    known.sort_unstable();
    known.dedup();
    persons.iter().map(|person| known.binary_search(person).expect("it is one of them") as u32).collect()
}

fn check_case(case: &Case, predictions: &Predictions, findings: &mut Findings) {
    let resamples = case.bootstrap_over_persons.as_ref().map_or(0, |intervals| intervals.resamples);
    let figures = predictions.figures(1, resamples);
    let what = |key: &str| format!("{}, {key}", case.name);
    for (key, want) in case.expect.iter().filter(|(key, _)| *key != "classes") {
        match position(&OVERALL, key) {
            Some(at) => compare(findings, &what(key), figures.overall[at].value, want.as_f64()),
            None => findings.note(&what(key), Err("no such figure".into())),
        }
    }
    let of_classes = case.expect.get("classes").and_then(Value::as_array).cloned().unwrap_or_default();
    findings.expect(&what("classes"), of_classes.len() == figures.classes.len(), || format!("{}", of_classes.len()));
    for (class, want) in of_classes.iter().enumerate().take(figures.classes.len()) {
        check_class(findings, &what(&format!("class {class}")), &figures, class, want);
    }
    check_temperature(findings, &what("temperature"), predictions, &case.temperature);
    if let Some(want) = case.threshold {
        let got = choose(&predictions.curve(0), Goal::Specificity(0.9));
        let got = got.map(|point| [point.threshold, point.specificity, point.sensitivity]);
        let near = got
            .is_some_and(|got| got[0] as f32 == want[0] as f32 && (1..3).all(|i| (got[i] - want[i]).abs() <= FIGURE));
        findings.expect(&what("threshold"), near, || format!("{got:?}, want {want:?}"));
    }
    if let Some(want) = &case.bootstrap_over_persons {
        let accuracy = figures.overall[position(&OVERALL, "accuracy").expect("it is a figure")];
        let auc = figures.per_class[0][position(&PER_CLASS, "roc_auc").expect("it is a figure")];
        for (key, got, want) in [("accuracy", accuracy, want.accuracy), ("ROC-AUC", auc, want.roc_auc_of_class_0)] {
            let Figure { interval, .. } = got;
            match interval {
                Some(got) => findings.compare(&what(&format!("interval of {key}")), &got, &want, |_| INTERVAL),
                None => findings.note(&what(key), Err("has no interval".into())),
            }
        }
    }
}

fn check_class(findings: &mut Findings, what: &str, figures: &Figures, class: usize, want: &Value) {
    for (key, want) in want.as_object().into_iter().flatten() {
        let what = format!("{what}, {key}");
        match (key.as_str(), position(&PER_CLASS, key)) {
            ("support", _) => compare(findings, &what, Some(figures.supports[class] as f64), want.as_f64()),
            (_, Some(at)) => compare(findings, &what, figures.per_class[class][at].value, want.as_f64()),
            _ => findings.note(&what, Err("no such figure".into())),
        }
    }
}

/// The best temperature is flat: its loss is compared, and where the reference has no temperature,
/// there must be no temperature here.
fn check_temperature(findings: &mut Findings, what: &str, predictions: &Predictions, want: &Temperature) {
    match (temperature::fit(predictions), want.value, want.log_loss) {
        (None, None, _) => findings.expect(what, true, String::new),
        (Some(got), Some(want), Some(loss)) => {
            findings.compare(what, &[temperature::log_loss(predictions, got)], &[loss], |_| FIGURE);
            findings.compare(&format!("{what} itself"), &[got], &[want], |_| 1e-3 * want);
        }
        (got, want, _) => findings.note(what, Err(format!("{got:?}, want {want:?}"))),
    }
}

/// Both within 1e-9, or both not defined.
fn compare(findings: &mut Findings, what: &str, got: Option<f64>, want: Option<f64>) {
    match (got, want) {
        (Some(got), Some(want)) => findings.compare(what, &[got], &[want], |_| FIGURE),
        (got, want) => findings.expect(what, got.is_none() && want.is_none(), || format!("{got:?}, want {want:?}")),
    }
}
