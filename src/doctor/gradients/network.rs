//! conv -> batch norm -> ReLU -> max pool -> global average pool -> dense -> loss: each layer's backward twin feeds the
//! next one, as in training.

use super::{check_scaled, uniform};
use crate::doctor::findings::Findings;
use crate::doctor::numbers::rms;
use crate::ops::{batch_norm, bias, conv2d, dense, global_average_pool, max_pool, relu, softmax_cross_entropy as loss};
use crate::shape::Padding;

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

pub fn check(findings: &mut Findings) {
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
            findings.compare("conv bias, which cancels", gradient, &vec![0.0; channels], |_| 1e-14);
            check_scaled(findings, name, at, gradient, rms(&gradients[which + 1]), loss);
        } else {
            super::check(findings, name, at, gradient, loss);
        }
    }
}
