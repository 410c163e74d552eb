//! Whole networks with the loss on top: each layer's backward twin feeds the next one, as in training, and the gradients of
//! an output that several layers take are summed.

use super::{check, check_scaled, uniform};
use crate::engine::numbers::rms;
use crate::engine::plan::names;
use crate::engine::plan::{Lifetime, Plan, Target, TensorId};
use crate::engine::tensor::Values;
use crate::network::compile::training;
use crate::network::{Layer, Network, Template};
use crate::proof::doctor::findings::Findings;

const BATCH: usize = 3;
const LABELS: [u32; BATCH] = [3, 0, 1];
const CLASS_WEIGHTS: [f64; 4] = [1.0, 2.0, 4.0, 0.5];
/// Pixels of an image's side.
const SIZE: usize = 8;

/// A network without branches, as in Keras's Sequential.
const CHAIN: &str = r#"
    layer = [
        { type = "conv2d", filters = 5, kernel = 3 },
        { type = "batch_norm" },
        { type = "relu" },
        { type = "max_pool", window = 2 },
        { type = "global_average_pool" },
        { type = "dense" },
    ]
"#;

/// Two residual connections around one layer: `relu1` is taken three times, once through a pool.
const RESIDUAL: &str = r#"
    layer = [
        { type = "conv2d", filters = 5, kernel = 3 },
        { type = "batch_norm" },
        { type = "relu" },
        { type = "conv2d", filters = 5, kernel = 3 },
        { type = "batch_norm" },
        { type = "add", inputs = ["bn2", "relu1"] },
        { type = "relu" },
        { type = "average_pool", window = 3, stride = 1, padding = "same", inputs = ["relu1"] },
        { type = "add", inputs = ["avgpool1", "relu2"] },
        { type = "global_average_pool" },
        { type = "dense" },
    ]
"#;

pub fn chain(findings: &mut Findings) {
    check_network(findings, &network(CHAIN));
}

pub fn residual(findings: &mut Findings) {
    check_network(findings, &network(RESIDUAL));
}

/// Networks in which some layers are frozen, with a batch norm that gradients go through, and smoothed labels.
pub fn frozen(findings: &mut Findings) {
    for (template, layers) in [(CHAIN, "bn1"), (CHAIN, "conv1"), (RESIDUAL, "bn2"), (RESIDUAL, "conv1..conv2")] {
        let mut network = network(template);
        network.label_smoothing = 0.1;
        network.freeze(&[layers.to_string()]).expect("layers of it");
        check_network(findings, &network);
    }
}

fn network(template: &str) -> Network {
    let template: Template = toml::from_str(template).expect("a template");
    template.build(SIZE, 1.0, CLASS_WEIGHTS.len()).expect("a network")
}

fn check_network(findings: &mut Findings, network: &Network) {
    let plan = training(network, BATCH, &Target::default());
    let mut values = inputs(network, &plan);
    let loss = loss(&plan, &mut values);
    findings.expect("the loss", loss.is_finite() && loss > 0.0, || format!("is {loss}"));

    let last = network.parameters().pop().expect("a network has parameters");
    let scale = rms(values.get(find(&plan, &names::gradient(&last.name))));
    let trained = network.layers.iter().filter(|layer| !layer.frozen).flat_map(|layer| layer.parameters());
    for parameter in trained.filter(|parameter| parameter.trainable) {
        let id = find(&plan, &parameter.name);
        let at = values.get(id).to_vec();
        let loss_at = |numbers: &[f64]| {
            let mut values = inputs(network, &plan);
            values.set(id, numbers.to_vec());
            self::loss(&plan, &mut values)
        };
        match plan.find(&names::gradient(&parameter.name)) {
            Some(gradient) => check(findings, &parameter.name, &at, values.get(gradient), loss_at),
            // A batch norm subtracts what this bias adds.
            None => check_scaled(findings, &parameter.name, &at, &vec![0.0; at.len()], scale, loss_at),
        }
    }
}

fn find(plan: &Plan, name: &str) -> TensorId {
    plan.find(name).unwrap_or_else(|| panic!("the plan has no {name}"))
}

/// Made-up photographs, labels and parameters.
fn inputs(network: &Network, plan: &Plan) -> Values {
    let mut values = Values::new(plan.tensors.len());
    let pixels = uniform(1, BATCH * SIZE * SIZE).into_iter().map(|number| ((number + 1.0) * 8e6) as u32);
    values.set_integers(find(plan, names::PIXELS), pixels.collect());
    values.set_integers(find(plan, names::LABELS), LABELS.to_vec());
    let identity = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    values.set(find(plan, names::MAPS), identity.repeat(BATCH));
    values.set(find(plan, names::CLASS_WEIGHT), CLASS_WEIGHTS.to_vec());
    for (id, tensor) in plan.tensor_ids().map(|id| (id, plan.tensor(id))) {
        if tensor.lifetime == Lifetime::Persistent && !tensor.name.starts_with(names::ZEROS) {
            let numbers = uniform(id.0 as u64, tensor.shape.iter().product());
            let shift = if tensor.name.ends_with("gamma") { 1.5 } else { 0.0 };
            values.set(id, numbers.into_iter().map(|number| number + shift).collect());
        }
    }
    for layer in network.layers.iter().filter(|layer| layer.frozen && matches!(layer.layer, Layer::BatchNorm(_))) {
        let id = find(plan, &names::moving(&layer.name));
        let (mean, variance) = values.get(id).split_at(values.get(id).len() / 2);
        let variance = variance.iter().map(|number| number.abs() + 0.1);
        let moving = mean.iter().copied().chain(variance).collect();
        values.set(id, moving);
    }
    assert!(network.parameters().iter().filter(|p| p.trainable).all(|p| plan.find(&p.name).is_some()));
    values
}

/// The mean loss of the batch; forward and backward twins run, and what updates the weights does not.
fn loss(plan: &Plan, values: &mut Values) -> f64 {
    let steps = plan.nodes.iter().take_while(|node| !node.name.starts_with("guard"));
    steps.for_each(|node| (node.twin)(values));
    values.get(find(plan, names::METRICS))[0] / BATCH as f64
}
