//! scikit-learn's own confusion matrices and report texts.

use crate::common::golden::{check, twins};
use ocellus::app::report::{Report, Scores};

#[test]
fn scikit_learns_matrices_and_texts() {
    // 10 matrices; scikit-learn refused to write one of the texts.
    assert_eq!(check("report", &twins()).findings.compared, 10 + 9);
}

/// Where the tutorial's call fails (seven classes occur, eight names are given), the rows are the seven.
#[test]
fn a_class_that_does_not_occur_has_no_row() {
    let names = ["AMD", "DR_DM", "Gla", "MH", "Normal", "RD", "RP", "RVO"].map(String::from);
    let classes = [0, 1, 2, 3, 4, 5, 7];
    let report = Report::new(&names, &classes, &classes);
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
