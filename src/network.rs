//! The network as a list of layers.

mod summary;

use crate::shape::{Axis, Padding};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layer {
    /// 3x3, stride 1, `same`, with a bias, in the tutorial; any size here.
    Conv2d {
        filters: usize,
        kernel: usize,
        stride: usize,
        padding: Padding,
    },
    BatchNorm,
    Relu,
    MaxPool {
        window: usize,
        stride: usize,
    },
    GlobalAveragePool,
    /// Linear: the tutorial has no activation between its dense layers.
    Dense {
        units: usize,
    },
}

/// A layer with its name (Keras-like: `conv1`, `bn1`, `dense2`) and the shapes of one image on both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    pub name: String,
    pub layer: Layer,
    pub input: Vec<usize>,
    pub output: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub image_size: usize,
    pub classes: usize,
    pub layers: Vec<Placed>,
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

/// Channels of the tutorial's eight convolutions at width 1.
const FILTERS: [usize; 8] = [32, 64, 128, 256, 512, 512, 1024, 1024];
/// A 2x2 max pool follows these of them.
const POOLED: [bool; 8] = [true, true, true, true, false, true, false, false];
/// Units of the first dense layer at width 1.
const UNITS: usize = 256;

/// The tutorial's network: eight times convolution, batch norm and ReLU, five max pools, a global average pool and two
/// dense layers. `width` scales every channel count but the classes.
pub fn tutorial(image_size: usize, width: f64, classes: usize) -> Network {
    let scaled = |channels: usize| ((channels as f64 * width).round() as usize).max(1);
    let mut layers = Vec::new();
    for (filters, pooled) in FILTERS.into_iter().zip(POOLED) {
        layers.push(Layer::Conv2d { filters: scaled(filters), kernel: 3, stride: 1, padding: Padding::Same });
        layers.push(Layer::BatchNorm);
        layers.push(Layer::Relu);
        if pooled {
            layers.push(Layer::MaxPool { window: 2, stride: 2 });
        }
    }
    layers.push(Layer::GlobalAveragePool);
    layers.push(Layer::Dense { units: scaled(UNITS) });
    layers.push(Layer::Dense { units: classes });
    Network::new(image_size, &layers)
}

impl Network {
    /// Names the layers and works out their shapes, from square RGB images (32 pixels or more for the tutorial's five
    /// pools).
    pub fn new(image_size: usize, layers: &[Layer]) -> Network {
        let mut shape = vec![image_size, image_size, 3];
        let mut placed: Vec<Placed> = Vec::new();
        for layer in layers {
            let kind = layer.kind();
            let number = 1 + placed.iter().filter(|earlier| earlier.layer.kind() == kind).count();
            let output = layer.output(&shape);
            placed.push(Placed {
                name: format!("{kind}{number}"),
                layer: *layer,
                input: shape,
                output: output.clone(),
            });
            shape = output;
        }
        Network { image_size, classes: *shape.last().expect("a shape has axes"), layers: placed }
    }

    /// Every parameter and moving statistic, in Keras's order.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.layers.iter().flat_map(Placed::parameters).collect()
    }
}

impl Layer {
    fn kind(&self) -> &'static str {
        match self {
            Layer::Conv2d { .. } => "conv",
            Layer::BatchNorm => "bn",
            Layer::Relu => "relu",
            Layer::MaxPool { .. } => "pool",
            Layer::GlobalAveragePool => "gap",
            Layer::Dense { .. } => "dense",
        }
    }

    /// The class of Keras that it is.
    fn keras_class(&self) -> &'static str {
        match self {
            Layer::Conv2d { .. } => "Conv2D",
            Layer::BatchNorm => "BatchNormalization",
            Layer::Relu => "ReLU",
            Layer::MaxPool { .. } => "MaxPooling2D",
            Layer::GlobalAveragePool => "GlobalAveragePooling2D",
            Layer::Dense { .. } => "Dense",
        }
    }

    fn output(&self, input: &[usize]) -> Vec<usize> {
        let slide = |kernel, stride, padding| {
            let size = |axis: usize| Axis::new(input[axis], kernel, stride, padding).output;
            [size(0), size(1)]
        };
        match *self {
            Layer::Conv2d { filters, kernel, stride, padding } => {
                [&slide(kernel, stride, padding)[..], &[filters]].concat()
            }
            Layer::MaxPool { window, stride } => [&slide(window, stride, Padding::Valid)[..], &input[2..]].concat(),
            Layer::BatchNorm | Layer::Relu => input.to_vec(),
            Layer::GlobalAveragePool => input[2..].to_vec(),
            Layer::Dense { units } => vec![units],
        }
    }
}

impl Parameter {
    /// Numbers in it.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Placed {
    /// Positions and channels of the input, for layers that do not care how the positions lie.
    pub fn positions_and_channels(&self) -> (usize, usize) {
        let (channels, positions) = self.input.split_last().expect("a shape has axes");
        (positions.iter().product(), *channels)
    }

    pub fn parameters(&self) -> Vec<Parameter> {
        let parameter = |suffix: &str, shape: &[usize], start, trainable| Parameter {
            name: format!("{}.{suffix}", self.name),
            shape: shape.to_vec(),
            start,
            trainable,
        };
        let channels = *self.input.last().expect("a shape has axes");
        let outputs = *self.output.last().expect("a shape has axes");
        let weights = |shape: &[usize]| {
            let fan_in = shape[..shape.len() - 1].iter().product();
            vec![
                parameter("kernel", shape, Start::HeNormal { fan_in }, true),
                parameter("bias", &[outputs], Start::Constant(0.0), true),
            ]
        };
        match self.layer {
            Layer::Conv2d { kernel, .. } => weights(&[kernel, kernel, channels, outputs]),
            Layer::Dense { .. } => weights(&[channels, outputs]),
            Layer::BatchNorm => vec![
                parameter("gamma", &[channels], Start::Constant(1.0), true),
                parameter("beta", &[channels], Start::Constant(0.0), true),
                parameter("moving_mean", &[channels], Start::Constant(0.0), false),
                parameter("moving_variance", &[channels], Start::Constant(1.0), false),
            ],
            Layer::Relu | Layer::MaxPool { .. } | Layer::GlobalAveragePool => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(parameters: &[Parameter], trainable: bool) -> usize {
        let chosen = parameters.iter().filter(|parameter| parameter.trainable == trainable);
        chosen.map(Parameter::count).sum()
    }

    #[test]
    fn the_tutorials_network_has_its_parameter_counts() {
        let parameters = tutorial(224, 1.0, 8).parameters();
        assert_eq!(count(&parameters, true), 18_357_768);
        assert_eq!(count(&parameters, false), 7_104);
    }

    #[test]
    fn the_tutorials_network_has_its_shapes() {
        let network = tutorial(224, 1.0, 8);
        let gap = network.layers.iter().find(|layer| layer.name == "gap1").unwrap();
        assert_eq!(gap.input, [7, 7, 1024]);
        assert_eq!(network.classes, 8);
    }

    #[test]
    fn five_pools_leave_one_pixel_of_32() {
        let gap = tutorial(32, 0.125, 3).layers.into_iter().find(|layer| layer.name == "gap1").unwrap();
        assert_eq!(gap.input, [1, 1, 128]);
    }
}
