//! One class against the rest: samples ranked by its probability, and the curves and areas that follow.

/// Samples by falling probability of one class. Equal probabilities make one group.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// Samples in their order.
    pub order: Vec<u32>,
    /// Whether each, in that order, is of the class.
    pub positive: Vec<bool>,
    /// Whether each, in that order, is the last of its group.
    pub ends: Vec<bool>,
    /// The probability of each, in that order.
    pub scores: Vec<f32>,
}

/// A point for each group of equal probabilities, from the highest on, after the point (0, 0) of a threshold above all.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Share of the other samples at or above the threshold: 1 - specificity.
    pub false_positives: Vec<f64>,
    /// Share of the class's samples at or above it: sensitivity, recall.
    pub true_positives: Vec<f64>,
    /// Share of the samples at or above it that are of the class. 1 at the first point, as scikit-learn's.
    pub precision: Vec<f64>,
    /// Infinite at the first point.
    pub thresholds: Vec<f64>,
}

/// Areas under the curves of a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Areas {
    pub roc_auc: f64,
    pub average_precision: f64,
}

impl Ranked {
    pub fn new(samples: usize, score: impl Fn(usize) -> f32, positive: impl Fn(usize) -> bool) -> Ranked {
        let mut order: Vec<u32> = (0..samples as u32).collect();
        order.sort_by(|&a, &b| score(b as usize).total_cmp(&score(a as usize)));
        let scores: Vec<f32> = order.iter().map(|&sample| score(sample as usize)).collect();
        let ends = (0..samples).map(|at| scores.get(at + 1) != Some(&scores[at])).collect();
        let positive = order.iter().map(|&sample| positive(sample as usize)).collect();
        Ranked { order, positive, ends, scores }
    }

    /// Areas where sample number `at` of the order counts `weight(at)` times. NaN where there are no samples of the class or,
    /// for the ROC curve, no others.
    pub fn areas(&self, weight: impl Fn(usize) -> u32) -> Areas {
        let (mut hits, mut misses) = (0u64, 0u64);
        let (mut hits_before, mut misses_before) = (0u64, 0u64);
        let (mut pairs, mut precision) = (0.0, 0.0);
        for at in 0..self.order.len() {
            let count = u64::from(weight(at));
            if self.positive[at] {
                hits += count;
            } else {
                misses += count;
            }
            if self.ends[at] && hits + misses > hits_before + misses_before {
                let (new_hits, new_misses) = ((hits - hits_before) as f64, (misses - misses_before) as f64);
                // Each of the class is above the others that come later, and half above those of its own group.
                pairs += new_misses * (hits_before as f64 + new_hits / 2.0);
                precision += new_hits * hits as f64 / (hits + misses) as f64;
                (hits_before, misses_before) = (hits, misses);
            }
        }
        let (hits, misses) = (hits as f64, misses as f64);
        Areas { roc_auc: pairs / (hits * misses), average_precision: precision / hits }
    }

    /// The curves; shares of nothing are NaN.
    pub fn curve(&self) -> Curve {
        let total = self.positive.iter().filter(|positive| **positive).count() as f64;
        let others = self.order.len() as f64 - total;
        let mut curve = Curve {
            false_positives: vec![0.0],
            true_positives: vec![0.0],
            precision: vec![1.0],
            thresholds: vec![f64::INFINITY],
        };
        let mut hits = 0.0;
        for at in 0..self.order.len() {
            hits += f64::from(u8::from(self.positive[at]));
            if self.ends[at] {
                let above = (at + 1) as f64;
                curve.false_positives.push((above - hits) / others);
                curve.true_positives.push(hits / total);
                curve.precision.push(hits / above);
                curve.thresholds.push(f64::from(self.scores[at]));
            }
        }
        curve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_count_half() {
        let scores = [0.9, 0.5, 0.5, 0.1];
        let positive = [true, true, false, false];
        let ranked = Ranked::new(4, |i| scores[i], |i| positive[i]);
        let areas = ranked.areas(|_| 1);
        // Of four pairs three are in order and one is equal.
        assert_eq!(areas.roc_auc, 3.5 / 4.0);
        assert_eq!(areas.average_precision, 0.5 * 1.0 + 0.5 * 2.0 / 3.0);
        assert_eq!(ranked.curve().false_positives, [0.0, 0.0, 0.5, 1.0]);
        assert_eq!(ranked.curve().precision, [1.0, 1.0, 2.0 / 3.0, 0.5]);
    }

    #[test]
    fn weights_are_repetitions() {
        let (scores, positive) = ([0.9, 0.2, 0.7, 0.7], [false, true, true, false]);
        let ranked = Ranked::new(4, |i| scores[i], |i| positive[i]);
        let repeated: Vec<usize> = vec![0, 1, 1, 3, 3, 3];
        let plain = Ranked::new(6, |i| scores[repeated[i]], |i| positive[repeated[i]]);
        let count = |sample: u32| repeated.iter().filter(|&&i| i == sample as usize).count() as u32;
        assert_eq!(ranked.areas(|at| count(ranked.order[at])), plain.areas(|_| 1));
    }

    #[test]
    fn one_kind_alone_has_no_area() {
        let areas = Ranked::new(3, |i| i as f32, |_| true).areas(|_| 1);
        assert!(areas.roc_auc.is_nan() && areas.average_precision == 1.0);
        let areas = Ranked::new(3, |i| i as f32, |_| false).areas(|_| 1);
        assert!(areas.roc_auc.is_nan() && areas.average_precision.is_nan());
    }
}
