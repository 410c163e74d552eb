//! The operations, a chapter each: `<op>.rs` states the problem and its cost; `steps` builds the dispatches that run its kernels
//! (`shaders/<op>/*.wgsl`); `twin` computes the same in f64, plainly; `proof` has the cases that hold the kernels to it. Short
//! chapters are one file, long ones a folder.
//!
//! [`op::Op`] is what a network, a plan and an exporter ask of an operation that can be a layer; [`Layer`] lists those.

pub mod adam;
pub mod add;
pub mod alone;
pub mod augment;
pub mod average_pool;
pub mod batch_norm;
pub mod bias;
pub mod case;
pub mod clip;
pub mod columns;
pub mod conv2d;
pub mod dense;
pub mod epilogue;
pub mod global_average_pool;
pub mod guard;
pub mod max_pool;
pub mod moments;
pub mod op;
pub mod parts;
pub mod peak;
pub mod pool;
pub mod probe;
pub mod product;
pub mod receipt;
pub mod relu;
pub mod shares;
pub mod softmax_cross_entropy;
pub mod sum;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::image_size::ImageSize;
use crate::engine::shape::{Axis, Padding};
use crate::engine::variant::{Algorithm, Pass};
use case::Case;
use op::{Attribute, Op, Parameter, Start};

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

/// Lists all operations.
macro_rules! operations {
    (layers { $($module:ident::$Op:ident,)* } others { $($other:ident,)* }) => {
        /// Every case of every kernel.
        pub fn cases() -> Vec<Case> {
            [$($module::proof::cases(),)* $($other::proof::cases(),)*].into_iter().flatten().collect()
        }

        /// Operation of a layer: the list of all that a layer can be. In a file, `type` names one.
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
            [$($module::proof::examples(),)*].concat()
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

/// The cases of the kernels that convolve by an algorithm; direct convolution, of which all have a part or may have, shares
/// its matrix product with dense layers.
pub fn cases_of(algorithm: Algorithm) -> Vec<Case> {
    match algorithm.tile(Pass::DataGradient) {
        None => conv2d::proof::direct().into_iter().chain(dense::proof::cases()).collect(),
        Some(tile) => conv2d::winograd::proof::cases_of(tile),
    }
}

/// The cases of what a variant with fused statistics runs besides.
pub fn cases_of_fused_statistics() -> Vec<Case> {
    conv2d::proof::statistics_cases().into_iter().chain(conv2d::winograd::proof::statistics_cases()).collect()
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

operations! {
    layers {
        add::Add,
        average_pool::AveragePool,
        conv2d::Conv2d,
        batch_norm::BatchNorm,
        relu::Relu,
        max_pool::MaxPool,
        global_average_pool::GlobalAveragePool,
        dense::Dense,
    }
    others {
        adam,
        augment,
        bias,
        clip,
        guard,
        peak,
        probe,
        receipt,
        softmax_cross_entropy,
        sum,
    }
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
