//! Steps of clipping.

use super::{bound, twin};
use crate::engine::plan::{Layout, Plan, Step, TensorId};
use crate::engine::shader::Work;
use crate::engine::tensor::Values;
use crate::kernel;

/// Vec4s that each thread of `clip/squares.wgsl` adds up.
const ROUNDS: usize = 16;

/// Scales gradients, or all that lie in an arena, where they are, so that the root of the sum of all their squares is
/// `limit` at most.
pub fn clip(plan: &mut Plan, name: &str, gradients: &[TensorId], limit: f32) {
    let squares = kernel!("clip/squares");
    let per_part = ROUNDS * plan.target.shaders.threads(squares);
    let counts: Vec<usize> = gradients.iter().map(|&id| plan.bytes_of(id.into()) as usize / 16).collect();
    let parts: Vec<usize> = counts.iter().map(|count4| count4.div_ceil(per_part)).collect();
    let all: usize = parts.iter().sum();
    let partial = plan.temporary(&format!("{name}/partial"), &[all, 4], Layout::Packed);
    let factor = plan.temporary(&format!("{name}/factor"), &[4], Layout::Packed);

    let mut steps = Vec::new();
    let mut first = 0;
    for ((&gradient, &count4), &parts) in gradients.iter().zip(&counts).zip(&parts) {
        steps.push(Step {
            name: format!("{name} squares"),
            kernel: squares,
            constants: vec![("count4", count4.into()), ("first", first.into()), ("ROUNDS", ROUNDS.into())],
            bindings: vec![("gradient", gradient.into()), ("partial", partial.into())],
            work: Work::Groups(parts as u64),
            flops: 8 * count4 as u64,
        });
        first += parts;
    }
    steps.push(Step {
        name: format!("{name} factor"),
        kernel: kernel!("clip/factor"),
        constants: vec![("PARTS", all.into()), ("LIMIT", f64::from(limit).into())],
        bindings: vec![("partial", partial.into()), ("factor", factor.into())],
        work: Work::Groups(1),
        flops: all as u64,
    });
    for (&gradient, &count4) in gradients.iter().zip(&counts) {
        steps.push(Step {
            name: format!("{name} scale"),
            kernel: kernel!("clip/scale"),
            constants: vec![("count4", count4.into())],
            bindings: vec![("factor", factor.into()), ("gradient", gradient.into())],
            work: Work::threads(count4),
            flops: 4 * count4 as u64,
        });
    }
    let each: Vec<TensorId> = gradients.iter().flat_map(|&id| plan.held_by(id)).collect();
    let ids = each.clone();
    let twin = move |values: &mut Values| {
        let mut taken: Vec<Vec<f64>> = ids.iter().map(|&id| values.take(id)).collect();
        twin::clip(&mut taken, f64::from(limit));
        ids.iter().zip(taken).for_each(|(&id, numbers)| values.set(id, numbers));
    };
    plan.node(name, steps, twin, move |given| bound::clip(given, &each, f64::from(limit)));
}
