//! Ladders: an operation, the sizes that its rungs are proved on, and one that they are timed at.
//!
//! A ladder's plans are those of training. A rung takes the place of their steps, and keeps their tensors, twin and bound.

use super::ladders;
use crate::engine::shader::Constants;
use crate::engine::variant::Algorithm;
use crate::ops::case::Case;

/// An operation that is computed in several ways.
pub struct Ladder {
    /// Name on the command line, and folder below `shaders/`: `conv2d/forward`.
    pub op: &'static str,
    pub formula: &'static str,
    /// The tensors of its plans by the names that rungs bind them under.
    pub bindings: &'static [(&'static str, &'static str)],
    /// Algorithms of training, for a convolution; empty where there is one way.
    pub algorithms: &'static [Algorithm],
    pub sizes: Vec<Size>,
    /// Timed on a software adapter, and on a GPU.
    pub timed: [Size; 2],
}

/// An operation at one size, with numbers to run it on.
pub struct Size {
    /// Makes training's plan, of one node.
    pub case: Case,
    /// The constants that a rung may declare.
    pub constants: Constants,
    /// Floating-point operations of the plain computation.
    pub flops: u64,
    /// Whether what is wrong on purpose has to show.
    pub is_hard: bool,
}

impl Size {
    pub fn hard(self) -> Size {
        Size { is_hard: true, ..self }
    }
}

/// All ladders.
pub fn all() -> Vec<Ladder> {
    let mut all = vec![ladders::products::gemm()];
    all.extend(ladders::products::conv2d());
    all.extend(ladders::others::all());
    all
}

/// The ladders of that name, or of all passes of an operation of that name.
pub fn named(name: &str) -> Vec<Ladder> {
    let name = name.trim_end_matches('/');
    all().into_iter().filter(|ladder| ladder.op == name || ladder.op.split('/').next() == Some(name)).collect()
}
