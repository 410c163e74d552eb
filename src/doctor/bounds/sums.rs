//! Bounds of sums. What stands behind each result, a twin says itself: on absolute inputs it returns the sum of the
//! absolute terms, on squares that of their squares, and on ones it counts them.

use super::{FLUSHED, NEAREST, Uncertainties, Uncertainty, sum};
use crate::doctor::operation::Operation;
use crate::ops::{absolute, squares};
use crate::plan::TensorId;

/// What stands behind one sum.
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

/// What stands behind each element of an output, of which `change` chooses the inputs that are summed up.
fn behind(op: &Operation, output: TensorId, changes: impl Fn(TensorId) -> bool) -> impl Iterator<Item = Terms> {
    let rerun = |change: fn(&[f64]) -> Vec<f64>| {
        let values = op.rerun(|id, numbers| if changes(id) { change(numbers) } else { numbers.to_vec() });
        values.get(output).to_vec()
    };
    let count = rerun(|numbers| vec![1.0; numbers.len()]);
    let (squares, magnitude) = (rerun(squares), rerun(absolute));
    let all = count.into_iter().zip(op.output_of(output).to_vec()).zip(squares).zip(magnitude);
    all.map(|(((count, sum), squares), magnitude)| Terms { count, sum, squares, magnitude })
}

/// Sums of products of the inputs: every matrix product, and reductions.
pub fn of_products(op: &Operation) -> Uncertainties {
    let of = |id| behind(op, id, |_| true).map(|terms| terms.uncertainty(op.independent)).collect();
    op.outputs().into_iter().map(|id| (id, of(id))).collect()
}

/// The gradient of a max pool adds up `dy` where windows overlap, and copies it elsewhere.
pub fn of_gradients(op: &Operation) -> Uncertainties {
    let (dy, dx) = (op.id("grad_y"), op.id("grad_x"));
    let bound = |terms: Terms| match terms.count > 1.0 {
        true => terms.uncertainty(op.independent),
        false => Uncertainty::NONE,
    };
    [(dx, behind(op, dx, |id| id == dy).map(bound).collect())].into()
}

/// The mean over positions: a sum, and one division.
pub fn mean(op: &Operation) -> Uncertainties {
    let shape = op.shape("x");
    let positions = shape[1..shape.len() - 1].iter().product::<usize>() as f64;
    let bound = |mean: Terms| {
        let terms = Terms { count: positions, squares: mean.squares / positions, ..mean };
        terms.uncertainty(op.independent).divided(mean.sum).flushed()
    };
    let y = op.id("y");
    [(y, behind(op, y, |_| true).map(bound).collect())].into()
}

/// Sums over windows whose terms, or whose total, are divided by counts of pixels. How many those are at a border a twin
/// does not say, so the squares of the terms are not divided by them: that is more than they come to.
pub fn of_means(op: &Operation) -> Uncertainties {
    let count = (op.size("WINDOW_HEIGHT") * op.size("WINDOW_WIDTH")) as f64;
    let bound = |mean: Terms| Terms { count, ..mean }.uncertainty(op.independent).divided(mean.sum).flushed();
    let of = |id| behind(op, id, |_| true).map(bound).collect();
    op.outputs().into_iter().map(|id| (id, of(id))).collect()
}

/// An equal share for each position: one division.
pub fn share(op: &Operation) -> Uncertainties {
    let of = |dx: &f64| Uncertainty::NONE.divided(*dx).flushed();
    [(op.id("grad_x"), op.output("grad_x").iter().map(of).collect())].into()
}
