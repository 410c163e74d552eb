//! The f64 twins on their own: backward against finite differences, Adam by hand, NaN, and what their bounds rest on.

use crate::common::assert_close;
use ocellus::engine::numbers::{absolute, uniform, widen};
use ocellus::engine::shape::Padding;
use ocellus::ops::{adam, conv2d, dense, max_pool, relu, softmax_cross_entropy as loss};
use ocellus::proof::doctor::gradients;

#[test]
fn gradients_are_those_of_finite_differences() {
    for row in gradients::run() {
        let (share, worst) = &row.findings.worst;
        println!("{}: {} gradients, worst {share:.4} of its bound: {worst}", row.kernel, row.cases);
        assert!(row.findings.passed(), "{}: {}", row.kernel, row.findings.faults.join("\n"));
    }
}

#[test]
fn no_bias_is_a_bias_of_zero() {
    let p = conv2d::Problem::new([2, 5, 4, 3], 5, [3, 3], [1, 1], Padding::Same);
    let numbers = |seed, shape: [usize; 4]| widen(&uniform(seed, shape.iter().product()));
    let (x, w) = (numbers(1, p.input_shape()), numbers(2, p.weight_shape()));
    assert_eq!(conv2d::twin::forward(&p, &x, &w, None), conv2d::twin::forward(&p, &x, &w, Some(&[0.0; 5])));
}

#[test]
fn relu_has_no_gradient_at_zero() {
    assert_eq!(relu::twin::backward(&relu::twin::forward(&[0.0]), &[1.0]), [0.0]);
}

#[test]
fn softmax_cross_entropy_keeps_nan_and_survives_large_logits() {
    let p = loss::Problem { batch: 2, classes: 3 };
    let out = loss::twin::forward(&p, &[1.0, f64::NAN, 2.0, 1.0, 1.0, 0.0], &[0, 1], &[1.0; 3]);
    assert!(out.losses[0].is_nan() && out.loss.is_nan() && out.dlogits[..3].iter().all(|d| d.is_nan()));
    assert!(out.losses[1].is_finite());
    assert_eq!(out.correct, 0, "of equal logits the first counts as the answer");

    let out = loss::twin::forward(&p, &[-1000.0, 1000.0, 0.0, 0.0, 0.0, 3000.0], &[0, 2], &[2.0, 1.0, 1.0]);
    assert_eq!(out.losses, [2000.0, 0.0]);
    assert_eq!((out.loss, out.correct), (2000.0, 1));
}

#[test]
fn nan_passes_through_relu_and_pools() {
    assert!(relu::twin::forward(&[f64::NAN])[0].is_nan());
    let p = max_pool::Problem::new([1, 2, 2, 1], [2, 2], [2, 2]);
    for at in 0..4 {
        let mut x = [1.0, 2.0, 3.0, 4.0];
        x[at] = f64::NAN;
        assert!(max_pool::twin::forward(&p, &x)[0].is_nan());
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
        adam::twin::step(&mut parameter, &gradients[t], &mut m, &mut v, &mut vhat, alpha);
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
        let gradient: Vec<f64> = uniform(t, n).iter().map(|&g| f64::from(g) / t as f64).collect();
        adam::twin::step(&mut parameter, &gradient, &mut m, &mut v, &mut vhat, adam::alpha(1e-3, t));
        for i in 0..n {
            assert!(vhat[i] >= before[i] && vhat[i] >= v[i]);
            assert!(vhat[i] == before[i] || vhat[i] == v[i]);
            fell_behind += usize::from(v[i] < vhat[i]);
        }
    }
    assert!(fell_behind > n, "the gradients shrink, so v falls below its maximum");
}

#[test]
fn sums_do_not_depend_on_the_number_of_threads() {
    let p = conv2d::Problem::new([3, 13, 11, 5], 7, [3, 3], [1, 1], Padding::Same);
    let numbers = |seed, shape: [usize; 4]| widen(&uniform(seed, shape.iter().product()));
    let (x, w, dy) = (numbers(1, p.input_shape()), numbers(2, p.weight_shape()), numbers(3, p.output_shape()));
    let with_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let forward = conv2d::twin::forward(&p, &x, &w, None);
            (forward, conv2d::twin::data_gradient(&p, &dy, &w), conv2d::twin::weight_gradient(&p, &x, &dy))
        })
    };
    assert_eq!(with_threads(1), with_threads(5));
}

/// `sum |a * b|` really bounds the sum, and reaches it where no sign cancels.
#[test]
fn absolute_values_give_the_magnitude_behind_a_sum() {
    let p = dense::Problem { batch: 1, inputs: 3, outputs: 2 };
    let (x, w, b) = ([1.0, -2.0, 3.0], [1.0, -1.0, 1.0, 1.0, -1.0, -1.0], [0.5, -0.5]);
    assert_eq!(dense::twin::forward(&p, &x, &w, &b), [-3.5, -6.5]);
    assert_eq!(dense::twin::forward(&p, &absolute(&x), &absolute(&w), &absolute(&b)), [6.5, 6.5]);
}
