//! The input step: 8-bit pixels through one affine map (rotate, shift, shear, zoom, flips) to f32 in 0..1.

mod bound;
pub mod proof;
pub mod steps;
pub mod twin;

/// Channels of a photograph: red, green, blue.
pub const CHANNELS: usize = 3;

/// `pixels [batch, height, width, 3]` of bytes to `x [batch, height, width, 3]` in 0..1; one map a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub height: usize,
    pub width: usize,
}

/// The map that changes nothing. Of one image: the factors of (column, row, 1) that make the source column, then those of the source row.
pub const IDENTITY: [f32; 8] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0];
