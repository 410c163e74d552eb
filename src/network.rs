//! The network as a graph: named layers, each with the layers whose outputs it takes.
//!
//! A [`Template`] describes one before image size, width and number of classes are known; the presets are templates
//! in `network/*.toml`.

mod architecture;
pub mod compile;
pub mod print;
pub mod random;
mod summary;
mod template;
pub mod weights;

use crate::engine::image_size::ImageSize;
pub use crate::ops::Layer;
pub use crate::ops::op::{Parameter, Start};
pub use architecture::Architecture;
pub use template::{Entry, Fault, Template};

use crate::nearest::offer;
use crate::ops::op::parameters_of;

/// Input of a layer: the photographs, or the output of a layer, by its position in
/// [`Network::layers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    Photographs,
    Layer(usize),
}

/// A layer with its name (Keras-like: `conv1`, `bn1`, `dense2`), its inputs, and the shapes of one image on both sides:
/// `[height, width, channels]` or `[channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    pub name: String,
    pub layer: Layer,
    pub sources: Vec<Source>,
    /// The shape of each input.
    pub inputs: Vec<Vec<usize>>,
    pub output: Vec<usize>,
    /// Training leaves its parameters as they are.
    pub frozen: bool,
}

/// A directed graph without loops. The last layer's output is one logit per class.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Its preset's, or `model`.
    pub name: String,
    /// Of the photographs.
    pub image_size: ImageSize,
    pub classes: usize,
    /// Each after all that it takes.
    pub layers: Vec<Placed>,
    /// Share of each label that the loss spreads evenly over all classes.
    pub label_smoothing: f32,
    /// The greatest norm of all gradients together; `None` leaves them as they are.
    pub clip_norm: Option<f32>,
}

/// Height, width and channels of the photographs that a network of that image size takes.
pub fn photograph(ImageSize { height, width }: ImageSize) -> Vec<usize> {
    vec![height, width, 3]
}

/// The tutorial's network: eight times convolution, batch norm and ReLU, five max pools, a global average pool and two
/// dense layers. `width` scales every channel count but the classes.
///
/// Panics when an image has fewer than 32 pixels a side, which the five pools need.
pub fn tutorial(image_size: impl Into<ImageSize>, width: f64, classes: usize) -> Network {
    let image_size = image_size.into();
    let network = Architecture::default().build(image_size, width, classes);
    network.unwrap_or_else(|why| panic!("{image_size} pixels, width {width}, {classes} classes: {why}"))
}

impl Network {
    /// A chain of layers, each taking the output of the one before.
    ///
    /// Panics when they do not fit: for networks that a program writes down.
    pub fn chain(image_size: impl Into<ImageSize>, layers: &[Layer]) -> Network {
        Template::chain(layers).place(image_size.into(), 1.0, 1).unwrap_or_else(|Fault { why, .. }| panic!("{why}"))
    }

    /// Every parameter and moving statistic, in the order of the layers, which is Keras's.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.layers.iter().flat_map(Placed::parameters).collect()
    }

    /// Freezes the layers that are named, or all from one to another in the order of the layers, as `conv1..bn3`.
    ///
    /// # Errors
    /// A name of no layer, a range that goes backwards, nothing left to train.
    pub fn freeze(&mut self, named: &[String]) -> std::result::Result<(), String> {
        let names = self.layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>();
        let position = |name: &str| {
            let unknown = || format!("{name:?} is no layer; {}", offer(name, names.iter().map(String::as_str)));
            names.iter().position(|known| known == name).ok_or_else(unknown)
        };
        for layers in named {
            let (first, last) = match layers.split_once("..") {
                Some((first, last)) => (position(first)?, position(last)?),
                None => (position(layers)?, position(layers)?),
            };
            if first > last {
                return Err(format!("{layers}: {} comes after {}", names[first], names[last]));
            }
            self.layers[first..=last].iter_mut().for_each(|layer| layer.frozen = true);
        }
        match self.layers.iter().any(Placed::is_trained) {
            true => Ok(()),
            false => Err("every layer with parameters is frozen: nothing is left to train".into()),
        }
    }

    /// Positions of the layers that take an output; one that takes it twice is there twice.
    pub fn users(&self, source: Source) -> Vec<usize> {
        let times = |layer: &Placed| layer.sources.iter().filter(|taken| **taken == source).count();
        self.layers.iter().enumerate().flat_map(|(index, layer)| vec![index; times(layer)]).collect()
    }

    /// Positions of the layers as Keras's `model.layers` has them, which is the order of the arrays in its files: those
    /// that are farthest from the output come first, and of equally far ones the first that is met when the inputs are
    /// followed back from the output (Keras 2.15, `engine/functional.py`, `_map_graph_network`).
    pub fn keras_order(&self) -> Vec<usize> {
        let last = self.layers.len() - 1;
        let mut distance = vec![0; self.layers.len()];
        for index in (0..=last).rev() {
            for source in &self.layers[index].sources {
                if let Source::Layer(before) = *source {
                    distance[before] = distance[before].max(distance[index] + 1);
                }
            }
        }
        let (mut met, mut waiting) = (Vec::new(), vec![last]);
        while let Some(index) = waiting.pop() {
            if met.contains(&index) {
                continue;
            }
            met.push(index);
            // The first input is followed first.
            waiting.extend(self.layers[index].sources.iter().rev().filter_map(|source| match *source {
                Source::Layer(before) => Some(before),
                Source::Photographs => None,
            }));
        }
        met.sort_by_key(|&index| std::cmp::Reverse(distance[index]));
        met
    }

    /// The one layer that takes the output of another, if there is just one and it takes it once.
    pub fn only_user(&self, index: usize) -> Option<usize> {
        match self.users(Source::Layer(index))[..] {
            [user] => Some(user),
            _ => None,
        }
    }
}

/// The layers after a global average pool where all of them are linear, so that class activation
/// maps are exact.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearHead {
    /// Position of the pool.
    pub pool: usize,
    /// Positions of the dense layers that follow it, up to the last layer.
    pub dense: Vec<usize>,
}

impl Network {
    /// `None` where something else than a chain of dense layers follows the pool, or there is no such pool.
    pub fn linear_head(&self) -> Option<LinearHead> {
        let mut dense = Vec::new();
        let mut index = self.layers.len() - 1;
        loop {
            let Placed { layer, sources, .. } = &self.layers[index];
            match (layer, &sources[..]) {
                (Layer::GlobalAveragePool(_), _) => break,
                (Layer::Dense(_), &[Source::Layer(before)]) => {
                    dense.insert(0, index);
                    index = before;
                }
                _ => return None,
            }
        }
        Some(LinearHead { pool: index, dense })
    }
}

impl Placed {
    /// The shape of the first input, for layers that have one.
    pub fn input(&self) -> &[usize] {
        &self.inputs[0]
    }

    /// Whether training changes a parameter of it.
    pub fn is_trained(&self) -> bool {
        !self.frozen && self.parameters().iter().any(|parameter| parameter.trainable)
    }

    /// Its parameters, named `LAYER.PARAMETER`.
    pub fn parameters(&self) -> Vec<Parameter> {
        parameters_of(&self.name, self.layer.op(), self.input())
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
        assert_eq!(gap.input(), [7, 7, 1024]);
        assert_eq!(network.classes, 8);
    }

    #[test]
    fn five_pools_leave_one_pixel_of_32() {
        let gap = tutorial(32, 0.125, 3).layers.into_iter().find(|layer| layer.name == "gap1").unwrap();
        assert_eq!(gap.input(), [1, 1, 128]);
    }
}
