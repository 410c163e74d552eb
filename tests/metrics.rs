//! Figures of probabilities against scikit-learn's, and what must hold of them whatever the numbers.

use crate::common::golden::{check, twins};
use approx::assert_abs_diff_eq;
use ocellus::app::metrics::operating::{Goal, choose};
use ocellus::app::metrics::{OVERALL, Predictions, temperature};
use ocellus::engine::numbers::uniform;

#[test]
fn figures_are_scikit_learns() {
    // 7 sets of labels: 10 figures and a number of classes each, 7 figures of each of 29 classes, losses and values of 6
    // temperatures and one that is none, 7 thresholds, 2 intervals of each of 6 sets.
    let compared = 7 * 11 + 7 * 29 + 2 * 6 + 1 + 7 + 2 * 6;
    assert_eq!(check("metrics", &twins()).findings.compared, compared);
}

/// Made-up probabilities of three classes, two photographs of each person.
fn predictions(samples: usize) -> Predictions {
    let numbers: Vec<f32> = uniform(5, samples * 3).iter().map(|number| number * 2.0).collect();
    let row = |logits: &[f32]| {
        let powers: Vec<f32> = logits.iter().map(|logit| logit.exp()).collect();
        let sum: f32 = powers.iter().sum();
        powers.into_iter().map(|power| power / sum).collect::<Vec<f32>>()
    };
    Predictions {
        classes: ["a", "b", "c"].map(String::from).into(),
        labels: (0..samples).map(|sample| sample * 7 % 3).collect(),
        persons: (0..samples as u32).map(|sample| sample / 2).collect(),
        probabilities: numbers.chunks_exact(3).flat_map(row).collect(),
    }
}

#[test]
fn intervals_are_the_same_for_any_number_of_threads() {
    let predictions = predictions(40);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| predictions.figures(3, 50))
    };
    assert_eq!(on(1), on(4));
    assert_ne!(on(1), predictions.figures(4, 50), "another seed draws other persons");
}

#[test]
fn whole_persons_are_drawn() {
    // Both photographs of a person are alike: taken one by one they would seem to be twice as many.
    let mut doubled = predictions(60);
    for sample in (0..60).step_by(2) {
        doubled.labels[sample + 1] = doubled.labels[sample];
        let row = doubled.row(sample).to_vec();
        doubled.probabilities[(sample + 1) * 3..][..3].copy_from_slice(&row);
    }
    let single = Predictions {
        classes: doubled.classes.clone(),
        labels: doubled.labels.iter().copied().step_by(2).collect(),
        persons: (0..30).collect(),
        probabilities: (0..60).step_by(2).flat_map(|sample| doubled.row(sample).to_vec()).collect(),
    };
    let (doubled, single) = (doubled.figures(1, 200), single.figures(1, 200));
    for ((a, b), (key, _)) in doubled.overall.iter().zip(&single.overall).zip(OVERALL) {
        let ([a, b], [c, d]) = (a.interval.unwrap(), b.interval.unwrap());
        assert_abs_diff_eq!(a, c, epsilon = 1e-9);
        assert_abs_diff_eq!(b, d, epsilon = 1e-9);
        assert!(b > a, "{key}");
    }
}

#[test]
fn figures_that_are_not_defined_say_so() {
    let one = Predictions {
        classes: ["there", "missing"].map(String::from).into(),
        labels: vec![0, 0],
        persons: vec![0, 1],
        probabilities: vec![0.75, 0.25, 0.5, 0.5],
    };
    let figures = one.figures(1, 20);
    assert_eq!(figures.per_class[1][0].shown(), "undefined");
    assert_eq!(figures.per_class[0][0].value, Some(1.0));
    let text = figures.to_text();
    assert!(text.contains("undefined") && !text.contains("NaN"), "{text}");
    assert!(figures.to_json()["classes"]["missing"]["roc_auc"]["value"].is_null());
}

#[test]
fn a_threshold_that_no_score_reaches_is_none() {
    let curve = predictions(40).curve(0);
    let point = choose(&curve, Goal::Specificity(0.9)).unwrap();
    assert!(point.specificity >= 0.9, "{point:?}");
    let point = choose(&curve, Goal::Sensitivity(1.0)).unwrap();
    assert_eq!(point.sensitivity, 1.0);
    assert_eq!(choose(&curve, Goal::Specificity(1.1)), None);
    let mut constant = predictions(4);
    constant.probabilities = [0.5, 0.25, 0.25].repeat(4);
    assert_eq!(choose(&constant.curve(0), Goal::Specificity(0.9)), None);
}

#[test]
fn a_temperature_undoes_what_another_did() {
    let mut sharpened = predictions(300);
    let fitted = temperature::fit(&sharpened).unwrap();
    let rows = (0..300).flat_map(|sample| temperature::at_temperature(sharpened.row(sample), 0.5));
    sharpened.probabilities = rows.map(|probability| probability as f32).collect();
    assert_abs_diff_eq!(temperature::fit(&sharpened).unwrap(), 2.0 * fitted, epsilon = 1e-3 * fitted);
    assert!(temperature::log_loss(&sharpened, 2.0 * fitted) < temperature::log_loss(&sharpened, 1.0));
}
