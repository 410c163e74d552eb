//! Max pooling with `valid` borders. Of equal maxima the first in row-major order takes the whole gradient.

pub mod cpu;
pub mod gpu;

use serde::{Deserialize, Serialize};

use super::{Example, Onnx, Op, image, is_zero, slide, window_attributes};
use crate::image_size::ImageSize;
use crate::plan::TensorId;
use crate::plan::network::At;
use crate::shape::{Axis, Padding};

/// The layer: square windows of `window` pixels a side. `stride` 0, or left out in a file, means windows side by side,
/// Keras's default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool {
    pub window: usize,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stride: usize,
}

impl MaxPool {
    /// One pool of a batch of images.
    pub fn problem(&self, batch: usize, input: &[usize]) -> Problem {
        Problem::new([batch, input[0], input[1], input[2]], [self.window; 2], [self.stride; 2])
    }
}

impl Op for MaxPool {
    fn stem(&self) -> &'static str {
        "pool"
    }

    fn keras_class(&self) -> &'static str {
        "MaxPooling2D"
    }

    fn settle(&mut self, _width: f64, _classes: usize) {
        self.stride = if self.stride == 0 { self.window } else { self.stride };
    }

    fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let [height, width, channels] = image(inputs)?;
        let [rows, columns] = slide(ImageSize { height, width }, self.window, self.stride, Padding::Valid)?;
        Ok(vec![rows, columns, channels])
    }

    fn forward(&self, at: &mut At) {
        let p = self.problem(at.batch(), at.input(0));
        gpu::forward(at.plan, &at.name("forward"), p, at.x[0], at.y);
    }

    fn backward(&self, at: &mut At, dy: TensorId) -> Vec<Option<TensorId>> {
        let dx = at.input_gradient(0);
        if let Some(dx) = dx {
            let p = self.problem(at.batch(), at.input(0));
            gpu::backward(at.plan, &at.name("backward"), p, at.x[0], dy, dx);
        }
        vec![dx]
    }

    fn onnx(&self, inputs: &[&[usize]]) -> Onnx {
        let p = self.problem(1, inputs[0]);
        Onnx { attributes: window_attributes(&p.rows, &p.columns), ..Onnx::plain("MaxPool") }
    }
}

/// Problems that prove it: a last row and column that no window takes, windows that overlap, gaps between windows.
pub fn examples() -> Vec<Example> {
    let pool = |batch, image, window, stride| Example::new(MaxPool { window, stride }, batch, &[image]);
    vec![pool(2, [6, 4, 3], 2, 2), pool(1, [7, 5, 2], 2, 2), pool(2, [9, 8, 1], 3, 2), pool(1, [8, 9, 3], 2, 3)]
}

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
