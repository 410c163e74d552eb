//! Host side of `shaders/sum/merge.wgsl`: partial sums added up in a fixed order.

pub mod proof;

use crate::engine::plan::{Step, View};
use crate::engine::shader::Work;
use crate::kernel;

/// `parts` runs of `stride` numbers each; the total is over numbers `offset .. offset + count` of every run. All are
/// stored sizes, multiples of four.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    pub parts: usize,
    pub stride: usize,
    pub offset: usize,
    pub count: usize,
}

/// `total[i] = sum over p of partial[p * stride + offset + i]`.
pub fn merge(name: &str, parts: Parts, partial: View, total: View) -> Step {
    step(format!("{name} merge"), parts, false, partial, total)
}

/// Adds the sum to the values of `total`.
pub fn add(name: &str, parts: Parts, partial: View, total: View) -> Step {
    step(format!("{name} add"), parts, true, partial, total)
}

fn step(name: String, parts: Parts, onto_total: bool, partial: View, total: View) -> Step {
    Step {
        name,
        kernel: kernel!("sum/merge"),
        constants: vec![
            ("parts", parts.parts.into()),
            ("stride4", (parts.stride / 4).into()),
            ("offset4", (parts.offset / 4).into()),
            ("count4", (parts.count / 4).into()),
            ("ONTO_TOTAL", onto_total.into()),
        ],
        bindings: vec![("partial", partial), ("total", total)],
        work: Work::threads(parts.count / 4),
        flops: (parts.parts * parts.count) as u64,
    }
}
