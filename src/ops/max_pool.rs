//! Max pooling with `valid` borders. Of equal maxima the first in row-major order takes the whole gradient.

pub mod proof;
pub mod steps;
pub mod twin;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::pool::Problem;
use crate::engine::image_size::ImageSize;

use super::op::{At, Onnx, Op};
use super::{image, is_zero, slide, window_attributes};
use crate::engine::plan::TensorId;
use crate::engine::shape::Padding;

/// The layer: square windows of `window` pixels a side. `stride` 0, or left out in a file, means windows side by side,
/// Keras's default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
        let p = self.problem(at.images(), at.input(0));
        steps::forward(at.plan, &at.name("forward"), p, at.x[0], at.y);
    }

    fn backward(&self, at: &mut At, dy: TensorId) -> Vec<Option<TensorId>> {
        let dx = at.input_gradient(0);
        if let Some(dx) = dx {
            let p = self.problem(at.images(), at.input(0));
            steps::backward(at.plan, &at.name("backward"), p, at.x[0], dy, dx);
        }
        vec![dx]
    }

    fn onnx(&self, inputs: &[&[usize]]) -> Onnx {
        let p = self.problem(1, inputs[0]);
        Onnx { attributes: window_attributes(&p.rows, &p.columns), ..Onnx::plain("MaxPool") }
    }
}
