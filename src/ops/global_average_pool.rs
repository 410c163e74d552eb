//! Global average pooling: the mean over all positions of an image, channel by channel.

pub mod cpu;
pub mod gpu;

/// `x [batch, positions, channels]`, `y [batch, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub positions: usize,
    pub channels: usize,
}
