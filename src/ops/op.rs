//! Interface of an operation that can be a layer, for networks, plans and exporters.

use super::bias;
use super::epilogue::Epilogue;
use crate::engine::plan::{Layout, Plan, TensorId, names};

/// An operation that a layer can be. Shapes are of one image: `[height, width, channels]`, or `[channels]` once a global
/// pool has taken the positions away.
pub trait Op {
    /// Stem of the names of such layers, to which a number is added: `conv`.
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

/// A layer's part of the plan while it is added: its tensors, and what it has to know of its neighbours.
pub struct At<'b> {
    pub plan: &'b mut Plan,
    pub training: bool,
    /// Inputs and output.
    pub x: Vec<TensorId>,
    pub y: TensorId,
    /// Following layers that a batch norm computes in its pass.
    pub epilogue: Epilogue,
    /// A batch norm that is not frozen alone takes the output. It subtracts whatever a bias adds: the bias has no gradient.
    pub before_batch_norm: bool,
    /// The layer's name.
    pub layer: &'b str,
    pub op: &'b dyn Op,
    /// The shapes of one image of each input and of the output.
    pub inputs: &'b [Vec<usize>],
    pub output: &'b [usize],
    /// Training leaves the layer's parameters as they are: it has no gradients of them.
    pub frozen: bool,
    /// The steps compute once more what was not kept.
    pub again: bool,
    /// Which inputs something needs the gradient of.
    pub wanted: Vec<bool>,
    pub gradients: &'b mut Vec<Gradient>,
}

/// A parameter and its gradient.
pub struct Gradient {
    pub parameter: String,
    pub shape: Vec<usize>,
    pub tensor: TensorId,
}

/// The parameters of a layer, named `LAYER.PARAMETER`.
pub fn parameters_of(layer: &str, op: &dyn Op, input: &[usize]) -> Vec<Parameter> {
    let of_layer = |parameter: Parameter| Parameter { name: format!("{layer}.{}", parameter.name), ..parameter };
    op.parameters(input).into_iter().map(of_layer).collect()
}

impl<'b> At<'b> {
    /// A name for steps: the layer's and what they do.
    pub fn name(&self, what: &str) -> String {
        format!("{} {}", self.layer, if self.again { "again" } else { what })
    }

    /// Images of the whole batch, as of a tensor whose images have no positions.
    pub fn batch(&self) -> usize {
        self.plan.batch
    }

    /// Images that the plan holds, as of a tensor that is cut into windows.
    pub fn images(&self) -> usize {
        self.plan.images()
    }

    /// The shape of one image of an input.
    pub fn input(&self, index: usize) -> &[usize] {
        &self.inputs[index]
    }

    /// Positions and channels of the first input, for layers that do not care how the positions lie.
    pub fn positions_and_channels(&self) -> (usize, usize) {
        let (channels, positions) = self.input(0).split_last().expect("a shape has axes");
        (positions.iter().product(), *channels)
    }

    /// The tensor of a parameter, made at its first use.
    pub fn parameter(&mut self, name: &str) -> TensorId {
        let (name, shape) = self.named(name);
        self.plan.find(&name).unwrap_or_else(|| self.plan.persistent(&name, &shape, layout_of(&shape)))
    }

    /// A tensor for the gradient of a parameter, which Adam will take.
    pub fn gradient(&mut self, name: &str) -> TensorId {
        let (parameter, shape) = self.named(name);
        let tensor = self.plan.temporary(&names::gradient(&parameter), &shape, layout_of(&shape));
        self.gradients.push(Gradient { parameter, shape, tensor });
        tensor
    }

    /// Adds the gradient of the bias: the sum of `dy` over the batch and `positions`.
    pub fn bias_gradient(&mut self, positions: usize, dy: TensorId) {
        let channels = *self.output.last().expect("a shape has axes");
        let batch = if self.plan.tensor(dy).windowed { self.images() } else { self.batch() };
        let p = bias::Problem { batch, positions, channels };
        let db = self.gradient("bias");
        bias::steps::gradient(self.plan, &self.name("bias gradient"), p, dy, db);
    }

    /// A tensor for the gradient of an input, if something needs it: nothing needs that of the photographs.
    pub fn input_gradient(&mut self, index: usize) -> Option<TensorId> {
        self.wanted[index].then(|| self.input_gradient_always(index))
    }

    /// A tensor for the gradient of an input, for a layer whose other gradients are made of it.
    pub fn input_gradient_always(&mut self, index: usize) -> TensorId {
        let of = if self.wanted.len() > 1 { format!("input {}", index + 1) } else { "input".into() };
        let (name, shape) = (format!("gradient/{} {of}", self.layer), self.input(index).to_vec());
        activation(self.plan, &name, &shape)
    }

    fn named(&self, suffix: &str) -> (String, Vec<usize>) {
        let name = format!("{}.{suffix}", self.layer);
        let parameter =
            parameters_of(self.layer, self.op, self.input(0)).into_iter().find(|parameter| parameter.name == name);
        let parameter = parameter.unwrap_or_else(|| panic!("{} has no {suffix}", self.layer));
        (name, parameter.shape)
    }
}

/// A tensor of whole numbers per image: cut into windows where an image has positions, whole where it has none.
pub fn activation(plan: &mut Plan, name: &str, shape: &[usize]) -> TensorId {
    let of = |images: usize| [&[images], shape].concat();
    match shape.len() {
        1 => plan.temporary(name, &of(plan.batch), Layout::Rows),
        _ => plan.activation(name, &of(plan.images())),
    }
}

/// Kernels are matrices of channels by channels; everything else is a row of channels.
pub fn layout_of(shape: &[usize]) -> Layout {
    if shape.len() > 1 { Layout::Matrix } else { Layout::Rows }
}

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// Keras's `he_normal`, with this fan-in.
    HeNormal {
        fan_in: usize,
    },
    Constant(f32),
}

/// A parameter or a moving statistic, as Keras names and shapes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
    pub start: Start,
    /// Adam updates it; the moving statistics it does not.
    pub trainable: bool,
}

impl Parameter {
    /// A parameter that Adam updates.
    pub fn trained(name: &str, shape: &[usize], start: Start) -> Parameter {
        Parameter { name: name.into(), shape: shape.into(), start, trainable: true }
    }

    /// Values in it.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
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
