//! Every backward twin against central differences of its forward twin, one operation at a time and through a small
//! network; Adam against steps worked out by hand.
//!
//! With a step h the difference quotient `(L(+h) - L(-h)) / 2h` is off by `h^2 / 6 * L'''` (truncation) plus about
//! `EPSILON * |L| / h` (rounding of L): with h = 1e-5 that is 2e-11 L''' + 2e-11 |L|. So a gradient is held to 1e-7 of
//! its root mean square, which leaves room for losses and third derivatives some thousand times as large as it.

mod common;

use common::{assert_close, rms};
use ocellus::ops::softmax_cross_entropy as loss;
use ocellus::ops::{adam, batch_norm, bias, conv2d, dense, global_average_pool, max_pool, relu};
use ocellus::shape::Padding;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 1e-7;

/// Holds `gradient` to the central differences of `loss` around `at`, within `TOLERANCE * scale`.
fn check_scaled(what: &str, at: &[f64], gradient: &[f64], scale: f64, loss: impl Fn(&[f64]) -> f64) {
    let mut point = at.to_vec();
    let mut differences = Vec::new();
    for i in 0..at.len() {
        let mut loss_at = |value| {
            point[i] = value;
            loss(&point)
        };
        differences.push((loss_at(at[i] + STEP) - loss_at(at[i] - STEP)) / (2.0 * STEP));
        point[i] = at[i];
    }
    let share = assert_close(what, gradient, &differences, |_| TOLERANCE * scale);
    println!("{what}: worst error {share:.4} of its bound");
}

/// As [`check_scaled`] with the gradient's own root mean square, which must not be 0.
fn check(what: &str, at: &[f64], gradient: &[f64], loss: impl Fn(&[f64]) -> f64) {
    let scale = rms(gradient);
    assert!(scale > 1e-6, "{what}: nothing to compare, rms {scale}");
    check_scaled(what, at, gradient, scale, loss);
}

fn uniform(seed: u64, count: usize) -> Vec<f64> {
    common::widen(&common::uniform(seed, count))
}

/// Numbers in -1..1, shuffled, evenly apart and none near 0: no difference quotient steps over the kink of a ReLU or
/// over a tie in a pool.
fn apart(seed: u64, count: usize) -> Vec<f64> {
    let spacing = 2.0 / count as f64;
    assert!(spacing > 10.0 * STEP);
    let count = count.next_multiple_of(2); // symmetric about 0, so that 0 lies half a spacing away
    let mut values: Vec<f64> = (0..count).map(|i| (i as f64 + 0.5) * 2.0 / count as f64 - 1.0).collect();
    values.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    values
}

/// The loss of the single operations, `sum(y * dy)`, whose gradient with respect to `y` is `dy`.
fn dot(y: &[f64], dy: &[f64]) -> f64 {
    assert_eq!(y.len(), dy.len());
    y.iter().zip(dy).map(|(y, dy)| y * dy).sum()
}

#[test]
fn conv2d_gradients() {
    use Padding::{Same, Valid};
    let cases = [
        ([2, 5, 4, 3], 5, [3, 3], [1, 1], Same),
        ([1, 6, 7, 2], 3, [3, 3], [2, 2], Same),
        ([2, 7, 5, 1], 4, [5, 3], [2, 1], Same),
        ([1, 2, 9, 3], 1, [4, 2], [3, 2], Same),
        ([3, 1, 1, 2], 3, [3, 3], [1, 1], Same),
        ([1, 5, 6, 3], 2, [1, 1], [2, 3], Same),
        ([2, 6, 7, 2], 3, [3, 3], [1, 1], Valid),
        ([1, 8, 9, 3], 2, [3, 2], [2, 3], Valid),
    ];
    for (input, cout, kernel, stride, padding) in cases {
        let p = conv2d::Problem::new(input, cout, kernel, stride, padding);
        let what = |of: &str| format!("conv2d {of} {input:?} {cout} {kernel:?} {stride:?} {padding:?}");
        let x = uniform(1, p.input_shape().iter().product());
        let w = uniform(2, p.weight_shape().iter().product());
        let b = uniform(3, cout);
        let dy = uniform(4, p.output_shape().iter().product());
        let loss = |x: &[f64], w: &[f64], b: &[f64]| dot(&conv2d::cpu::forward(&p, x, w, Some(b)), &dy);

        check(&what("dx"), &x, &conv2d::cpu::data_gradient(&p, &dy, &w), |x| loss(x, &w, &b));
        // The kernel may reach into padding only: then some of dw is 0, in both.
        check(&what("dw"), &w, &conv2d::cpu::weight_gradient(&p, &x, &dy), |w| loss(&x, w, &b));
        let positions = p.rows.output * p.columns.output;
        let rows = bias::Problem { batch: p.batch, positions, channels: cout };
        check(&what("db"), &b, &bias::cpu::gradient(&rows, &dy), |b| loss(&x, &w, b));
        let without = conv2d::cpu::forward(&p, &x, &w, None);
        assert_eq!(without, conv2d::cpu::forward(&p, &x, &w, Some(&vec![0.0; cout])), "no bias is a bias of 0");
    }
}

#[test]
fn batch_norm_gradients() {
    for (batch, positions, channels) in [(3, 7, 5), (1, 12, 1), (4, 1, 3), (2, 9, 6)] {
        let p = batch_norm::Problem { batch, positions, channels };
        let what = |of: &str| format!("batch_norm {of} {batch}x{positions}x{channels}");
        let x: Vec<f64> = uniform(5, p.rows() * channels).iter().map(|x| 3.0 + 2.0 * x).collect();
        let gamma: Vec<f64> = uniform(6, channels).iter().map(|gamma| gamma + 1.5).collect();
        let beta = uniform(7, channels);
        let dy = uniform(8, x.len());
        let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
            let batch = batch_norm::cpu::statistics(&p, x);
            dot(&batch_norm::cpu::normalize(&p, x, &batch.mean, &batch.variance, gamma, beta), &dy)
        };
        let gradients = batch_norm::cpu::backward(&p, &x, &dy, &batch_norm::cpu::statistics(&p, &x), &gamma);
        check(&what("dx"), &x, &gradients.dx, |x| loss(x, &gamma, &beta));
        check(&what("dgamma"), &gamma, &gradients.dgamma, |gamma| loss(&x, gamma, &beta));
        check(&what("dbeta"), &beta, &gradients.dbeta, |beta| loss(&x, &gamma, beta));
    }
}

#[test]
fn relu_gradient() {
    let x = apart(9, 101);
    let dy = uniform(10, x.len());
    let y = relu::cpu::forward(&x);
    assert!(y.iter().filter(|&&y| y == 0.0).count() == x.len() / 2);
    check("relu dx", &x, &relu::cpu::backward(&y, &dy), |x| dot(&relu::cpu::forward(x), &dy));
    assert_eq!(relu::cpu::backward(&relu::cpu::forward(&[0.0]), &[1.0]), [0.0], "no gradient at 0 itself");
}

#[test]
fn max_pool_gradient() {
    let cases = [
        ([2, 6, 4, 3], [2, 2], [2, 2]),
        ([1, 7, 5, 2], [2, 2], [2, 2]),
        ([2, 9, 8, 1], [3, 3], [2, 2]),
        ([1, 6, 9, 3], [3, 2], [1, 3]),
    ];
    for (input, window, stride) in cases {
        let p = max_pool::Problem::new(input, window, stride);
        let x = &apart(11, input.iter().product())[..input.iter().product()];
        let dy = uniform(12, p.output_shape().iter().product());
        let dx = max_pool::cpu::backward(&p, x, &dy);
        check(&format!("max_pool dx {input:?} {window:?} {stride:?}"), x, &dx, |x| {
            dot(&max_pool::cpu::forward(&p, x), &dy)
        });
    }
}

#[test]
fn global_average_pool_gradient() {
    for (batch, positions, channels) in [(3, 49, 5), (1, 1, 4), (2, 6, 1)] {
        let p = global_average_pool::Problem { batch, positions, channels };
        let x = uniform(13, batch * positions * channels);
        let dy = uniform(14, batch * channels);
        let dx = global_average_pool::cpu::backward(&p, &dy);
        check(&format!("global_average_pool dx {p:?}"), &x, &dx, |x| {
            dot(&global_average_pool::cpu::forward(&p, x), &dy)
        });
    }
}

#[test]
fn dense_gradients() {
    for (batch, inputs, outputs) in [(3, 17, 5), (1, 8, 1), (7, 1, 4)] {
        let p = dense::Problem { batch, inputs, outputs };
        let what = |of: &str| format!("dense {of} {batch}x{inputs}x{outputs}");
        let (x, w, b) = (uniform(15, batch * inputs), uniform(16, inputs * outputs), uniform(17, outputs));
        let dy = uniform(18, batch * outputs);
        let loss = |x: &[f64], w: &[f64], b: &[f64]| dot(&dense::cpu::forward(&p, x, w, b), &dy);
        check(&what("dx"), &x, &dense::cpu::data_gradient(&p, &dy, &w), |x| loss(x, &w, &b));
        check(&what("dw"), &w, &dense::cpu::weight_gradient(&p, &x, &dy), |w| loss(&x, w, &b));
        let rows = bias::Problem { batch, positions: 1, channels: outputs };
        check(&what("db"), &b, &bias::cpu::gradient(&rows, &dy), |b| loss(&x, &w, b));
    }
}

#[test]
fn softmax_cross_entropy_gradient() {
    for (batch, classes, spread) in [(5, 8, 1.0), (1, 2, 3.0), (4, 11, 6.0)] {
        let p = loss::Problem { batch, classes };
        let logits: Vec<f64> = uniform(19, batch * classes).iter().map(|z| z * spread).collect();
        let labels: Vec<u32> = (0..batch).map(|n| (n * 7 % classes) as u32).collect();
        let weight: Vec<f64> = (0..classes).map(|class| 0.5 + class as f64).collect();
        let out = loss::cpu::forward(&p, &logits, &labels, &weight);
        check(&format!("softmax_cross_entropy dlogits {p:?}"), &logits, &out.dlogits, |z| {
            loss::cpu::forward(&p, z, &labels, &weight).loss
        });
    }
}

#[test]
fn softmax_cross_entropy_keeps_nan_and_survives_large_logits() {
    let p = loss::Problem { batch: 2, classes: 3 };
    let out = loss::cpu::forward(&p, &[1.0, f64::NAN, 2.0, 1.0, 1.0, 0.0], &[0, 1], &[1.0; 3]);
    assert!(out.losses[0].is_nan() && out.loss.is_nan() && out.dlogits[..3].iter().all(|d| d.is_nan()));
    assert!(out.losses[1].is_finite());
    assert_eq!(out.correct, 0, "of equal logits the first counts as the answer");

    let out = loss::cpu::forward(&p, &[-1000.0, 1000.0, 0.0, 0.0, 0.0, 3000.0], &[0, 2], &[2.0, 1.0, 1.0]);
    assert_eq!(out.losses, [2000.0, 0.0]);
    assert_eq!((out.loss, out.correct), (2000.0, 1));
}

#[test]
fn nan_passes_through_relu_and_pools() {
    assert!(relu::cpu::forward(&[f64::NAN])[0].is_nan());
    let p = max_pool::Problem::new([1, 2, 2, 1], [2, 2], [2, 2]);
    for at in 0..4 {
        let mut x = [1.0, 2.0, 3.0, 4.0];
        x[at] = f64::NAN;
        assert!(max_pool::cpu::forward(&p, &x)[0].is_nan());
    }
}

/// conv -> batch norm -> ReLU -> max pool -> global average pool -> dense -> loss: each layer's backward twin feeds the
/// next one, as in training.
struct Network {
    conv: conv2d::Problem,
    norm: batch_norm::Problem,
    pool: max_pool::Problem,
    gap: global_average_pool::Problem,
    dense: dense::Problem,
    loss: loss::Problem,
    labels: Vec<u32>,
    weight: Vec<f64>,
}

/// What the loss depends on, in the order of [`NAMES`].
type Variables = [Vec<f64>; 7];
const NAMES: [&str; 7] = ["image", "conv kernel", "conv bias", "gamma", "beta", "dense kernel", "dense bias"];
const CONV_BIAS: usize = 2;

impl Network {
    fn run(&self, [x, w, b, gamma, beta, dense_w, dense_b]: &Variables) -> (f64, Variables) {
        let conv = conv2d::cpu::forward(&self.conv, x, w, Some(b));
        let batch = batch_norm::cpu::statistics(&self.norm, &conv);
        let norm = batch_norm::cpu::normalize(&self.norm, &conv, &batch.mean, &batch.variance, gamma, beta);
        let active = relu::cpu::forward(&norm);
        let pooled = max_pool::cpu::forward(&self.pool, &active);
        let features = global_average_pool::cpu::forward(&self.gap, &pooled);
        let logits = dense::cpu::forward(&self.dense, &features, dense_w, dense_b);
        let out = loss::cpu::forward(&self.loss, &logits, &self.labels, &self.weight);

        let rows = bias::Problem { batch: self.dense.batch, positions: 1, channels: self.dense.outputs };
        let d_dense_b = bias::cpu::gradient(&rows, &out.dlogits);
        let d_dense_w = dense::cpu::weight_gradient(&self.dense, &features, &out.dlogits);
        let d_features = dense::cpu::data_gradient(&self.dense, &out.dlogits, dense_w);
        let d_pooled = global_average_pool::cpu::backward(&self.gap, &d_features);
        let d_active = max_pool::cpu::backward(&self.pool, &active, &d_pooled);
        let d_norm = relu::cpu::backward(&active, &d_active);
        let batch_norm::cpu::Gradients { dx: d_conv, dgamma, dbeta } =
            batch_norm::cpu::backward(&self.norm, &conv, &d_norm, &batch, gamma);
        let rows = bias::Problem { batch: self.norm.batch, positions: self.norm.positions, channels: self.conv.cout };
        let db = bias::cpu::gradient(&rows, &d_conv);
        let dw = conv2d::cpu::weight_gradient(&self.conv, x, &d_conv);
        let dx = conv2d::cpu::data_gradient(&self.conv, &d_conv, w);
        (out.loss, [dx, dw, db, dgamma, dbeta, d_dense_w, d_dense_b])
    }
}

#[test]
fn gradients_through_a_network() {
    let (batch, channels, classes) = (3, 5, 4);
    let conv = conv2d::Problem::new([batch, 7, 8, 3], channels, [3, 3], [1, 1], Padding::Same);
    let pool = max_pool::Problem::new(conv.output_shape(), [2, 2], [2, 2]);
    let positions = pool.rows.output * pool.columns.output;
    let network = Network {
        norm: batch_norm::Problem { batch, positions: conv.rows.output * conv.columns.output, channels },
        gap: global_average_pool::Problem { batch, positions, channels },
        dense: dense::Problem { batch, inputs: channels, outputs: classes },
        loss: loss::Problem { batch, classes },
        labels: vec![3, 0, 1],
        weight: vec![1.0, 2.0, 4.0, 0.5],
        conv,
        pool,
    };
    let variables: Variables = [
        uniform(20, conv.input_shape().iter().product()),
        uniform(21, conv.weight_shape().iter().product()),
        uniform(22, channels),
        uniform(23, channels).iter().map(|gamma| gamma + 1.5).collect(),
        uniform(24, channels),
        uniform(25, channels * classes),
        uniform(26, classes),
    ];
    let (_, gradients) = network.run(&variables);
    for (which, name) in NAMES.iter().enumerate() {
        let loss = |values: &[f64]| {
            let mut variables = variables.clone();
            variables[which] = values.to_vec();
            network.run(&variables).0
        };
        let (at, gradient) = (&variables[which], &gradients[which]);
        if which == CONV_BIAS {
            // Batch normalisation takes any constant away again: the gradient is 0 but for rounding.
            assert_close(name, gradient, &vec![0.0; channels], |_| 1e-14);
            check_scaled(name, at, gradient, rms(&gradients[which + 1]), loss);
        } else {
            check(name, at, gradient, loss);
        }
    }
}

/// Three steps at learning rate 0.1 from 1, worked out with 50 digits. The gradients of the second parameter are so
/// small that Keras's "epsilon hat" matters: added after the bias correction it would give other numbers.
#[test]
fn adam_steps_by_hand() {
    let gradients = [[0.5, 1e-9], [-0.25, 2e-9], [0.0, 1e-9]];
    let want_m = [[0.05, 1e-10], [0.02, 2.9e-10], [0.018, 3.61e-10]];
    let want_v = [[0.00025, 1e-21], [0.00031225, 4.999e-21], [0.00031193775, 5.994001e-21]];
    let want_vhat = [[0.00025, 1e-21], [0.00031225, 4.999e-21], [0.00031225, 5.994001e-21]];
    let want = [
        [0.900000632451532, 0.999968387220237],
        [0.8733670792079217, 0.9999001935852515],
        [0.8527895618399587, 0.9998273241757534],
    ];
    let (mut parameter, mut m, mut v, mut vhat) = ([1.0, 1.0], [0.0; 2], [0.0; 2], [0.0; 2]);
    for t in 0..3 {
        let alpha = adam::alpha(0.1, t as u64 + 1);
        adam::cpu::step(&mut parameter, &gradients[t], &mut m, &mut v, &mut vhat, alpha);
        // 1 - 0.999 loses three of sixteen digits.
        let relative = |want: [f64; 2]| move |i: usize| 1e-12 * want[i];
        assert_close("m", &m, &want_m[t], relative(want_m[t]));
        assert_close("v", &v, &want_v[t], relative(want_v[t]));
        assert_close("vhat", &vhat, &want_vhat[t], relative(want_vhat[t]));
        assert_close("parameter", &parameter, &want[t], |_| 1e-13);
    }
}

#[test]
fn adam_never_forgets_the_largest_second_moment() {
    let n = 20;
    let (mut parameter, mut m, mut v, mut vhat) = (vec![0.0; n], vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let mut fell_behind = 0;
    for t in 1..=60 {
        let before = vhat.clone();
        let gradient: Vec<f64> = uniform(t, n).iter().map(|g| g / t as f64).collect();
        adam::cpu::step(&mut parameter, &gradient, &mut m, &mut v, &mut vhat, adam::alpha(1e-3, t));
        for i in 0..n {
            assert!(vhat[i] >= before[i] && vhat[i] >= v[i]);
            assert!(vhat[i] == before[i] || vhat[i] == v[i]);
            fell_behind += usize::from(v[i] < vhat[i]);
        }
    }
    assert!(fell_behind > n, "the gradients shrink, so v falls below its maximum");
}
