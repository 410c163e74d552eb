//! Sums over a batch that is cut into shares. Each share's part is finished before it meets another's; then the parts are
//! added up in the shares' order, where all of them are: on one device, or on every rank after an exchange.

use std::ops::Range;

use super::sum::{self, Parts};
use crate::engine::bound::{Given, Uncertainties, of_sums};
use crate::engine::plan::{Gathered, Plan, Step, Tensor, TensorId, Unfinished, Window};
use crate::engine::tensor::Values;

/// A sum over the images of the batch.
pub struct Sum {
    /// The part of each share; that of the first becomes the sum.
    parts: Vec<TensorId>,
    /// Images of one share.
    images: usize,
    held: Vec<Part>,
    /// Whether all shares are held here.
    whole: bool,
}

/// The part of a share that the plan holds.
#[derive(Clone)]
pub struct Part {
    pub tensor: TensorId,
    pub windows: Vec<Window>,
}

impl Sum {
    /// The sum `total`, with a tensor for the part of every share but the first.
    pub fn new(plan: &mut Plan, total: TensorId) -> Sum {
        let Tensor { name, shape, layout, .. } = plan.tensor(total).clone();
        let others = 1..plan.shares.count;
        let part = |share| plan.temporary(&format!("{name}/share {share}"), &shape, layout);
        let parts: Vec<TensorId> = [total].into_iter().chain(others.map(part)).collect();
        let of_held = plan.shares.held.clone().zip(plan.windows_by_share());
        let held = of_held.map(|(share, windows)| Part { tensor: parts[share], windows: windows.to_vec() }).collect();
        Sum { parts, images: plan.images_of_share(), held, whole: plan.shares.are_all_held() }
    }

    /// The parts that the plan computes.
    pub fn held(&self) -> Vec<Part> {
        self.held.clone()
    }

    /// The steps that add the parts up, where they are all here.
    pub fn steps(&self, plan: &Plan, name: &str) -> Vec<Step> {
        if self.whole { add_up(plan, name, &self.parts) } else { Vec::new() }
    }

    /// Leaves the sum to the next exchange, where parts are missing.
    pub fn finish(self, plan: &mut Plan, name: &str) {
        if !self.whole {
            plan.unfinished.push(Unfinished { name: name.into(), parts: self.parts });
        }
    }

    /// The twin of the steps: `sum` over a range of the images that the plan holds.
    pub fn twin<S>(&self, sum: S) -> impl Fn(&mut Values) + Send + Sync + use<S>
    where
        S: Fn(&Values, Range<usize>) -> Vec<f64> + Send + Sync,
    {
        let (images, total, whole) = (self.images, self.parts[0], self.whole);
        let tensors: Vec<TensorId> = self.held.iter().map(|part| part.tensor).collect();
        move |values: &mut Values| {
            if whole {
                let numbers = sum(values, 0..images * tensors.len());
                return values.set(total, numbers);
            }
            for (index, &tensor) in tensors.iter().enumerate() {
                let numbers = sum(values, index * images..(index + 1) * images);
                values.set(tensor, numbers);
            }
        }
    }
}

/// The numbers of a range of the images of a tensor that has so many.
pub fn of_images(numbers: &[f64], images: usize, range: &Range<usize>) -> Vec<f64> {
    let one = numbers.len() / images;
    numbers[range.start * one..range.end * one].to_vec()
}

/// The steps that add the other parts to the first, in order.
fn add_up(plan: &Plan, name: &str, parts: &[TensorId]) -> Vec<Step> {
    let count = plan.count_of(parts[0].into());
    let one = Parts { parts: 1, stride: count, offset: 0, count };
    parts[1..].iter().map(|&part| sum::add(plan, name, one, part.into(), parts[0].into())).collect()
}

/// Has the ranks meet, where there are others. They exchange these tensors and the parts of all unfinished sums, which are
/// then added up.
pub fn exchange(plan: &mut Plan, name: &str, mut tensors: Vec<Gathered>) {
    let unfinished = std::mem::take(&mut plan.unfinished);
    tensors.extend(unfinished.iter().map(|sum| plan.tensors_by_share(&sum.parts)));
    if plan.shares.are_all_held() || tensors.is_empty() {
        return;
    }
    plan.exchange(name, tensors);
    for Unfinished { name, parts } in unfinished {
        let steps = add_up(plan, &name, &parts);
        let twin = move |values: &mut Values| {
            let mut total = values.get(parts[0]).to_vec();
            for &part in &parts[1..] {
                total.iter_mut().zip(values.get(part)).for_each(|(total, part)| *total += part);
            }
            values.set(parts[0], total);
        };
        plan.node(&format!("{name} sum"), steps, twin, of_sums);
    }
}

/// The bound of a node that computes a rank's own parts: none. It is compared with its twin in the plan that holds all
/// shares, whose steps are the same.
pub fn none(_: &Given) -> Uncertainties {
    Uncertainties::new()
}
