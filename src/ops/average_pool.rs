//! Average pooling (Keras `AveragePooling2D`): the mean over each window's pixels. Those of `same` padding do not count.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::op::{At, Attribute, Onnx, Op};
use super::pool::steps;
use super::{image, is_zero, slide, window_attributes};
use crate::engine::bound::{Given, Uncertainties, of_divided_sums};
use crate::engine::image_size::ImageSize;
use crate::engine::plan::{Plan, TensorId};
use crate::engine::shape::{Axis, Padding};
use crate::kernel;

pub use super::pool::Problem;

/// The layer: square windows of `window` pixels a side. `stride` 0, or left out in a file, means windows side by side,
/// Keras's default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
        let p = self.problem(at.images(), at.input(0));
        forward(at.plan, &at.name("forward"), p, at.x[0], at.y);
    }

    fn backward(&self, at: &mut At, dy: TensorId) -> Vec<Option<TensorId>> {
        let dx = at.input_gradient(0);
        if let Some(dx) = dx {
            let p = self.problem(at.images(), at.input(0));
            backward(at.plan, &at.name("backward"), p, dy, dx);
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

/// Adds the steps of `y` from `x`; shapes as `Problem` says.
pub fn forward(plan: &mut Plan, name: &str, p: Problem, x: TensorId, y: TensorId) {
    let pixels = p.rows.output * p.columns.output;
    let steps = steps(plan, name, kernel!("average_pool/forward"), p, pixels, &[("x", x), ("y", y)]);
    plan.node(name, steps, move |t| t.set(y, twin::forward(&p, t.get(x))), bound(p));
}

/// Adds the steps of `dx` from `dy`.
pub fn backward(plan: &mut Plan, name: &str, p: Problem, dy: TensorId, dx: TensorId) {
    let pixels = p.rows.input * p.columns.input;
    let steps = steps(plan, name, kernel!("average_pool/backward"), p, pixels, &[("grad_y", dy), ("grad_x", dx)]);
    plan.node(name, steps, move |t| t.set(dx, twin::backward(&p, t.get(dy))), bound(p));
}

/// The bound of either: sums over a window, divided by its pixels.
fn bound(p: Problem) -> impl Fn(&Given) -> Uncertainties {
    move |given| of_divided_sums(given, p.rows.kernel * p.columns.kernel)
}

pub mod twin {
    use super::Problem;
    use crate::engine::shape::Axis;
    use crate::ops::{offset, size};

    /// Positions of the image that window number `window` covers.
    fn inside(axis: &Axis, window: usize) -> std::ops::Range<usize> {
        let start = window * axis.stride;
        start.saturating_sub(axis.before)..(start + axis.kernel - axis.before).min(axis.input)
    }

    /// Calls `visit(output, input, pixels)` for each pixel of each window, with flat positions and the window's pixels.
    fn each_pixel(p: &Problem, mut visit: impl FnMut(usize, usize, f64)) {
        for image in 0..p.batch {
            for (oy, ox) in (0..p.rows.output).flat_map(|oy| (0..p.columns.output).map(move |ox| (oy, ox))) {
                let (rows, columns) = (inside(&p.rows, oy), inside(&p.columns, ox));
                let pixels = (rows.len() * columns.len()) as f64;
                for (iy, ix) in rows.flat_map(|iy| columns.clone().map(move |ix| (iy, ix))) {
                    for c in 0..p.channels {
                        let output = offset(p.output_shape(), [image, oy, ox, c]);
                        visit(output, offset(p.input_shape(), [image, iy, ix, c]), pixels);
                    }
                }
            }
        }
    }

    /// `y[n,oy,ox,c]` = the sum over the window of `x[n,iy,ix,c]`, divided by its pixels.
    pub fn forward(p: &Problem, x: &[f64]) -> Vec<f64> {
        assert_eq!(x.len(), size(p.input_shape()));
        let mut y = vec![0.0; size(p.output_shape())];
        each_pixel(p, |output, input, pixels| y[output] += x[input] / pixels);
        y
    }

    /// `dx[n,iy,ix,c]` = the sum over the windows that hold the pixel of `dy[n,oy,ox,c]`, each divided by its pixels.
    pub fn backward(p: &Problem, dy: &[f64]) -> Vec<f64> {
        assert_eq!(dy.len(), size(p.output_shape()));
        let mut dx = vec![0.0; size(p.input_shape())];
        each_pixel(p, |output, input, pixels| dx[input] += dy[output] / pixels);
        dx
    }
}

pub mod proof {
    use super::AveragePool;
    use crate::engine::shape::Padding;
    use crate::ops::case::Case;
    use crate::ops::{Example, alone};

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

    pub fn cases() -> Vec<Case> {
        examples().into_iter().map(alone::case).collect()
    }
}
