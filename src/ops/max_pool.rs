//! Max pooling with `valid` borders. Of equal maxima the first in row-major order takes the whole gradient.

pub mod cpu;
pub mod gpu;

use crate::shape::{Axis, Padding};

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
