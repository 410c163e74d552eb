//! The input step: 8-bit pixels through one affine map (rotate, shift, shear, zoom, flips) to f32 in 0..1.

pub mod cpu;
pub mod gpu;
