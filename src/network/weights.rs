//! Weights on their way between files and devices: how they start, and by which names they are found.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::engine::plan::names;
use crate::engine::plan::{self, Lifetime, Plan, TensorId};
use crate::engine::run::Engine;
use crate::error::Result;
use crate::network::random::{Purpose, stream};
use crate::network::{Layer, Network, Parameter, Start};

/// A named array as files hold it. Row-major; `data.len()` is the product of `shape`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// The standard deviation of a normal distribution cut off at two of its own: what Keras divides by.
const TRUNCATED_DEVIATION: f64 = 0.879_625_661_034_239_8;

/// Fresh weights and moving statistics, in Keras's order. Each tensor draws from a stream of its own, so a change to
/// one layer leaves the others as they were.
pub fn initial(network: &Network, seed: u64) -> Vec<Tensor> {
    let parameters: Vec<Parameter> = network.parameters();
    parameters
        .into_par_iter()
        .enumerate()
        .map(|(number, parameter)| {
            let count = parameter.shape.iter().product();
            let data = match parameter.start {
                Start::Constant(value) => vec![value; count],
                Start::HeNormal { fan_in } => {
                    he_normal(fan_in, count, stream(seed, Purpose::Weights, 0, number as u64))
                }
            };
            Tensor { name: parameter.name, shape: parameter.shape, data }
        })
        .collect()
}

/// Keras's `he_normal`: normal, cut off at two standard deviations, scaled so that the deviation after the cut is
/// `sqrt(2 / fan_in)` (He et al. 2015).
fn he_normal(fan_in: usize, count: usize, mut random: ChaCha8Rng) -> Vec<f32> {
    let deviation = (2.0 / fan_in as f64).sqrt() / TRUNCATED_DEVIATION;
    let mut draw = || loop {
        let value: f64 = StandardNormal.sample(&mut random);
        if value.abs() <= 2.0 {
            return (value * deviation) as f32;
        }
    };
    (0..count).map(|_| draw()).collect()
}

/// Writes weights and moving statistics, in any order, to the tensors that all plans share.
pub fn upload(engine: &mut Engine, program: usize, network: &Network, tensors: &[Tensor]) {
    for (name, numbers) in by_tensor(network, tensors) {
        engine.write(program, &name, &numbers);
    }
}

/// Weights and moving statistics, in any order, by the names of the tensors that hold them on a device.
pub fn by_tensor(network: &Network, tensors: &[Tensor]) -> Vec<(String, Vec<f32>)> {
    let mut all = Vec::new();
    let find = |name: &str| &tensors.iter().find(|tensor| tensor.name == name).expect("checked when loaded").data;
    for layer in &network.layers {
        for parameter in layer.parameters().iter().filter(|parameter| parameter.trainable) {
            all.push((parameter.name.clone(), find(&parameter.name).clone()));
        }
        if matches!(layer.layer, Layer::BatchNorm(_)) {
            // On the device both moving statistics are one tensor, which takes the place of the batch's.
            let moving = ["moving_mean", "moving_variance"].map(|part| &find(&format!("{}.{part}", layer.name))[..]);
            all.push((names::moving(&layer.name), moving.concat()));
        }
    }
    all
}

/// Reads weights and moving statistics back, in Keras's order.
pub fn download(engine: &mut Engine, program: usize, network: &Network) -> Result<Vec<Tensor>> {
    let mut tensors = Vec::new();
    for layer in &network.layers {
        let moving = match layer.layer {
            Layer::BatchNorm(_) => engine.read(program, &names::moving(&layer.name))?,
            _ => Vec::new(),
        };
        let (mean, variance) = moving.split_at(moving.len() / 2);
        for Parameter { name, shape, .. } in layer.parameters() {
            let data = match name.rsplit('.').next() {
                Some("moving_mean") => mean.to_vec(),
                Some("moving_variance") => variance.to_vec(),
                _ => engine.read(program, &name)?,
            };
            tensors.push(Tensor { name, shape, data });
        }
    }
    Ok(tensors)
}

/// Names and shapes of Adam's moments in a state file. Parameters whose gradient is exactly zero have none.
pub fn moments(plan: &Plan) -> Vec<(String, Vec<usize>)> {
    let is_moment = |tensor: &plan::Tensor| {
        let prefix = tensor.name.split_once('/').map(|(prefix, _)| prefix);
        tensor.lifetime == Lifetime::Persistent && prefix.is_some_and(|prefix| names::MOMENTS.contains(&prefix))
    };
    let whole = |id: TensorId| (plan.tensor(id).name.clone(), plan.whole_shape(id).to_vec());
    plan.tensor_ids().filter(|id| is_moment(plan.tensor(*id))).map(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::{assert_abs_diff_eq, assert_relative_eq};

    #[test]
    fn he_normal_has_its_deviation_and_its_cut() {
        let values = he_normal(288, 200_000, stream(1, Purpose::Weights, 0, 0));
        let deviation = (2.0f64 / 288.0).sqrt();
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert_abs_diff_eq!(mean, 0.0, epsilon = 0.01 * deviation);
        assert_relative_eq!(variance.sqrt(), deviation, max_relative = 0.01);
        let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        assert!(f64::from(largest) <= 2.2738 * deviation && f64::from(largest) > 2.2 * deviation);
    }
}
