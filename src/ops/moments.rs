//! Moments of an activation (`shaders/lib/moments.wgsl`) that the kernel which writes it leaves for the batch norm that takes
//! it: count, mean and sum of squared deviations of each channel, block by block of rows. Every share of the batch has blocks of
//! its own, in the shares' order.

use crate::engine::plan::{Layout, Plan, TensorId};

/// A tensor for the moments of `y`: so many blocks of each share, `[blocks, (count, mean, m2), channels]`.
pub fn tensor(plan: &mut Plan, y: TensorId, blocks_of_share: usize) -> TensorId {
    let channels = *plan.tensor(y).shape.last().expect("an activation has channels");
    let (name, blocks) = (name(plan, y), blocks_of_share * plan.shares.count);
    plan.temporary(&name, &[blocks, 3, channels], Layout::Rows)
}

/// The moments of an activation, if what writes it leaves them.
pub fn find(plan: &Plan, x: TensorId) -> Option<TensorId> {
    plan.find(&name(plan, x))
}

fn name(plan: &Plan, activation: TensorId) -> String {
    format!("{}/moments", plan.tensor(activation).name)
}
