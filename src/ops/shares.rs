//! Sums over a batch that is cut into shares. Each share's part is finished before it meets another's; then the parts are
//! added up in the shares' order, where all of them are: on one device, or on every rank after an exchange.

use std::ops::Range;

use super::sum::{self, Parts};
use crate::engine::bound::{Given, Uncertainties, of_sums};
use crate::engine::layout::{run_of, with_run};
use crate::engine::plan::{Dealt, Gathered, Layout, Plan, Step, Tensor, TensorId, Unfinished, Window};
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
    /// The slice that this rank adds up; `None` where every rank adds up all.
    slice: Option<Range<usize>>,
}

/// The part of a share that the plan holds.
#[derive(Clone)]
pub struct Part {
    pub tensor: TensorId,
    pub windows: Vec<Window>,
}

impl Sum {
    /// The sum `total`, with a tensor for the part of every share but the first. Where ranks add up slices, those of parts
    /// that are not held have room for one.
    pub fn new(plan: &mut Plan, total: TensorId) -> Sum {
        let Tensor { name, shape, layout, .. } = plan.tensor(total).clone();
        let (shares, whole) = (plan.shares.clone(), plan.shares.are_all_held());
        let slice = plan.own_slice(total).filter(|_| !whole);
        let room = |share: usize| slice.as_ref().filter(|_| !shares.held.contains(&share)).map(Range::len);
        let mut parts = vec![total];
        for share in 1..shares.count {
            let name = format!("{name}/share {share}");
            parts.push(match room(share) {
                Some(numbers) => plan.temporary(&name, &[numbers], Layout::Packed),
                None => plan.temporary(&name, &shape, layout),
            });
        }
        if let Some(numbers) = room(0) {
            plan.cut_down(total, numbers);
        }
        let of_held = shares.held.zip(plan.windows_by_share());
        let held = of_held.map(|(share, windows)| Part { tensor: parts[share], windows: windows.to_vec() }).collect();
        Sum { parts, images: plan.images_of_share(), held, whole, slice }
    }

    /// The parts that the plan computes.
    pub fn held(&self) -> Vec<Part> {
        self.held.clone()
    }

    /// The steps that add the parts up, where they are all here.
    pub fn steps(&self, plan: &Plan, name: &str) -> Vec<Step> {
        if self.whole { add_up(plan, name, &self.parts, None) } else { Vec::new() }
    }

    /// Leaves the sum to the next exchange, where parts are missing.
    pub fn finish(self, plan: &mut Plan, name: &str) {
        if !self.whole {
            plan.unfinished.push(Unfinished { name: name.into(), parts: self.parts, slice: self.slice });
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

/// The steps that add the other parts to the first, in order; or this rank's slice of all, which the first part then holds
/// at its beginning.
fn add_up(plan: &Plan, name: &str, parts: &[TensorId], slice: Option<&Range<usize>>) -> Vec<Step> {
    let whole = plan.count_of(parts[0].into());
    let count = slice.map_or(whole, Range::len);
    let add = |(share, &part): (usize, &TensorId)| {
        let offset = slice.map_or(0, |slice| in_part(plan, slice, share).start);
        let one = Parts { parts: 1, stride: plan.count_of(part.into()), offset, count };
        sum::add(plan, name, one, part.into(), parts[0].into())
    };
    parts.iter().enumerate().skip(1).map(add).collect()
}

/// Where this rank's slice lies in the part of a share: a held one is whole, and others have room for the slice alone.
fn in_part(plan: &Plan, slice: &Range<usize>, share: usize) -> Range<usize> {
    if plan.shares.held.contains(&share) { slice.clone() } else { 0..slice.len() }
}

/// Has the ranks meet, where there are others. They exchange these tensors and the parts of all unfinished sums. Whole sums
/// are then added up; slices travel while the next steps are computed, and are added up after the next exchange.
pub fn exchange(plan: &mut Plan, name: &str, tensors: Vec<Gathered>) {
    meet(plan, name, tensors, false);
}

/// The last exchange of gradients, after which all sums are added up.
pub fn last_exchange(plan: &mut Plan, name: &str) {
    meet(plan, name, Vec::new(), true);
}

fn meet(plan: &mut Plan, name: &str, mut gathered: Vec<Gathered>, is_last: bool) {
    let (sliced, whole): (Vec<_>, Vec<_>) =
        std::mem::take(&mut plan.unfinished).into_iter().partition(|sum| sum.slice.is_some());
    let mut arrived = std::mem::take(&mut plan.on_their_way);
    gathered.extend(whole.iter().map(|sum| plan.tensors_by_share(&sum.parts)));
    if plan.shares.are_all_held() || gathered.is_empty() && sliced.is_empty() && arrived.is_empty() {
        return;
    }
    let dealt = |sum: &Unfinished| {
        let held = sum.parts[plan.shares.held.start];
        Dealt { parts: sum.parts.clone(), numbers: plan.count_of(held.into()) }
    };
    let dealt = sliced.iter().map(dealt).collect();
    if !arrived.is_empty() {
        plan.arrives();
    }
    plan.exchange(name, gathered, dealt);
    arrived.extend(whole);
    match is_last {
        true => arrived.extend(sliced),
        false => plan.on_their_way = sliced,
    }
    for sum in arrived {
        finish(plan, sum);
    }
}

/// The steps of a sum whose parts are all here.
fn finish(plan: &mut Plan, Unfinished { name, parts, slice }: Unfinished) {
    let steps = add_up(plan, &name, &parts, slice.as_ref());
    let tensors: Vec<Tensor> = parts.iter().map(|&part| plan.tensor(part).clone()).collect();
    let all = slice.unwrap_or(0..plan.count_of(parts[0].into()));
    let runs: Vec<Range<usize>> = (0..parts.len()).map(|share| in_part(plan, &all, share)).collect();
    let twin = move |values: &mut Values| {
        let part = |share: usize| run_of(&tensors[share], values.get(parts[share]), &runs[share]);
        let mut total = part(0);
        for share in 1..parts.len() {
            total.iter_mut().zip(part(share)).for_each(|(total, part)| *total += part);
        }
        let numbers = with_run(&tensors[0], values.get(parts[0]), 0, &total);
        values.set(parts[0], numbers);
    };
    plan.node(&format!("{name} sum"), steps, twin, of_sums);
}

/// The bound of a node that computes a rank's own parts: none. It is compared with its twin in the plan that holds all
/// shares, whose steps are the same.
pub fn none(_: &Given) -> Uncertainties {
    Uncertainties::new()
}
