//! Parts that pools share: their geometry, and steps with a thread for each vec4.

use crate::engine::plan::{Plan, Step, TensorId, Window};
use crate::engine::shader::{Kernel, Work};
use crate::engine::shape::{Axis, Padding, padded};

/// `x [batch, height, width, channels]` to `y [batch, rows.output, columns.output, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub rows: Axis,
    pub columns: Axis,
    pub channels: usize,
}

impl Problem {
    /// `input` is `[batch, height, width, channels]`; `window` and `stride` are `[rows, columns]`.
    pub fn new(input: [usize; 4], window: [usize; 2], stride: [usize; 2]) -> Problem {
        let [batch, height, width, channels] = input;
        Problem {
            batch,
            rows: Axis::new(height, window[0], stride[0], Padding::Valid),
            columns: Axis::new(width, window[1], stride[1], Padding::Valid),
            channels,
        }
    }

    pub fn input_shape(&self) -> [usize; 4] {
        [self.batch, self.rows.input, self.columns.input, self.channels]
    }

    pub fn output_shape(&self) -> [usize; 4] {
        [self.batch, self.rows.output, self.columns.output, self.channels]
    }
}

/// Steps of any pool: one thread for each vec4 of `pixels` pixels per image.
pub fn steps(
    plan: &Plan,
    name: &str,
    kernel: Kernel,
    p: Problem,
    pixels: usize,
    tensors: &[(&'static str, TensorId)],
) -> Vec<Step> {
    let channels4 = padded(p.channels) / 4;
    let step = |window: &Window| Step {
        name: name.into(),
        kernel,
        constants: vec![
            ("HEIGHT", p.rows.input.into()),
            ("WIDTH", p.columns.input.into()),
            ("CHANNELS4", channels4.into()),
            ("OUT_HEIGHT", p.rows.output.into()),
            ("OUT_WIDTH", p.columns.output.into()),
            ("WINDOW_HEIGHT", p.rows.kernel.into()),
            ("WINDOW_WIDTH", p.columns.kernel.into()),
            ("STRIDE_Y", p.rows.stride.into()),
            ("STRIDE_X", p.columns.stride.into()),
            ("PAD_Y", p.rows.before.into()),
            ("PAD_X", p.columns.before.into()),
        ],
        bindings: tensors.iter().map(|&(name, tensor)| (name, tensor.window(window))).collect(),
        work: Work::each(window.images * pixels * channels4),
        flops: (window.images * pixels * p.rows.kernel * p.columns.kernel * p.channels) as u64,
    };
    plan.windows.iter().map(step).collect()
}
