//! Bounds of sums. The size of the terms of each result comes from the twin itself: on absolute
//! inputs it returns the sum of the absolute terms, on squares that of their squares, and on ones
//! it counts them.

use half::f16;

use super::{FLUSHED, Given, NEAREST, ULP, Uncertainties, Uncertainty, sum};
use crate::engine::numbers::{absolute, squares};
use crate::engine::tensor::TensorId;

/// Count and size of the terms of one sum.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub count: f64,
    pub sum: f64,
    /// Sum of their squares.
    pub squares: f64,
    /// Sum of their absolute values.
    pub magnitude: f64,
}

impl Terms {
    /// The variance that one chain of additions to the nearest is expected to give: [`NEAREST`] of the square of each partial
    /// sum, and of each product. Where terms do not depend on each other, partial sum k of n is `k / n` of the whole on
    /// average, with a variance of `k (n - k) / n` mean squares of a term; the squares of all add up to
    /// `sum^2 n / 3 + squares n / 6`. Elsewhere any partial sum may be as large as the absolute terms together.
    pub fn variance(&self, independent: bool) -> f64 {
        let Terms { count: n, sum, squares, magnitude } = *self;
        if independent {
            NEAREST * ((n / 3.0 + 1.0) * sum * sum + (n / 6.0 + 1.0) * squares)
        } else {
            NEAREST * (n + 1.0) * magnitude * magnitude
        }
    }

    pub fn uncertainty(&self, independent: bool) -> Uncertainty {
        Uncertainty { most: sum(self.count) * self.magnitude, variance: self.variance(independent), allowed: 0.0 }
            .within(self.count * FLUSHED)
    }
}

/// Terms of each element of an output, whose summed inputs `changes` chooses.
fn behind(given: &Given, output: TensorId, changes: impl Fn(TensorId) -> bool) -> impl Iterator<Item = Terms> {
    let rerun = |change: fn(&[f64]) -> Vec<f64>| {
        let values = given.rerun(|id, numbers| if changes(id) { change(numbers) } else { numbers.to_vec() });
        values.get(output).to_vec()
    };
    let count = rerun(|numbers| vec![1.0; numbers.len()]);
    let (squares, magnitude) = (rerun(squares), rerun(absolute));
    let all = count.into_iter().zip(given.output(output).to_vec()).zip(squares).zip(magnitude);
    all.map(|(((count, sum), squares), magnitude)| Terms { count, sum, squares, magnitude })
}

/// Bounds from the terms of each element of each output.
pub fn with_terms(given: &Given, uncertainty: impl Fn(Terms) -> Uncertainty) -> Uncertainties {
    with_terms_over(given, |_| true, uncertainty)
}

/// Uncertainties as of [`with_terms`], where only the inputs that `changes` names are summed up.
fn with_terms_over(
    given: &Given,
    changes: impl Fn(TensorId) -> bool,
    uncertainty: impl Fn(Terms) -> Uncertainty,
) -> Uncertainties {
    let of = |id| behind(given, id, &changes).map(&uncertainty).collect();
    given.outputs().iter().map(|&id| (id, of(id))).collect()
}

/// Sums of products of the inputs: every matrix product, and reductions.
pub fn of_sums(given: &Given) -> Uncertainties {
    with_terms(given, |terms| terms.uncertainty(given.independent))
}

/// Sums of products of two inputs, each of which is multiplied by a power of two, its scale, and rounded to half precision;
/// what else is added is not. WGSL lets a GPU round to either neighbour, and flush what is denormal in half precision: a factor
/// that small may count as 0.
pub fn of_sums_of_halves(given: &Given, factors: [(TensorId, f64); 2]) -> Uncertainties {
    let epsilon = f64::from(f16::EPSILON);
    let rounded = |terms: Terms| {
        let squares = if given.independent { terms.squares } else { terms.magnitude.powi(2) };
        let uncertainty = terms.uncertainty(given.independent);
        Uncertainty {
            most: uncertainty.most + (2.0 * epsilon + epsilon * epsilon) * terms.magnitude,
            variance: uncertainty.variance + 2.0 * NEAREST * (epsilon / ULP).powi(2) * squares,
            ..uncertainty
        }
    };
    let mut all = with_terms(given, rounded);
    for (tiny, scale) in factors {
        let others = factors.map(|(factor, _)| factor);
        let values = given.rerun(|id, numbers| match others.contains(&id) {
            true if id == tiny => denormal(numbers, scale),
            true => absolute(numbers),
            false => vec![0.0; numbers.len()],
        });
        for (id, elements) in &mut all {
            let flushed = elements.iter_mut().zip(values.get(*id));
            flushed.for_each(|(element, flushed)| *element = element.within(*flushed));
        }
    }
    all
}

/// The most error of factors that are denormal in half precision, times their scale; 0 for others.
fn denormal(numbers: &[f64], scale: f64) -> Vec<f64> {
    let (least, spacing) = (f64::from(f16::MIN_POSITIVE) / scale, f64::from(f16::MIN_POSITIVE_SUBNORMAL) / scale);
    let error =
        |number: &f64| if (f64::MIN_POSITIVE..least).contains(&number.abs()) { number.abs() + spacing } else { 0.0 };
    numbers.iter().map(error).collect()
}

/// Sums of so many terms, each of which, or all together, are divided by a count. How large that is for each, a twin does
/// not say, so the squares of the terms are not divided: that is more than they come to.
pub fn of_divided_sums(given: &Given, count: usize) -> Uncertainties {
    let count = count as f64;
    with_terms(given, |mean| Terms { count, ..mean }.uncertainty(given.independent).divided(mean.sum).flushed())
}

/// Sums of entries of one input, alone: where there is one term, it is copied.
pub fn of_sums_over(given: &Given, input: TensorId) -> Uncertainties {
    with_terms_over(
        given,
        |id| id == input,
        |terms| match terms.count > 1.0 {
            true => terms.uncertainty(given.independent),
            false => Uncertainty::NONE,
        },
    )
}
