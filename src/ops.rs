//! The operations. Each has a folder: `<op>.rs` states the problem and its cost, `<op>/gpu.rs` builds the steps that
//! run its kernels (`shaders/<op>/*.wgsl`), `<op>/cpu.rs` is the f64 twin of each kernel.
//!
//! [`Op`] is what a network, a plan and an exporter ask of an operation that can be a layer; [`Layer`] lists those.

pub mod adam;
pub mod augment;
pub mod bias;
pub mod columns;
pub mod gemm;
pub mod guard;
pub mod peak;
pub mod receipt;
pub mod softmax_cross_entropy;
pub mod sum;
pub mod winograd;

use serde::{Deserialize, Serialize};

use crate::image_size::ImageSize;
use crate::network::{Parameter, Start};
use crate::plan::TensorId;
use crate::plan::network::At;
use crate::shape::{Axis, Padding};

/// An operation that a layer can be. Shapes are of one image: `[height, width, channels]`, or `[channels]` once a global
/// pool has taken the positions away.
pub trait Op {
    /// What the layers of a network are named after, with a number: `conv`.
    fn stem(&self) -> &'static str;

    /// The class of Keras that it is.
    fn keras_class(&self) -> &'static str;

    /// How many inputs it takes.
    fn arity(&self) -> usize {
        1
    }

    /// The shape of its output. The error says what does not fit, without the layer's name.
    fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String>;

    /// Fills in what a template leaves open: `width` multiplies channel counts, `classes` is the number of outputs.
    fn settle(&mut self, _width: f64, _classes: usize) {}

    /// Its parameters and moving statistics in Keras's order and with Keras's names, from the shape of its first input.
    fn parameters(&self, _input: &[usize]) -> Vec<Parameter> {
        Vec::new()
    }

    /// Adds the steps that compute `at.y` from `at.x`.
    fn forward(&self, at: &mut At);

    /// Adds the steps of the gradients that `at` wants: of its parameters, and of its inputs, one tensor each, from the
    /// gradient `dy` of its output. The compiler sums those of a tensor that several layers take.
    fn backward(&self, at: &mut At, dy: TensorId) -> Vec<Option<TensorId>>;

    /// The operator that computes it in ONNX, from channels-first images.
    fn onnx(&self, inputs: &[&[usize]]) -> Onnx;
}

/// A problem that proves a layer: its kernels against their twins, and its twins against finite differences.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    pub layer: Layer,
    pub batch: usize,
    /// The shape of each input.
    pub inputs: Vec<Vec<usize>>,
}

impl Example {
    /// A layer that takes images of these shapes.
    pub fn new<const N: usize>(layer: impl Into<Layer>, batch: usize, inputs: &[[usize; N]]) -> Example {
        Example { layer: layer.into(), batch, inputs: inputs.iter().map(|shape| shape.to_vec()).collect() }
    }
}

/// An operator of ONNX (opset 13) with its attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Onnx {
    pub operator: &'static str,
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Whether its output still has axes of one position, to be taken away.
    pub flatten: bool,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Integer(usize),
    Integers(Vec<usize>),
    Float(f32),
}

impl Onnx {
    /// An operator without attributes.
    pub fn plain(operator: &'static str) -> Onnx {
        Onnx { operator, attributes: Vec::new(), flatten: false }
    }
}

/// Declares the modules of the operations that a layer can be, and lists them.
macro_rules! layers {
    ($($module:ident::$Op:ident,)*) => {
        $(pub mod $module;)*

        /// What a layer computes: the list of all operations that a layer can be. In a file, `type` names one.
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        pub enum Layer {
            $($Op($module::$Op),)*
        }

        $(impl From<$module::$Op> for Layer {
            fn from(op: $module::$Op) -> Layer {
                Layer::$Op(op)
            }
        })*

        /// The problems that prove each operation that a layer can be.
        pub fn examples() -> Vec<Example> {
            [$($module::examples(),)*].concat()
        }

        impl Layer {
            /// The names of all operations, as a file gives them.
            pub const TYPES: &'static [&'static str] = &[$(stringify!($module),)*];

            /// Its name among [`Layer::TYPES`].
            pub fn type_name(&self) -> &'static str {
                match self {
                    $(Layer::$Op(_) => stringify!($module),)*
                }
            }

            pub fn op(&self) -> &dyn Op {
                match self {
                    $(Layer::$Op(op) => op,)*
                }
            }

            fn op_mut(&mut self) -> &mut dyn Op {
                match self {
                    $(Layer::$Op(op) => op,)*
                }
            }
        }
    };
}

impl Layer {
    /// The layer with what a template leaves open filled in.
    pub fn settled(mut self, width: f64, classes: usize) -> Layer {
        self.op_mut().settle(width, classes);
        self
    }

    /// The shape of its output.
    ///
    /// # Errors
    /// What does not fit.
    pub fn output(&self, inputs: &[Vec<usize>]) -> Result<Vec<usize>, String> {
        self.op().output(&inputs.iter().map(|shape| &shape[..]).collect::<Vec<_>>())
    }
}

layers! {
    add::Add,
    average_pool::AveragePool,
    conv2d::Conv2d,
    batch_norm::BatchNorm,
    relu::Relu,
    max_pool::MaxPool,
    global_average_pool::GlobalAveragePool,
    dense::Dense,
}

/// Whether a file leaves a number open.
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A channel count multiplied by `width`: rounded, and at least 1.
fn scaled(channels: usize, width: f64) -> usize {
    ((channels as f64 * width).round() as usize).max(1)
}

/// A kernel of that shape, whose last axis is the outputs, and a bias.
fn weights(shape: &[usize]) -> Vec<Parameter> {
    let (&outputs, terms) = shape.split_last().expect("a kernel has axes");
    let fan_in = terms.iter().product();
    vec![
        Parameter::trained("kernel", shape, Start::HeNormal { fan_in }),
        Parameter::trained("bias", &[outputs], Start::Constant(0.0)),
    ]
}

/// Height and width of the output of a square window that slides over an image.
///
/// # Errors
/// No window fits; the side is named.
fn slide(image: ImageSize, window: usize, stride: usize, padding: Padding) -> Result<[usize; 2], String> {
    if window == 0 || stride == 0 {
        return Err(format!("a window of {window} with stride {stride}: both are at least 1"));
    }
    let along = |side: usize| Axis::new(side, window, stride, padding).output;
    if let Some((name, side)) = image.sides().into_iter().find(|&(_, side)| along(side) == 0) {
        return Err(format!("a window of {window} does not fit the {name} of its input, {side}"));
    }
    Ok([along(image.height), along(image.width)])
}

/// ONNX's attributes of a window that slides over images.
fn window_attributes(rows: &Axis, columns: &Axis) -> Vec<(&'static str, Attribute)> {
    let after = |axis: &Axis| ((axis.output - 1) * axis.stride + axis.kernel).saturating_sub(axis.input + axis.before);
    let pads = vec![rows.before, columns.before, after(rows), after(columns)];
    vec![
        ("kernel_shape", Attribute::Integers(vec![rows.kernel, columns.kernel])),
        ("strides", Attribute::Integers(vec![rows.stride, columns.stride])),
        ("pads", Attribute::Integers(pads)),
    ]
}

/// The only input of an operation that takes images.
///
/// # Errors
/// The input is a row of channels.
fn image(inputs: &[&[usize]]) -> Result<[usize; 3], String> {
    match *inputs[0] {
        [height, width, channels] => Ok([height, width, channels]),
        _ => Err(format!("takes images, not {} values without positions", inputs[0][0])),
    }
}

/// Every entry without its sign. Each matrix product here is linear in each argument, so a twin run on absolute values
/// returns the sum of `|a * b|` behind each output: what a bound on the rounding error of an f32 kernel is made of.
pub fn absolute(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.abs()).collect()
}

/// The square of every entry. A twin of a matrix product run on squares returns the sum of `(a * b)^2` behind each output:
/// what the expected rounding error of an f32 kernel is made of.
pub fn squares(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value * value).collect()
}

/// `out += factor * row`, the innermost loop of the twins' matrix products: contiguous, so the compiler vectorises it.
fn add_scaled(out: &mut [f64], factor: f64, row: &[f64]) {
    for (out, value) in out.iter_mut().zip(row) {
        *out += factor * value;
    }
}

/// Where an entry of a tensor of four axes lies in its flat slice (C order).
fn offset(shape: [usize; 4], index: [usize; 4]) -> usize {
    ((index[0] * shape[1] + index[1]) * shape[2] + index[2]) * shape[3] + index[3]
}

/// Number of entries of a tensor of four axes.
fn size(shape: [usize; 4]) -> usize {
    shape.iter().product()
}
