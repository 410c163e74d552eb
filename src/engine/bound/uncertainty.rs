//! The error of one computed number, followed through a formula step by step.

use std::ops::Add;

use half::f16;

use super::{DIVISION, FLUSHED, ROUNDING, SQUARE_ROOT, ULP};

/// Unit in the last place of a number of that many binary digits; of 0, which needs none, 0.
fn spacing(value: f64, digits: i32) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let exponent = (value.abs().to_bits() >> 52) as i32 - 1023;
    2f64.powi(exponent + 1 - digits)
}

/// Of how many binary digits the numbers are, the first, which is not stored, included.
const DIGITS: i32 = f32::MANTISSA_DIGITS as i32;
const DIGITS_OF_HALF: i32 = f16::MANTISSA_DIGITS as i32;

/// Uncertainty of a computed value. Errors are taken to first order: their products are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Uncertainty {
    /// No honest result is further off.
    pub most: f64,
    /// The variance that roundings to the nearest are expected to give it.
    pub variance: f64,
    /// The part of `most` that WGSL allows beyond roundings, of which nothing but its size is known. Such errors of several
    /// operations do not depend on each other either: their squares add up.
    pub allowed: f64,
}

impl Uncertainty {
    pub const NONE: Uncertainty = Uncertainty { most: 0.0, variance: 0.0, allowed: 0.0 };

    /// One more rounding, of an addition or a product that gave `value`.
    pub fn rounded(self, value: f64) -> Uncertainty {
        let Uncertainty { most, variance, allowed } = self;
        let nearest = spacing(value, DIGITS).powi(2) / 12.0;
        Uncertainty { most: most + ROUNDING * value.abs(), variance: variance + nearest, allowed }
    }

    /// One more error that WGSL allows.
    pub fn within(self, error: f64) -> Uncertainty {
        Uncertainty { most: self.most + error, variance: self.variance, allowed: self.allowed.hypot(error) }
    }

    /// The error that WGSL allows a result of `value`, of so many units in its last place.
    fn within_ulps(self, ulps: f64, value: f64) -> Uncertainty {
        let allowed = self.allowed.hypot(ulps * spacing(value, DIGITS));
        Uncertainty { most: self.most + ulps * ULP * value.abs(), variance: self.variance, allowed }
    }

    /// One more division, whose quotient is `value`.
    pub fn divided(self, value: f64) -> Uncertainty {
        self.within_ulps(DIVISION / ULP, value)
    }

    /// The square root of a radicand of which this is the error: half of it, relative to both, but near 0 no more than its
    /// own root. Then the two errors that WGSL allows the root itself.
    pub fn root(self, radicand: f64) -> Uncertainty {
        let Uncertainty { most, variance, allowed } = self;
        let root = radicand.sqrt();
        let half = |error: f64| (error / (2.0 * root)).min(error.sqrt()); // a NaN, of 0 by 0, is not the smaller
        Uncertainty { most: half(most), variance: half(variance.sqrt()).powi(2), allowed: half(allowed) }
            .within_ulps((SQUARE_ROOT - DIVISION) / ULP, root)
            .divided(root)
    }

    /// The number may be taken for 0 where it is denormal.
    pub fn flushed(self) -> Uncertainty {
        self.within(FLUSHED)
    }

    /// The error of the number times an exact factor.
    pub fn times(self, factor: f64) -> Uncertainty {
        let Uncertainty { most, variance, allowed } = self;
        Uncertainty { most: most * factor.abs(), variance: variance * factor * factor, allowed: allowed * factor.abs() }
    }

    /// The number stored in half precision: WGSL lets a GPU round it to either neighbour, and flush a denormal one.
    pub fn stored_as_half(self, want: f64) -> Uncertainty {
        let least = f64::from(f16::MIN_POSITIVE);
        let size = want.abs() + self.most;
        let nearest = spacing(want.abs().max(least), DIGITS_OF_HALF).powi(2) / 12.0;
        Uncertainty {
            most: self.most + (size * f64::from(f16::EPSILON)).max(2.0 * least),
            variance: self.variance + nearest,
            allowed: self.allowed.hypot(if size < least { size } else { 0.0 }),
        }
    }
}

/// The error of a sum of two numbers whose errors are independent.
impl Add for Uncertainty {
    type Output = Uncertainty;

    fn add(self, other: Uncertainty) -> Uncertainty {
        Uncertainty {
            most: self.most + other.most,
            variance: self.variance + other.variance,
            allowed: self.allowed.hypot(other.allowed),
        }
    }
}
