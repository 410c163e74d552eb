//! The gradient of a bias: the sum of the output's gradient over all rows. (Adding a bias is the epilogue of the
//! matrix products that have one.)

pub mod proof;
pub mod steps;
pub mod twin;

/// `dy [batch, positions, channels]`, `db [channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub positions: usize,
    pub channels: usize,
}
