//! Batch normalisation over all axes but the last (Keras `BatchNormalization`, Ioffe & Szegedy 2015).

mod bound;
pub mod frozen;
mod parts;
pub mod proof;
mod shares;
pub mod steps;
pub mod twin;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::epilogue::Epilogue;
use super::image;
use super::op::{At, Attribute, Onnx, Op, Parameter, Start};
use super::pool;
use crate::engine::plan::names;
use crate::engine::plan::{Layout, TensorId};

/// Keras's default; added to the variance under the root.
pub const EPSILON: f64 = 1e-3;
/// Keras's default; share of the old value that a moving statistic keeps each step.
pub const MOMENTUM: f64 = 0.99;

/// `x`, `y` are `[batch, positions, channels]`; every statistic is `[channels]` over `batch * positions` rows, and where a
/// plan holds a share of the batch, over those of the other shares, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub positions: usize,
    pub channels: usize,
}

impl Problem {
    pub fn rows(&self) -> usize {
        self.batch * self.positions
    }
}

/// The layer. What follows it may be computed in its passes: its [`Epilogue`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {}

impl BatchNorm {
    /// The output from `at.x`, with the statistics of the batch or the moving ones.
    pub fn normalize(&self, at: &mut At, statistics: TensorId) {
        let (gamma, beta) = (at.parameter("gamma"), at.parameter("beta"));
        let tensors = Normalize { x: at.x[0], statistics, gamma, beta, y: at.y, epilogue: at.epilogue };
        steps::normalize(at.plan, &at.name("forward"), problem(at), tensors);
    }
}

fn problem(at: &At) -> Problem {
    let (positions, channels) = at.positions_and_channels();
    Problem { batch: at.images(), positions, channels }
}

impl Op for BatchNorm {
    fn stem(&self) -> &'static str {
        "bn"
    }

    fn keras_class(&self) -> &'static str {
        "BatchNormalization"
    }

    fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(image(inputs)?.to_vec())
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        let channels = &input[input.len() - 1..];
        let moving =
            |name, start| Parameter { trainable: false, ..Parameter::trained(name, channels, Start::Constant(start)) };
        vec![
            Parameter::trained("gamma", channels, Start::Constant(1.0)),
            Parameter::trained("beta", channels, Start::Constant(0.0)),
            moving("moving_mean", 0.0),
            moving("moving_variance", 1.0),
        ]
    }

    fn forward(&self, at: &mut At) {
        let (p, layer) = (problem(at), at.layer);
        let moving = at.plan.persistent(&names::moving(layer), &[2, p.channels], Layout::Rows);
        // As Keras's `trainable = False`: frozen, it uses the moving statistics, and does not move them.
        let statistics = if at.training && !at.frozen {
            let statistics = at.plan.temporary(&names::statistics(layer), &[2, p.channels], Layout::Rows);
            steps::statistics(at.plan, &at.name("statistics"), p, at.x[0], statistics, moving);
            statistics
        } else {
            moving
        };
        self.normalize(at, statistics);
    }

    fn backward(&self, at: &mut At, dy: TensorId) -> Vec<Option<TensorId>> {
        if at.frozen {
            return vec![frozen::backward_of(at, dy)];
        }
        let statistics = at.plan.find(&names::statistics(at.layer)).expect("forward made it");
        // The sums over the batch are needed even where nothing needs `dx`.
        let dx = at.input_gradient_always(0);
        let gamma = at.parameter("gamma");
        let (dgamma, dbeta) = (at.gradient("gamma"), at.gradient("beta"));
        let (x, y, epilogue) = (at.x[0], at.y, at.epilogue);
        let tensors = Backward { x, y, dy, statistics, gamma, dx, dgamma, dbeta, epilogue };
        steps::backward(at.plan, &at.name("backward"), problem(at), tensors);
        vec![Some(dx)]
    }

    fn onnx(&self, _inputs: &[&[usize]]) -> Onnx {
        let attributes = vec![("epsilon", Attribute::Float(EPSILON as f32))];
        Onnx { attributes, ..Onnx::plain("BatchNormalization") }
    }
}

impl Epilogue {
    /// The pool, or the one of single pixels that changes nothing.
    fn cells(&self, p: &Problem) -> pool::Problem {
        self.pool.unwrap_or_else(|| pool::Problem::new([p.batch, 1, p.positions, p.channels], [1, 1], [1, 1]))
    }
}

/// Tensors that `normalize` reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Normalize {
    pub x: TensorId,
    pub statistics: TensorId,
    pub gamma: TensorId,
    pub beta: TensorId,
    pub y: TensorId,
    pub epilogue: Epilogue,
}

/// Tensors that `backward` reads and writes. A frozen batch norm reads the moving statistics, and zeros as `dgamma` and
/// `dbeta`.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    pub x: TensorId,
    /// The output after the epilogue, which tells where a ReLU let the gradient through.
    pub y: TensorId,
    pub dy: TensorId,
    pub statistics: TensorId,
    pub gamma: TensorId,
    pub dx: TensorId,
    pub dgamma: TensorId,
    pub dbeta: TensorId,
    pub epilogue: Epilogue,
}
