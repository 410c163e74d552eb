//! A layer by itself, as its examples say: what its gradients are checked on, and a case that proves its kernels.

use super::Example;
use super::case::{Case, Expect, Inputs};
use super::epilogue::Epilogue;
use super::op::{At, Gradient, activation};
use crate::engine::numbers::{uniform, whole};
use crate::engine::plan::{Lifetime, Plan, Target, TensorId};

/// A layer by itself, forward and backward, with everything that it reads and writes kept.
pub struct Alone {
    pub plan: Plan,
    pub x: Vec<TensorId>,
    pub y: TensorId,
    pub dy: TensorId,
    /// The gradient of each input.
    pub dx: Vec<TensorId>,
    /// Each parameter that Adam would update, with its gradient.
    pub parameters: Vec<(TensorId, TensorId)>,
    /// How many nodes of the plan are the forward pass.
    pub forward: usize,
}

impl Alone {
    /// The layer of an example, with room for `images` images in a window.
    pub fn new(target: &Target, example: &Example, images: usize) -> Alone {
        let Example { layer, batch, inputs } = example;
        let layer = layer.settled(1.0, 1);
        let plan = Plan::new(target.clone(), *batch, target.binding_bytes / images as u64);
        let output = layer.output(inputs).expect("examples fit");
        let mut plan = plan.keep_everything();
        let x = inputs.iter().enumerate().map(|(i, shape)| activation(&mut plan, &format!("x{}", i + 1), shape));
        let x: Vec<TensorId> = x.collect();
        let [y, dy] = ["y", "dy"].map(|name| activation(&mut plan, name, &output));
        let mut gradients = Vec::new();
        let mut at = At {
            plan: &mut plan,
            training: true,
            x: x.clone(),
            y,
            epilogue: Epilogue::default(),
            before_batch_norm: false,
            layer: "layer",
            op: layer.op(),
            inputs,
            output: &output,
            frozen: false,
            again: false,
            wanted: vec![true; inputs.len()],
            gradients: &mut gradients,
        };
        layer.op().forward(&mut at);
        let forward = at.plan.nodes.len();
        let dx = layer.op().backward(&mut at, dy).into_iter().map(|dx| dx.expect("all are wanted")).collect();
        let parameter =
            |gradient: Gradient| (plan.find(&gradient.parameter).expect("forward made it"), gradient.tensor);
        let parameters = gradients.into_iter().map(parameter).collect();
        Alone { plan, x, y, dy, dx, parameters, forward }
    }
}

/// The case of a layer as a whole, forward and backward, with two images in a window.
pub fn case(example: Example) -> Case {
    let about = format!("{} images of {:?}, {:?}", example.batch, example.inputs, example.layer);
    let kernel = Alone::new(&Default::default(), &example, 2).plan.steps[0].kernel.path;
    let make = move |target: &_| Alone::new(target, &example, 2).plan;
    let fill = |make: fn(u64, usize) -> Vec<f32>| {
        move |inputs: &mut Inputs| {
            let plan = inputs.plan();
            let given = |name: &str| name == "dy" || name.starts_with('x') && !name.contains('/');
            let read = plan.tensors.iter().filter(|t| t.lifetime == Lifetime::Persistent || given(&t.name));
            let names: Vec<&str> = read.map(|tensor| &tensor.name[..]).collect();
            inputs.fill(&names, make);
        }
    };
    Case::new(kernel, about, make)
        .round("uniform numbers", Expect::Bounded, fill(uniform))
        .round("whole numbers", Expect::Bounded, fill(whole))
        .telling_if(true)
}
