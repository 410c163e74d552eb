//! scikit-learn's own confusion matrices and report texts.

use ocellus::report::{Report, Scores};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
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

fn golden() -> Vec<Case> {
    let golden: Golden = serde_json::from_str(include_str!("golden/report.json")).unwrap();
    golden.cases
}

fn report(case: &Case) -> Report {
    let new = if case.labels.is_some() { Report::over_all_classes } else { Report::new };
    new(&case.target_names, &case.y_true, &case.y_pred)
}

#[test]
fn scikit_learns_matrices() {
    let cases = golden();
    assert_eq!(cases.len(), 10);
    for case in &cases {
        assert_eq!(report(case).confusion, case.confusion_matrix, "{}", case.name);
    }
}

#[test]
fn scikit_learns_texts() {
    let mut compared = 0;
    for case in &golden() {
        if let Some(text) = &case.report {
            assert_eq!(&report(case).to_text(), text, "{}", case.name);
            compared += 1;
        }
    }
    assert_eq!(compared, 9);
}

/// Where the tutorial's call fails (seven classes occur, eight names are given), the rows are the seven.
#[test]
fn a_class_that_does_not_occur_has_no_row() {
    let cases = golden();
    let case = cases.iter().find(|case| case.report.is_none()).unwrap();
    let report = report(case);
    assert_eq!(report.names, ["AMD", "DR_DM", "Gla", "MH", "Normal", "RD", "RVO"]);
    let perfect = |support| Scores { precision: 1.0, recall: 1.0, f1: 1.0, support };
    assert_eq!(report.per_class, [perfect(1); 7]);
    assert_eq!(report.macro_average, perfect(7));
    assert_eq!(report.accuracy, 1.0);
    assert_eq!(report.to_text().lines().count(), 2 + 7 + 1 + 3);
}

#[test]
fn json_has_scikit_learns_keys() {
    let classes = ["a", "b"].map(String::from);
    let json = Report::new(&classes, &[0, 0, 0, 1], &[0, 0, 1, 1]).to_json();
    let expected = serde_json::json!({
        "a": {"precision": 1.0, "recall": 2.0 / 3.0, "f1-score": 0.8, "support": 3.0},
        "b": {"precision": 0.5, "recall": 1.0, "f1-score": 2.0 / 3.0, "support": 1.0},
        "accuracy": 0.75,
        "macro avg": {"precision": 0.75, "recall": (2.0 / 3.0 + 1.0) / 2.0, "f1-score": (0.8 + 2.0 / 3.0) / 2.0, "support": 4.0},
        "weighted avg": {"precision": 0.875, "recall": 0.75, "f1-score": (0.8 * 3.0 + 2.0 / 3.0) / 4.0, "support": 4.0},
    });
    // As text, so that the order counts too.
    assert_eq!(json.to_string(), expected.to_string());
}

#[test]
fn nothing_to_report_is_zeros_not_nan() {
    let report = Report::over_all_classes(&["a".to_string()], &[], &[]);
    assert_eq!(report.accuracy, 0.0);
    assert_eq!(report.weighted_average, Scores::default());
}
