//! 2-D convolution (cross-correlation, no kernel flip) of NHWC images with HWIO kernels, plus bias.

pub mod proof;
pub mod steps;
pub mod twin;
pub mod winograd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::op::{At, Onnx, Op, Parameter};
use super::{image, scaled, slide, weights, window_attributes};
use crate::engine::image_size::ImageSize;
use crate::engine::plan::{Target, TensorId, Window};
use crate::engine::shape::{Axis, Padding};
use crate::engine::variant::{Algorithm, Core, Pass, Tile};
use crate::ops::product::LEAST_UNITS;

/// The layer: `filters` square kernels of `kernel` pixels a side, and a bias.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    pub filters: usize,
    pub kernel: usize,
    #[serde(default = "one")]
    pub stride: usize,
    #[serde(default)]
    pub padding: Padding,
}

fn one() -> usize {
    1
}

impl Conv2d {
    /// One convolution of a batch of images.
    pub fn problem(&self, batch: usize, input: &[usize]) -> Problem {
        let input = [batch, input[0], input[1], input[2]];
        Problem::new(input, self.filters, [self.kernel; 2], [self.stride; 2], self.padding)
    }
}

impl Op for Conv2d {
    fn stem(&self) -> &'static str {
        "conv"
    }

    fn keras_class(&self) -> &'static str {
        "Conv2D"
    }

    fn settle(&mut self, width: f64, _classes: usize) {
        self.filters = scaled(self.filters, width);
    }

    fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let [height, width, _] = image(inputs)?;
        let [rows, columns] = slide(ImageSize { height, width }, self.kernel, self.stride, self.padding)?;
        Ok(vec![rows, columns, self.filters])
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        weights(&[self.kernel, self.kernel, input[2], self.filters])
    }

    fn forward(&self, at: &mut At) {
        let p = self.problem(at.images(), at.input(0));
        let (w, bias) = (at.parameter("kernel"), at.parameter("bias"));
        let moments = at.training && at.before_batch_norm && at.plan.target.variant.fused_statistics;
        let tensors = steps::Forward { x: at.x[0], w, bias, y: at.y, moments };
        steps::forward(at.plan, &at.name("forward"), p, tensors);
    }

    fn backward(&self, at: &mut At, dy: TensorId) -> Vec<Option<TensorId>> {
        let p = self.problem(at.images(), at.input(0));
        let dx = at.input_gradient(0);
        let (w, dw) = (at.parameter("kernel"), (!at.frozen).then(|| at.gradient("kernel")));
        steps::backward(at.plan, at.layer, p, steps::Backward { x: at.x[0], dy, w, dw, dx });
        if !at.before_batch_norm && !at.frozen {
            at.bias_gradient(p.rows.output * p.columns.output, dy);
        }
        vec![dx]
    }

    fn onnx(&self, inputs: &[&[usize]]) -> Onnx {
        let p = self.problem(1, inputs[0]);
        Onnx { attributes: window_attributes(&p.rows, &p.columns), ..Onnx::plain("Conv") }
    }
}

/// Cost of a multiply-add of Winograd's products: the unit is a tenth of it.
const TILED_COST: u64 = 10;

/// Costs of all other work.
struct Costs {
    /// A multiply-add of direct convolution, where numbers are looked for in images.
    direct: u64,
    /// A multiply-add of the direct weight gradient, whose sums are short rows of images.
    direct_weights: u64,
    /// A transformed number of a factor: it is written once, and read by a product.
    factor: u64,
    /// One of a product's results, which is transformed back.
    result: u64,
}

/// For subgroups, from each layer's time by each algorithm on lavapipe (docs/dropped.md). For GPUs an estimate: moving the 8
/// bytes of a number there and back takes as long as some 40 to 150 multiply-adds.
fn costs(core: Core) -> Costs {
    match core {
        Core::Subgroup { .. } => Costs { direct: 12, direct_weights: 14, factor: 1000, result: 600 },
        // Matrix units multiply several times as fast, and tiles are not for them: their transforms multiply the error of halves.
        Core::Cooperative(_) => Costs { direct: 2, direct_weights: 2, factor: 400, result: 1500 },
        Core::Workgroup { .. } => Costs { direct: 10, direct_weights: 10, factor: 400, result: 1500 },
    }
}

/// An 8 x 8 image spends a sixth of its 3 x 3 taps on the zeros around it, a 16 x 16 image a twelfth.
const MOST_POSITIONS: usize = 64;
/// With fewer images, a tile of rows spans so many positions that hardly any tap can be left out.
const LEAST_IMAGES: usize = 8;

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

    /// The problem for the images of one window of the batch.
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

    /// Key that tells the convolutions of a network apart, whatever the batch.
    pub fn geometry(&self) -> String {
        let [_, height, width, cin] = self.input_shape();
        let [_, out_height, out_width, cout] = self.output_shape();
        let (kernel_h, kernel_w) = (self.rows.kernel, self.columns.kernel);
        format!("{kernel_h} x {kernel_w}, {height} x {width} x {cin} to {out_height} x {out_width} x {cout}")
    }

    /// Small images waste many products on the zeros around them; with enough of them side by side, whole tiles can leave
    /// those out. Large images waste few, and are read best row by row.
    pub fn images_innermost(&self) -> bool {
        let positions = self.rows.input.max(self.rows.output) * self.columns.input.max(self.columns.output);
        positions <= MOST_POSITIONS && self.batch >= LEAST_IMAGES
    }

    /// The cheapest way to compute all passes, or the one that the target asks for, if it can.
    pub fn algorithm(&self, target: &Target) -> Algorithm {
        let units = target.variant.matrix_units.filter(|_| self.cin.min(self.cout) >= LEAST_UNITS);
        let core = units.map_or(target.variant.core, Core::Cooperative);
        match target.variant.convolutions.of(&self.geometry()) {
            Some(wanted) => self.cheapest(&[wanted], core),
            None => self.cheapest(&Algorithm::ALL, core),
        }
    }

    /// The cheapest of these algorithms; direct, if no other can compute it.
    pub fn cheapest(&self, among: &[Algorithm], core: Core) -> Algorithm {
        let costs = among.iter().filter_map(|&algorithm| Some((self.cost(algorithm, core)?, algorithm)));
        costs.min_by_key(|(cost, _)| *cost).map_or(Algorithm::Direct, |(_, algorithm)| algorithm)
    }

    /// Whether an algorithm can compute it.
    pub fn allows(&self, algorithm: Algorithm) -> bool {
        algorithm.tile(Pass::DataGradient).is_none_or(|tile| winograd::Problem::new(self, tile).is_some())
    }

    /// Cost of all passes with that core, in tenths of a multiply-add; `None` where the algorithm
    /// cannot compute them.
    pub fn cost(&self, algorithm: Algorithm, core: Core) -> Option<u64> {
        let costs = costs(core);
        let [forward, data, weight] =
            [Pass::Forward, Pass::DataGradient, Pass::WeightGradient].map(|pass| algorithm.tile(pass));
        let untiled = |tile: Option<Tile>, cost: u64| if tile.is_none() { cost * self.products() } else { 0 };
        let direct =
            untiled(forward, costs.direct) + untiled(data, costs.direct) + untiled(weight, costs.direct_weights);
        let Some(tile) = forward.or(data).or(weight) else { return Some(direct) };
        let p = winograd::Problem::new(self, tile)?;
        let [input, output, weights] = p.transformed(self.batch);
        let if_any = |tiles: &[Option<Tile>], numbers: u64| if tiles.iter().any(Option::is_some) { numbers } else { 0 };
        let products = [forward, data, weight].iter().flatten().count() as u64 * p.products(self.batch);
        let factors = if_any(&[forward], input)
            + if_any(&[weight], input)
            + if_any(&[data, weight], output)
            + if_any(&[forward, data], weights);
        let results = if_any(&[forward], output) + if_any(&[data], input) + if_any(&[weight], weights);
        Some(direct + TILED_COST * products + costs.factor * factors + costs.result * results)
    }

    /// Multiply-adds of one pass of direct convolution, without the taps that are left out.
    fn products(&self) -> u64 {
        let taps = |axis: &Axis| match self.images_innermost() {
            true => (0..axis.output).map(|output| axis.taps_inside(output)).sum::<usize>(),
            false => axis.output * axis.kernel,
        };
        (self.batch * taps(&self.rows) * taps(&self.columns)) as u64 * (self.cin * self.cout) as u64
    }

    /// Floating-point operations of one pass (forward, data gradient or weight gradient), two per multiply-add,
    /// counting the products with padded zeros as direct convolution does.
    pub fn flops(&self) -> u64 {
        2 * (self.output_pixels() * self.cout) as u64 * (self.taps() * self.cin) as u64
    }
}
