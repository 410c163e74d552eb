//! The tensors of a plan: shape, layout in memory, lifetime. What they hold on a CPU is [`Values`].

mod values;

use std::ops::Range;

pub use values::{Twin, Values};

use crate::engine::shape::padded;

/// Index of a tensor in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// How long a tensor's numbers must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Between runs and between plans, which share it by its name: parameters, moving statistics, Adam's moments.
    Persistent,
    /// In a buffer of its own: what the host writes or reads.
    Kept,
    /// From its first step to its last; its slot is used again.
    Temporary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F32,
    /// IEEE 754's binary16 in memory, f32 to every kernel and to the host.
    F16,
    U32,
}

impl Element {
    /// Bytes of one in memory.
    pub fn bytes(self) -> usize {
        match self {
            Element::F32 | Element::U32 => 4,
            Element::F16 => 2,
        }
    }
}

/// How a tensor lies in memory beyond its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As its shape says: whatever no kernel reads as vec4.
    Packed,
    /// The last axis is padded with zeros to a multiple of four: activations, biases.
    Rows,
    /// The last two axes are: weights, whose rows are channels too.
    Matrix,
}

#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub element: Element,
    pub layout: Layout,
    pub lifetime: Lifetime,
    /// Its first axis is the batch and is cut into the plan's windows, each in a buffer of its own.
    pub windowed: bool,
    /// Its place in an arena (`plan::arena`); `None` where it has memory of its own.
    pub place: Option<Place>,
    /// The tensors that it holds, where it is an arena.
    pub parts: Vec<TensorId>,
    /// The tensor of which it is a rank's slice (`plan::slices`); `None` where it is whole.
    pub slice: Option<Slice>,
}

/// A run of the numbers that another tensor has in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    pub of: TensorId,
    pub numbers: Range<usize>,
}

/// Place of a tensor in an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub arena: TensorId,
    /// The byte at which the tensor begins.
    pub offset: u64,
}

impl Tensor {
    /// A temporary tensor that is not cut into windows and has memory of its own.
    pub fn new(name: &str, shape: &[usize], element: Element, layout: Layout) -> Tensor {
        let (lifetime, windowed, place, parts, slice) = (Lifetime::Temporary, false, None, Vec::new(), None);
        Tensor { name: name.into(), shape: shape.into(), element, layout, lifetime, windowed, place, parts, slice }
    }

    pub fn is_arena(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The shape in memory, padding included.
    pub fn stored_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        let axes = shape.len();
        let padded_axes = match self.layout {
            Layout::Packed => 0,
            Layout::Rows => 1,
            Layout::Matrix => 2,
        };
        for size in &mut shape[axes - padded_axes..] {
            *size = padded(*size);
        }
        shape
    }

    /// Bytes of memory for `rows` entries of the first axis.
    pub fn bytes_of(&self, rows: usize) -> u64 {
        (self.element.bytes() * rows * self.stored_shape()[1..].iter().product::<usize>()) as u64
    }
}

/// One window of a tensor, or the whole of one that is not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct View {
    pub tensor: TensorId,
    pub window: usize,
}

impl From<TensorId> for View {
    fn from(tensor: TensorId) -> View {
        View { tensor, window: 0 }
    }
}

impl TensorId {
    pub fn window(self, window: &Window) -> View {
        View { tensor: self, window: window.index }
    }
}

/// A run of images of the batch that is small enough for one binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub index: usize,
    pub first: usize,
    pub images: usize,
}
