//! Figures of samples that count several times, and intervals from resamples of the persons. Two eyes of one person are not
//! independent, so whole persons are drawn (cluster bootstrap; Davison & Hinkley 1997, section 3.8), with percentile
//! intervals.

use rand::RngExt;
use rayon::prelude::*;

use super::curve::Ranked;
use super::{BINS, OVERALL, PER_CLASS, Predictions, bin_of};
use crate::app::bars::LongBar;
use crate::network::random::{Purpose, stream};

/// The share of the resamples below and above an interval.
const TAIL: f64 = 0.025;

/// Values that do not change between resamples.
pub struct Prepared<'a> {
    predictions: &'a Predictions,
    pub persons: usize,
    /// The most probable class of each sample, its probability, and the loss of the label.
    tops: Vec<usize>,
    confidences: Vec<f64>,
    losses: Vec<f64>,
    briers: Vec<f64>,
    /// Each class against the rest, and the person of each sample in that order.
    ranked: Vec<(Ranked, Vec<u32>)>,
}

impl<'a> Prepared<'a> {
    pub fn new(predictions: &'a Predictions) -> Prepared<'a> {
        let samples = 0..predictions.samples();
        let (classes, persons) = (predictions.classes.len(), &predictions.persons);
        let tops = predictions.tops();
        let of = |sample: usize, class: usize| f64::from(predictions.row(sample)[class]);
        let label = |sample: usize| predictions.labels[sample];
        let brier = |sample: usize| {
            let square = |class: usize| (of(sample, class) - f64::from(u8::from(class == label(sample)))).powi(2);
            (0..classes).map(square).sum()
        };
        let ranked = |class: usize| {
            let ranked = predictions.ranked(class);
            let persons = ranked.order.iter().map(|&sample| persons[sample as usize]).collect();
            (ranked, persons)
        };
        Prepared {
            predictions,
            persons: persons.iter().max().map_or(0, |last| *last as usize + 1),
            confidences: samples.clone().map(|sample| of(sample, tops[sample])).collect(),
            losses: samples.clone().map(|sample| -of(sample, label(sample)).ln()).collect(),
            briers: samples.map(brier).collect(),
            ranked: (0..classes).into_par_iter().map(ranked).collect(),
            tops,
        }
    }

    /// Every figure, those of [`OVERALL`] and then [`PER_CLASS`] of each class, where person `i` counts `counts[i]` times. NaN
    /// stands for what is not defined.
    pub fn figures(&self, counts: &[u32]) -> Vec<f64> {
        let classes = self.predictions.classes.len();
        let mut confusion = vec![0u64; classes * classes];
        let (mut total, mut loss, mut brier) = (0u64, 0.0, 0.0);
        // The summed probabilities of the predicted classes, and how many of these are correct.
        let mut bins = [[0.0f64; 2]; BINS];
        for (sample, person) in self.predictions.persons.iter().enumerate() {
            let count = counts[*person as usize];
            if count == 0 {
                continue;
            }
            let (label, top, weight) = (self.predictions.labels[sample], self.tops[sample], f64::from(count));
            confusion[label * classes + top] += u64::from(count);
            total += u64::from(count);
            loss += weight * self.losses[sample];
            brier += weight * self.briers[sample];
            let bin = &mut bins[bin_of(self.confidences[sample])];
            bin[0] += weight * self.confidences[sample];
            bin[1] += weight * f64::from(u8::from(label == top));
        }
        let total = total as f64;
        let calibration = bins.iter().map(|[confidence, right]| (confidence - right).abs()).sum::<f64>() / total;
        let areas: Vec<_> =
            self.ranked.iter().map(|(ranked, persons)| ranked.areas(|at| counts[persons[at] as usize])).collect();
        let agreement = Agreement::new(&confusion, classes);
        let mut figures = vec![
            agreement.accuracy(),
            agreement.balanced_accuracy(),
            mean(areas.iter().map(|areas| areas.roc_auc)),
            mean(areas.iter().map(|areas| areas.average_precision)),
            agreement.kappa(|a, b| f64::from(u8::from(a != b))),
            agreement.kappa(|a, b| (a as f64 - b as f64).powi(2)),
            agreement.matthews(),
            brier / total,
            loss / total,
            calibration,
        ];
        debug_assert_eq!(figures.len(), OVERALL.len());
        for (class, areas) in areas.iter().enumerate() {
            let of_class = agreement.of_class(class);
            figures.extend(of_class.into_iter().chain([areas.roc_auc, areas.average_precision]));
        }
        debug_assert_eq!(figures.len(), OVERALL.len() + PER_CLASS.len() * classes);
        figures
    }

    /// The interval of each figure; the same for any number of threads.
    pub fn intervals(&self, seed: u64, resamples: usize) -> Vec<Option<[f64; 2]>> {
        let figures = OVERALL.len() + PER_CLASS.len() * self.predictions.classes.len();
        let bar = LongBar::new("Samples for intervals", resamples * self.persons);
        let drawn: Vec<Vec<f64>> = (0..resamples as u64)
            .into_par_iter()
            .map(|resample| {
                let mut random = stream(seed, Purpose::Bootstrap, resample, 0);
                let mut counts = vec![0; self.persons];
                (0..self.persons).for_each(|_| counts[random.random_range(0..self.persons)] += 1);
                let figures = self.figures(&counts);
                bar.add(self.persons);
                figures
            })
            .collect();
        let interval = |at: usize| {
            let mut values: Vec<f64> =
                drawn.iter().map(|figures| figures[at]).filter(|value| !value.is_nan()).collect();
            values.sort_by(f64::total_cmp);
            (!values.is_empty()).then(|| [percentile(&values, TAIL), percentile(&values, 1.0 - TAIL)])
        };
        (0..figures).map(interval).collect()
    }
}

/// Agreement figures of a confusion matrix.
struct Agreement<'a> {
    classes: usize,
    /// `[truth, prediction]`
    confusion: &'a [u64],
    truths: Vec<f64>,
    predicted: Vec<f64>,
    total: f64,
    right: f64,
}

impl Agreement<'_> {
    fn new(confusion: &[u64], classes: usize) -> Agreement<'_> {
        let sum = |cells: &mut dyn Iterator<Item = usize>| cells.map(|at| confusion[at]).sum::<u64>() as f64;
        let truths: Vec<f64> = (0..classes).map(|t| sum(&mut (t * classes..(t + 1) * classes))).collect();
        Agreement {
            classes,
            confusion,
            predicted: (0..classes).map(|p| sum(&mut (0..classes).map(|t| t * classes + p))).collect(),
            total: truths.iter().sum(),
            right: sum(&mut (0..classes).map(|class| class * classes + class)),
            truths,
        }
    }

    fn accuracy(&self) -> f64 {
        self.right / self.total
    }

    fn hits(&self, class: usize) -> f64 {
        self.confusion[class * self.classes + class] as f64
    }

    /// The mean of the sensitivities of the classes that there are.
    fn balanced_accuracy(&self) -> f64 {
        mean((0..self.classes).map(|class| self.hits(class) / self.truths[class]))
    }

    /// Cohen's kappa, where taking class a for b costs `cost(a, b)` (Cohen 1968).
    fn kappa(&self, cost: impl Fn(usize, usize) -> f64) -> f64 {
        let (mut found, mut expected) = (0.0, 0.0);
        for (truth, predicted) in (0..self.classes).flat_map(|t| (0..self.classes).map(move |p| (t, p))) {
            let cost = cost(truth, predicted);
            found += cost * self.confusion[truth * self.classes + predicted] as f64;
            expected += cost * self.truths[truth] * self.predicted[predicted] / self.total;
        }
        1.0 - found / expected
    }

    /// The correlation of truth and prediction over all classes (Gorodkin 2004); 0 where either is constant, as
    /// scikit-learn has it.
    fn matthews(&self) -> f64 {
        let products: f64 = self.truths.iter().zip(&self.predicted).map(|(truth, predicted)| truth * predicted).sum();
        let spread = |counts: &[f64]| self.total.powi(2) - counts.iter().map(|count| count * count).sum::<f64>();
        let scale = (spread(&self.truths) * spread(&self.predicted)).sqrt();
        if scale == 0.0 { 0.0 } else { (self.right * self.total - products) / scale }
    }

    /// Sensitivity, specificity and the two predictive values.
    fn of_class(&self, class: usize) -> [f64; 4] {
        let hits = self.hits(class);
        let (truth, predicted) = (self.truths[class], self.predicted[class]);
        let rejected = self.total - truth - predicted + hits;
        [hits / truth, rejected / (self.total - truth), hits / predicted, rejected / (self.total - predicted)]
    }
}

/// The mean of the values that are defined.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) =
        values.filter(|value| !value.is_nan()).fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    sum / count
}

/// NumPy's percentile: linear between the two nearest of the sorted values.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}
