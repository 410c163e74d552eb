//! Where things are in an eye, and their colours.

use std::f32::consts::TAU;

use rand::{Rng, RngExt};

use super::canvas::{Colour, Point};

/// Anatomy by which the signs are placed.
pub struct Anatomy {
    pub tint: Colour,
    /// The middle of the optic disc.
    pub disc: Point,
    pub disc_radius: f32,
}

/// `length` away from `origin` in the direction of `angle` (radians).
pub fn polar(origin: Point, angle: f32, length: f32) -> Point {
    [origin[0] + length * angle.cos(), origin[1] + length * angle.sin()]
}

/// Any place on the part of the retina that photographs show, evenly spread.
pub fn anywhere(rng: &mut impl Rng) -> Point {
    polar([0.15, 0.0], rng.random_range(0.0..TAU), 1.1 * rng.random_range(0.0..1.0f32).sqrt())
}

/// `factor` times lighter or darker.
pub fn shade(colour: Colour, factor: f32) -> Colour {
    colour.map(|channel| (channel * factor).min(1.0))
}
