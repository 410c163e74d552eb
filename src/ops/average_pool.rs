//! Average pooling (Keras `AveragePooling2D`): the mean over each window's pixels. Those of `same` padding do not count.

pub mod cpu;
pub mod gpu;

use serde::{Deserialize, Serialize};

use super::{Attribute, Example, Onnx, Op, image, is_zero, slide, window_attributes};
pub use super::max_pool::Problem;
use crate::image_size::ImageSize;
use crate::plan::TensorId;
use crate::plan::network::At;
use crate::shape::{Axis, Padding};

/// The layer: square windows of `window` pixels a side. `stride` 0, or left out in a file, means windows side by side,
/// Keras's default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AveragePool {
    pub window: usize,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stride: usize,
    /// Keras's default; `same` is the other.
    #[serde(default = "valid")]
    pub padding: Padding,
}

fn valid() -> Padding {
    Padding::Valid
}

impl AveragePool {
    /// One pool of a batch of images.
    pub fn problem(&self, batch: usize, input: &[usize]) -> Problem {
        let axis = |input| Axis::new(input, self.window, self.stride, self.padding);
        Problem { batch, rows: axis(input[0]), columns: axis(input[1]), channels: input[2] }
    }
}

impl Op for AveragePool {
    fn stem(&self) -> &'static str {
        "avgpool"
    }

    fn keras_class(&self) -> &'static str {
        "AveragePooling2D"
    }

    fn settle(&mut self, _width: f64, _classes: usize) {
        self.stride = if self.stride == 0 { self.window } else { self.stride };
    }

    fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let [height, width, channels] = image(inputs)?;
        let [rows, columns] = slide(ImageSize { height, width }, self.window, self.stride, self.padding)?;
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
            gpu::backward(at.plan, &at.name("backward"), p, dy, dx);
        }
        vec![dx]
    }

    fn onnx(&self, inputs: &[&[usize]]) -> Onnx {
        let p = self.problem(1, inputs[0]);
        let mut attributes = window_attributes(&p.rows, &p.columns);
        attributes.push(("count_include_pad", Attribute::Integer(0)));
        Onnx { attributes, ..Onnx::plain("AveragePool") }
    }
}

/// Problems that prove it: a last row and column that no window takes, padding on either side, windows that overlap, gaps
/// between windows, an image smaller than its window.
pub fn examples() -> Vec<Example> {
    let pool = |batch, image, window, stride, padding| {
        Example::new(AveragePool { window, stride, padding }, batch, &[image])
    };
    vec![
        pool(1, [2, 2, 1], 2, 2, Padding::Valid),
        pool(5, [7, 9, 3], 2, 2, Padding::Valid),
        pool(5, [7, 9, 3], 2, 2, Padding::Same),
        pool(2, [9, 8, 5], 3, 2, Padding::Same),
        pool(3, [6, 11, 33], 4, 3, Padding::Same),
        pool(2, [8, 7, 4], 2, 3, Padding::Valid),
        pool(2, [2, 3, 5], 5, 1, Padding::Same),
    ]
}
