//! Thresholds of single classes: a photograph is called positive where the probability is the threshold or more.

use std::fmt::{self, Display};

use super::Predictions;
use super::curve::Curve;

/// Goal of the choice of a threshold. Shares are 0..1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At least this specificity, and then the highest sensitivity.
    Specificity(f64),
    /// At least this sensitivity, and then the highest specificity.
    Sensitivity(f64),
}

impl Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::Specificity(share) => write!(f, "specificity {share}"),
            Goal::Sensitivity(share) => write!(f, "sensitivity {share}"),
        }
    }
}

/// A threshold, and what it gave where it was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub threshold: f64,
    pub specificity: f64,
    pub sensitivity: f64,
}

/// The threshold for a goal among the probabilities that there are; `None` where none reaches it, or the class or the rest has
/// no samples.
pub fn choose(curve: &Curve, goal: Goal) -> Option<Point> {
    let point = |at: usize| Point {
        threshold: curve.thresholds[at],
        specificity: 1.0 - curve.false_positives[at],
        sensitivity: curve.true_positives[at],
    };
    // From high thresholds to low ones specificity falls and sensitivity rises. The first point is above all scores.
    let mut points = (1..curve.thresholds.len()).map(point);
    match goal {
        Goal::Specificity(least) => points.rfind(|point| point.specificity >= least - ROUNDING),
        Goal::Sensitivity(least) => points.find(|point| point.sensitivity >= least - ROUNDING),
    }
    .filter(|point| !point.specificity.is_nan() && !point.sensitivity.is_nan())
}

/// `1 - 0.1` is not 0.9 to the last bit.
const ROUNDING: f64 = 1e-12;

/// Results of a threshold for a class: sensitivity, specificity, PPV and NPV; `None` where one is
/// not defined.
pub fn at_threshold(predictions: &Predictions, class: usize, probability: f32) -> [Option<f64>; 4] {
    let mut counts = [[0.0; 2]; 2];
    for sample in 0..predictions.samples() {
        let truth = usize::from(predictions.labels[sample] == class);
        let called = usize::from(predictions.row(sample)[class] >= probability);
        counts[truth][called] += 1.0;
    }
    let [[rejected, false_alarms], [missed, hits]] = counts;
    let share = |part: f64, other: f64| Some(part / (part + other)).filter(|share| !share.is_nan());
    [share(hits, missed), share(rejected, false_alarms), share(hits, false_alarms), share(rejected, missed)]
}
