//! One operation at a time.

use super::{apart, check, dot, uniform};
use crate::doctor::findings::Findings;
use crate::ops::{batch_norm, bias, conv2d, dense, global_average_pool, max_pool, relu, softmax_cross_entropy as loss};
use crate::shape::Padding::{Same, Valid};

pub fn conv2d(findings: &mut Findings) {
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
        let what = |of: &str| format!("{of} of {input:?} to {cout}, kernel {kernel:?}, stride {stride:?}, {padding:?}");
        let x = uniform(1, p.input_shape().iter().product());
        let w = uniform(2, p.weight_shape().iter().product());
        let b = uniform(3, cout);
        let dy = uniform(4, p.output_shape().iter().product());
        let loss = |x: &[f64], w: &[f64], b: &[f64]| dot(&conv2d::cpu::forward(&p, x, w, Some(b)), &dy);

        check(findings, &what("dx"), &x, &conv2d::cpu::data_gradient(&p, &dy, &w), |x| loss(x, &w, &b));
        // The kernel may reach into padding only: then some of dw is 0, in both.
        check(findings, &what("dw"), &w, &conv2d::cpu::weight_gradient(&p, &x, &dy), |w| loss(&x, w, &b));
        let rows = bias::Problem { batch: p.batch, positions: p.rows.output * p.columns.output, channels: cout };
        check(findings, &what("db"), &b, &bias::cpu::gradient(&rows, &dy), |b| loss(&x, &w, b));
    }
}

pub fn batch_norm(findings: &mut Findings) {
    for (batch, positions, channels) in [(3, 7, 5), (1, 12, 1), (4, 1, 3), (2, 9, 6)] {
        let p = batch_norm::Problem { batch, positions, channels };
        let what = |of: &str| format!("{of} of [{batch}, {positions}, {channels}]");
        let x: Vec<f64> = uniform(5, p.rows() * channels).iter().map(|x| 3.0 + 2.0 * x).collect();
        let gamma: Vec<f64> = uniform(6, channels).iter().map(|gamma| gamma + 1.5).collect();
        let beta = uniform(7, channels);
        let dy = uniform(8, x.len());
        let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
            let batch = batch_norm::cpu::statistics(&p, x);
            dot(&batch_norm::cpu::normalize(&p, x, &batch.mean, &batch.variance, gamma, beta), &dy)
        };
        let gradients = batch_norm::cpu::backward(&p, &x, &dy, &batch_norm::cpu::statistics(&p, &x), &gamma);
        check(findings, &what("dx"), &x, &gradients.dx, |x| loss(x, &gamma, &beta));
        check(findings, &what("dgamma"), &gamma, &gradients.dgamma, |gamma| loss(&x, gamma, &beta));
        check(findings, &what("dbeta"), &beta, &gradients.dbeta, |beta| loss(&x, &gamma, beta));
    }
}

pub fn relu(findings: &mut Findings) {
    let x = apart(9, 101);
    let dy = uniform(10, x.len());
    let dx = relu::cpu::backward(&relu::cpu::forward(&x), &dy);
    check(findings, "dx", &x, &dx, |x| dot(&relu::cpu::forward(x), &dy));
}

pub fn max_pool(findings: &mut Findings) {
    let cases = [
        ([2, 6, 4, 3], [2, 2], [2, 2]),
        ([1, 7, 5, 2], [2, 2], [2, 2]),
        ([2, 9, 8, 1], [3, 3], [2, 2]),
        ([1, 6, 9, 3], [3, 2], [1, 3]),
    ];
    for (input, window, stride) in cases {
        let p = max_pool::Problem::new(input, window, stride);
        let x = apart(11, input.iter().product());
        let dy = uniform(12, p.output_shape().iter().product());
        let dx = max_pool::cpu::backward(&p, &x, &dy);
        let what = format!("dx of {input:?}, window {window:?}, stride {stride:?}");
        check(findings, &what, &x, &dx, |x| dot(&max_pool::cpu::forward(&p, x), &dy));
    }
}

pub fn global_average_pool(findings: &mut Findings) {
    for (batch, positions, channels) in [(3, 49, 5), (1, 1, 4), (2, 6, 1)] {
        let p = global_average_pool::Problem { batch, positions, channels };
        let x = uniform(13, batch * positions * channels);
        let dy = uniform(14, batch * channels);
        let dx = global_average_pool::cpu::backward(&p, &dy);
        let what = format!("dx of [{batch}, {positions}, {channels}]");
        check(findings, &what, &x, &dx, |x| dot(&global_average_pool::cpu::forward(&p, x), &dy));
    }
}

pub fn dense(findings: &mut Findings) {
    for (batch, inputs, outputs) in [(3, 17, 5), (1, 8, 1), (7, 1, 4)] {
        let p = dense::Problem { batch, inputs, outputs };
        let what = |of: &str| format!("{of} of [{batch}, {inputs}] to {outputs}");
        let (x, w, b) = (uniform(15, batch * inputs), uniform(16, inputs * outputs), uniform(17, outputs));
        let dy = uniform(18, batch * outputs);
        let loss = |x: &[f64], w: &[f64], b: &[f64]| dot(&dense::cpu::forward(&p, x, w, b), &dy);
        check(findings, &what("dx"), &x, &dense::cpu::data_gradient(&p, &dy, &w), |x| loss(x, &w, &b));
        check(findings, &what("dw"), &w, &dense::cpu::weight_gradient(&p, &x, &dy), |w| loss(&x, w, &b));
        let rows = bias::Problem { batch, positions: 1, channels: outputs };
        check(findings, &what("db"), &b, &bias::cpu::gradient(&rows, &dy), |b| loss(&x, &w, b));
    }
}

pub fn softmax_cross_entropy(findings: &mut Findings) {
    for (batch, classes, spread) in [(5, 8, 1.0), (1, 2, 3.0), (4, 11, 6.0)] {
        let p = loss::Problem { batch, classes };
        let logits: Vec<f64> = uniform(19, batch * classes).iter().map(|z| z * spread).collect();
        let labels: Vec<u32> = (0..batch).map(|n| (n * 7 % classes) as u32).collect();
        let weight: Vec<f64> = (0..classes).map(|class| 0.5 + class as f64).collect();
        let out = loss::cpu::forward(&p, &logits, &labels, &weight);
        check(findings, &format!("dlogits of [{batch}, {classes}]"), &logits, &out.dlogits, |z| {
            loss::cpu::forward(&p, z, &labels, &weight).loss
        });
    }
}
