//! Softmax cross-entropy on the device against the twin.

mod common;

use common::bounds::{DIVISION, ULP};
use common::device::{self, Both};
use common::{assert_close, uniform, widen};
use ocellus::ops::softmax_cross_entropy::{Problem, gpu};
use ocellus::plan::{Layout, Target};

/// The absolute error that WGSL allows `log` between 0.5 and 2; outside it is 3 ULP of the result.
const LOGARITHM: f64 = 1.0 / (1u64 << 21) as f64;
/// Exponentials below this may come out as 0: denormal numbers may be flushed.
const FLUSHED: f64 = f32::MIN_POSITIVE as f64;

fn load(target: &Target, p: Problem) -> Both {
    Both::load(|| {
        let mut plan = device::plan(target.clone(), p.batch, p.batch);
        let shape = [p.batch, p.classes];
        let tensors = gpu::Tensors {
            logits: plan.kept("logits", &shape, Layout::Rows),
            labels: plan.integers("labels", &[p.batch]),
            class_weight: plan.kept("class_weight", &[p.classes], Layout::Rows),
            probabilities: plan.kept("probabilities", &shape, Layout::Rows),
            dlogits: plan.kept("dlogits", &shape, Layout::Rows),
            metrics: plan.kept("metrics", &[4], Layout::Packed),
        };
        gpu::forward(&mut plan, "loss", p, tensors);
        plan
    })
}

/// Logits in `-range..range`, each class in turn as the label, class weights about 1.
fn check(target: &Target, p: Problem, range: f32) {
    let mut both = load(target, p);
    let logits: Vec<f32> = uniform(1, p.batch * p.classes).iter().map(|number| number * range).collect();
    let labels: Vec<u32> = (0..p.batch).map(|sample| (sample * 3 % p.classes) as u32).collect();
    let weights: Vec<f32> = uniform(2, p.classes).iter().map(|number| 1.0 + number / 2.0).collect();
    both.write("logits", &logits);
    both.write_integers("labels", &labels);
    both.write("class_weight", &weights);
    both.run();
    let what = format!("{p:?}, logits within {range}");

    // WGSL allows `exp(d)` 3 + 2 |d| ULP, and d itself is off by |d| / 2 ULP; likewise every addend of the sum.
    let logits = widen(&logits);
    let spread = |sample: usize| {
        let z = &logits[sample * p.classes..][..p.classes];
        z.iter().copied().fold(f64::MIN, f64::max) - z.iter().copied().fold(f64::MAX, f64::min)
    };
    let exponential = |sample: usize| (3.0 + 2.5 * spread(sample)) * ULP;
    let sum = |sample: usize| exponential(sample) + p.classes as f64 * ULP / 2.0;
    let probabilities = widen(&both.twin("probabilities"));
    let probability = |i: usize| {
        let sample = i / p.classes;
        (exponential(sample) + sum(sample) + DIVISION + ULP) * probabilities[i] + FLUSHED
    };
    assert_close(&format!("probabilities, {what}"), &both.gpu("probabilities"), &probabilities, probability);

    let dlogits = both.twin("dlogits");
    assert_close(&format!("dlogits, {what}"), &both.gpu("dlogits"), &dlogits, |i| {
        let weight = f64::from(weights[labels[i / p.classes] as usize]) / p.batch as f64;
        // p - 1 is rounded to the ULP of numbers up to 1, then weighted and divided.
        let rounding = if dlogits[i] < 0.0 { ULP / 2.0 } else { 0.0 };
        // What the weight makes of it may be flushed again.
        weight * (probability(i) + rounding) + (ULP + DIVISION) * f64::from(dlogits[i].abs()) + FLUSHED
    });

    // Each sample's loss, as `log(sum) - (z - highest)`, before they are added up in order.
    // No loss is larger than the spread of its logits and the logarithm of the number of classes.
    let losses: f64 = (0..p.batch)
        .map(|sample| {
            let largest = spread(sample) + (p.classes as f64).ln();
            let error = LOGARITHM + sum(sample) + 3.0 * ULP * largest + p.batch as f64 * ULP / 2.0 * largest;
            f64::from(weights[labels[sample] as usize]) * error
        })
        .sum();
    let (got, want) = (both.gpu("metrics"), both.twin("metrics"));
    assert_close(&format!("loss, {what}"), &got[..1], &want[..1], |_| losses);
    assert_eq!(got[1..], want[1..], "{what}: right answers are whole");
}

#[test]
fn forward() {
    let target = device::device().target();
    for (batch, classes) in [(1, 1), (1, 8), (5, 3), (4, 8), (130, 5), (3, 33)] {
        for range in [1.0, 30.0, 1000.0] {
            check(&target, Problem { batch, classes }, range);
        }
    }
    check(&device::folding(4), Problem { batch: 700, classes: 3 }, 5.0);
}

/// The tutorial's accuracy takes the lowest of equal classes, as NumPy's argmax does.
#[test]
fn of_equal_logits_the_first_is_the_answer() {
    let p = Problem { batch: 4, classes: 3 };
    let mut both = load(&device::device().target(), p);
    both.write("logits", &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 2.0, 2.0, 0.0, 2.0, 2.0]);
    both.write_integers("labels", &[0, 1, 1, 2]);
    both.write("class_weight", &[1.0; 3]);
    both.run();
    assert_eq!((both.gpu("metrics")[1], both.twin("metrics")[1]), (2.0, 2.0));
}

#[test]
fn nan_reaches_the_loss() {
    let p = Problem { batch: 3, classes: 3 };
    for place in 0..9 {
        let mut both = load(&device::device().target(), p);
        let mut logits = [0.5; 9];
        logits[place] = f32::NAN;
        both.write("logits", &logits);
        both.write_integers("labels", &[0, 1, 2]);
        both.write("class_weight", &[1.0; 3]);
        both.run();
        assert!(both.gpu("metrics")[0].is_nan() && both.twin("metrics")[0].is_nan(), "NaN at {place}");
    }
}
