//! Host side of `shaders/transpose/forward.wgsl`: weights turned round for the data gradients.

use crate::gpu::kernel::GRID;
use crate::kernel;
use crate::plan::{Step, View};
use crate::shape::padded;

/// `x [stack, rows, columns]` to `y [stack, columns, rows]`, both with both inner axes padded.
pub fn forward(name: &str, stack: usize, rows: usize, columns: usize, x: View, y: View) -> Step {
    let (rows4, columns4) = (padded(rows) / 4, padded(columns) / 4);
    Step {
        name: format!("{name} transpose"),
        kernel: kernel!("transpose/forward"),
        libraries: vec![GRID],
        constants: vec![("STACK", stack.into()), ("ROWS4", rows4.into()), ("COLUMNS4", columns4.into())],
        bindings: vec![("x", x), ("y", y)],
        groups: ((stack * rows4 * columns4) as u64).div_ceil(64),
        flops: 0,
    }
}
