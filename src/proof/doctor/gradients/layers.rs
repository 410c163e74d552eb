//! Every operation that a layer can be, one at a time, on its own examples.

use super::{apart, check, dot, uniform};
use crate::engine::plan::{Lifetime, Target, TensorId};
use crate::engine::tensor::Values;
use crate::ops::alone::Alone;
use crate::ops::{Example, softmax_cross_entropy as loss};
use crate::proof::doctor::findings::Findings;

/// The gradients of a layer's inputs and parameters.
pub fn layer(findings: &mut Findings, example: &Example) {
    let Alone { plan, x, y, dy, dx, parameters, forward } = Alone::new(&Target::default(), example, example.batch);
    let count = |id: TensorId| plan.tensor(id).shape.iter().product::<usize>();
    let mut values = Values::new(plan.tensors.len());
    for (index, tensor) in plan.tensors.iter().enumerate().filter(|(_, t)| t.lifetime == Lifetime::Persistent) {
        // Far from 0, where a scale has no effect.
        let numbers = uniform(index as u64, tensor.shape.iter().product());
        values.set(TensorId(index), numbers.iter().map(|number| number + 1.5).collect());
    }
    x.iter().enumerate().for_each(|(seed, &id)| values.set(id, apart(seed as u64, count(id))));
    values.set(dy, uniform(100, count(dy)));
    plan.nodes.iter().for_each(|node| (node.twin)(&mut values));

    let held: Vec<(TensorId, Vec<f64>)> =
        plan.tensor_ids().filter_map(|id| Some((id, values.find(id)?.to_vec()))).collect();
    let loss = |changed: TensorId, numbers: &[f64]| {
        let mut values = Values::new(plan.tensors.len());
        held.iter().for_each(|(id, numbers)| values.set(*id, numbers.clone()));
        values.set(changed, numbers.to_vec());
        plan.nodes[..forward].iter().for_each(|node| (node.twin)(&mut values));
        dot(values.get(y), values.get(dy))
    };
    for (id, gradient) in x.into_iter().zip(dx).chain(parameters) {
        let what = format!(
            "{} of {:?}, {} images of {:?}",
            plan.tensor(id).name,
            example.layer,
            example.batch,
            example.inputs
        );
        check(findings, &what, values.get(id), values.get(gradient), |numbers| loss(id, numbers));
    }
}

pub fn softmax_cross_entropy(findings: &mut Findings) {
    for (batch, classes, spread) in [(5, 8, 1.0), (1, 2, 3.0), (4, 11, 6.0)] {
        let p = loss::Problem { batch, classes };
        let logits: Vec<f64> = uniform(19, batch * classes).iter().map(|z| z * spread).collect();
        let labels: Vec<u32> = (0..batch).map(|n| (n * 7 % classes) as u32).collect();
        let weight: Vec<f64> = (0..classes).map(|class| 0.5 + class as f64).collect();
        for smoothing in [0.0, 0.1, 1.0] {
            let out = loss::twin::smoothed(&p, &logits, &labels, &weight, smoothing);
            let what = format!("dlogits of [{batch}, {classes}], smoothed by {smoothing}");
            check(findings, &what, &logits, &out.dlogits, |z| {
                loss::twin::smoothed(&p, z, &labels, &weight, smoothing).loss
            });
        }
    }
}
