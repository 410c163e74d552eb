//! The f64 twins against Keras's own numbers: 46 cases, forward and the gradient of every input.

mod common;

use common::golden::{Case, File, check_every_case};
use common::widen;
use ocellus::ops::{
    absolute, batch_norm, bias, conv2d, dense, global_average_pool, max_pool, relu, softmax_cross_entropy as loss,
};
use ocellus::shape::Padding;

/// The file's values are f32, the twin's f64, so their difference is the file's own rounding error. It was measured
/// against another f64 implementation: `noise`. Where it was not, a few units in the last place are allowed.
fn bound(file: &File, name: &str) -> f64 {
    match file.noise(name) {
        Some(noise) => 1.01 * noise + 1e-9 * file.rms(name),
        None => 1e-6 * file.rms(name),
    }
}

#[test]
fn twins_compute_what_keras_computes() {
    check_every_case(
        bound,
        |_| false,
        |case| match case.text("op") {
            "conv2d" => check_conv2d(case),
            "batch_norm" => check_batch_norm(case),
            "relu" => check_relu(case),
            "max_pool" => check_max_pool(case),
            "global_average_pool" => check_global_average_pool(case),
            "dense" => check_dense(case),
            "softmax_cross_entropy" => check_loss(case),
            op => panic!("no twin for {op}"),
        },
    );
}

fn check_conv2d(case: &mut Case) {
    let padding = match case.text("padding") {
        "same" => Padding::Same,
        "valid" => Padding::Valid,
        other => panic!("padding {other}"),
    };
    let (kernel, stride, cout) = (case.size("kernel"), case.size("stride"), case.size("cout"));
    let p = conv2d::Problem::new(case.shape("x"), cout, [kernel; 2], [stride; 2], padding);
    assert_eq!(p.output_shape(), case.shape("y"));
    let (x, w, dy) = (case.wide("x"), case.wide("w"), case.wide("dy"));
    let b = case.about["bias"].as_bool().unwrap().then(|| case.wide("b"));
    case.check("y", &conv2d::cpu::forward(&p, &x, &w, b.as_deref()));
    case.check("dx", &conv2d::cpu::data_gradient(&p, &dy, &w));
    case.check("dw", &conv2d::cpu::weight_gradient(&p, &x, &dy));
    if b.is_some() {
        let positions = p.rows.output * p.columns.output;
        let p = bias::Problem { batch: p.batch, positions, channels: p.cout };
        case.check("db", &bias::cpu::gradient(&p, &dy));
    }
}

fn check_batch_norm(case: &mut Case) {
    let [batch, height, width, channels] = case.shape("x");
    let p = batch_norm::Problem { batch, positions: height * width, channels };
    let (x, dy) = (case.wide("x"), case.wide("dy"));
    let (gamma, beta) = (case.wide("gamma"), case.wide("beta"));
    let (mut mean, mut variance) = (case.wide("moving_mean"), case.wide("moving_variance"));
    match case.text("mode") {
        "train" => {
            let statistics = batch_norm::cpu::statistics(&p, &x);
            batch_norm::cpu::moving(&p, &mut mean, &mut variance, &statistics);
            case.check("moving_mean_after", &mean);
            case.check("moving_variance_after", &variance);
            let (mean, variance) = (&statistics.mean, &statistics.variance);
            case.check("y", &batch_norm::cpu::normalize(&p, &x, mean, variance, &gamma, &beta));
            let gradients = batch_norm::cpu::backward(&p, &x, &dy, &statistics, &gamma);
            case.check("dx", &gradients.dx);
            case.check("dgamma", &gradients.dgamma);
            case.check("dbeta", &gradients.dbeta);
        }
        "infer" => {
            case.check("y", &batch_norm::cpu::normalize(&p, &x, &mean, &variance, &gamma, &beta));
            // With constant statistics the layer is affine: dx is its linear part applied to dy.
            let zero = vec![0.0; channels];
            case.check("dx", &batch_norm::cpu::normalize(&p, &dy, &zero, &variance, &gamma, &zero));
            let statistics = batch_norm::cpu::Statistics { mean, variance };
            let gradients = batch_norm::cpu::backward(&p, &x, &dy, &statistics, &gamma);
            case.check("dgamma", &gradients.dgamma);
            case.check("dbeta", &gradients.dbeta);
        }
        mode => panic!("mode {mode}"),
    }
}

fn check_relu(case: &mut Case) {
    let y = relu::cpu::forward(&case.wide("x"));
    case.check("y", &y);
    case.check("dx", &relu::cpu::backward(&y, &case.wide("dy")));
}

fn check_max_pool(case: &mut Case) {
    let p = max_pool::Problem::new(case.shape("x"), [case.size("pool"); 2], [case.size("stride"); 2]);
    assert_eq!(p.output_shape(), case.shape("y"));
    let x = case.wide("x");
    case.check("y", &max_pool::cpu::forward(&p, &x));
    case.check("dx", &max_pool::cpu::backward(&p, &x, &case.wide("dy")));
}

fn check_global_average_pool(case: &mut Case) {
    let [batch, height, width, channels] = case.shape("x");
    let p = global_average_pool::Problem { batch, positions: height * width, channels };
    case.check("y", &global_average_pool::cpu::forward(&p, &case.wide("x")));
    case.check("dx", &global_average_pool::cpu::backward(&p, &case.wide("dy")));
}

fn check_dense(case: &mut Case) {
    let [inputs, outputs] = case.shape("w");
    let [batch, _] = case.shape("x");
    let p = dense::Problem { batch, inputs, outputs };
    let (x, w, dy) = (case.wide("x"), case.wide("w"), case.wide("dy"));
    case.check("y", &dense::cpu::forward(&p, &x, &w, &case.wide("b")));
    case.check("dx", &dense::cpu::data_gradient(&p, &dy, &w));
    case.check("dw", &dense::cpu::weight_gradient(&p, &x, &dy));
    case.check("db", &bias::cpu::gradient(&bias::Problem { batch, positions: 1, channels: outputs }, &dy));
}

fn check_loss(case: &mut Case) {
    let [batch, classes] = case.shape("logits");
    let p = loss::Problem { batch, classes };
    let out = loss::cpu::forward(&p, &case.wide("logits"), &case.labels(), &case.wide("class_weight"));
    case.check("probs", &out.probabilities);
    case.check("ce_per_sample", &out.losses);
    case.check("loss", &[out.loss]);
    case.check("accuracy", &[out.correct as f64 / batch as f64]);
    case.check("dlogits", &out.dlogits);
}

#[test]
fn comparison_is_strict() {
    let passes = |got: &[f64], want: &[f64], bound: f64| common::compare(got, want, |_| bound).is_ok();
    assert!(passes(&[1.0, 2.0], &[1.0, 2.25], 0.25));
    assert!(passes(&[1.0], &[1.0], 0.0));
    assert!(!passes(&[1.0, 2.0], &[1.0, 2.25], 0.2));
    assert!(!passes(&[2.0], &[1.0], 0.0));
    assert!(!passes(&[2.0], &[1.0], -1.0));
    assert!(!passes(&[f64::NAN], &[1.0], 1.0));
    assert!(!passes(&[1.0], &[f64::NAN], 1.0));
    assert!(!passes(&[f64::INFINITY], &[f64::INFINITY], 1.0));
    assert!(!passes(&[1.0], &[1.0], f64::NAN));
    assert!(!passes(&[1.0], &[2.0], f64::INFINITY));
    assert!(!passes(&[1.0], &[1.0, 1.0], 1.0));
    assert!(!passes(&[], &[], 1.0));
    assert_eq!(common::compare(&[1.0, 3.0], &[1.0f32, 2.0], |_| 2.0), Ok(0.5));
}

#[test]
fn sums_do_not_depend_on_the_number_of_threads() {
    let p = conv2d::Problem::new([3, 13, 11, 5], 7, [3, 3], [1, 1], Padding::Same);
    let numbers = |seed, shape: [usize; 4]| widen(&common::uniform(seed, shape.iter().product()));
    let (x, w, dy) = (numbers(1, p.input_shape()), numbers(2, p.weight_shape()), numbers(3, p.output_shape()));
    let with_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let forward = conv2d::cpu::forward(&p, &x, &w, None);
            (forward, conv2d::cpu::data_gradient(&p, &dy, &w), conv2d::cpu::weight_gradient(&p, &x, &dy))
        })
    };
    assert_eq!(with_threads(1), with_threads(5));
}

/// `sum |a * b|` really bounds the sum, and reaches it where no sign cancels.
#[test]
fn absolute_values_give_the_magnitude_behind_a_sum() {
    let p = dense::Problem { batch: 1, inputs: 3, outputs: 2 };
    let (x, w, b) = ([1.0, -2.0, 3.0], [1.0, -1.0, 1.0, 1.0, -1.0, -1.0], [0.5, -0.5]);
    assert_eq!(dense::cpu::forward(&p, &x, &w, &b), [-3.5, -6.5]);
    assert_eq!(dense::cpu::forward(&p, &absolute(&x), &absolute(&w), &absolute(&b)), [6.5, 6.5]);
}
