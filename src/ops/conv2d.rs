//! 2-D convolution (cross-correlation, no kernel flip) of NHWC images with HWIO kernels, plus bias.

pub mod cpu;
pub mod gpu;

use crate::plan::Window;
use crate::shape::{Axis, Padding};

/// One convolution: `x [batch, height, width, cin]`, `w [kernel_h, kernel_w, cin, cout]`, `bias [cout]`,
/// `y [batch, rows.output, columns.output, cout]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub rows: Axis,
    pub columns: Axis,
    pub cin: usize,
    pub cout: usize,
}

impl Problem {
    /// `input` is `[batch, height, width, cin]`; `kernel` and `stride` are `[rows, columns]`.
    pub fn new(input: [usize; 4], cout: usize, kernel: [usize; 2], stride: [usize; 2], padding: Padding) -> Problem {
        let [batch, height, width, cin] = input;
        Problem {
            batch,
            rows: Axis::new(height, kernel[0], stride[0], padding),
            columns: Axis::new(width, kernel[1], stride[1], padding),
            cin,
            cout,
        }
    }

    pub fn input_shape(&self) -> [usize; 4] {
        [self.batch, self.rows.input, self.columns.input, self.cin]
    }

    pub fn output_shape(&self) -> [usize; 4] {
        [self.batch, self.rows.output, self.columns.output, self.cout]
    }

    pub fn weight_shape(&self) -> [usize; 4] {
        [self.rows.kernel, self.columns.kernel, self.cin, self.cout]
    }

    /// The same for the images of one window of the batch.
    pub fn of(&self, window: &Window) -> Problem {
        Problem { batch: window.images, ..*self }
    }

    pub fn taps(&self) -> usize {
        self.rows.kernel * self.columns.kernel
    }

    pub fn input_pixels(&self) -> usize {
        self.batch * self.rows.input * self.columns.input
    }

    pub fn output_pixels(&self) -> usize {
        self.batch * self.rows.output * self.columns.output
    }

    /// Floating-point operations of one pass (forward, data gradient or weight gradient), two per multiply-add,
    /// counting the products with padded zeros as direct convolution does.
    pub fn flops(&self) -> u64 {
        2 * (self.output_pixels() * self.cout) as u64 * (self.taps() * self.cin) as u64
    }
}
