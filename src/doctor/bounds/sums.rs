//! Bounds of sums. What stands behind each result, a twin says itself: on absolute inputs it returns the sum of the
//! absolute terms, and on ones it counts them.

use super::{Bounds, DIVISION, FLUSHED, sum};
use crate::doctor::operation::Operation;
use crate::ops::absolute;

/// Sums of products of the inputs: every matrix product, and reductions.
pub fn of_products(op: &Operation) -> Bounds {
    let magnitude = op.rerun(|_, numbers| absolute(numbers));
    let terms = op.rerun(|_, numbers| vec![1.0; numbers.len()]);
    let bound = |(magnitude, terms): (&f64, &f64)| sum(*terms) * magnitude + terms * FLUSHED;
    let of = |id| magnitude.get(id).iter().zip(terms.get(id)).map(bound).collect();
    op.outputs().into_iter().map(|id| (id, of(id))).collect()
}

/// The gradient of a max pool adds up `dy` where windows overlap, and copies it elsewhere.
pub fn of_gradients(op: &Operation) -> Bounds {
    let (dy, dx) = (op.id("grad_y"), op.id("grad_x"));
    let of_dy = |change: fn(&[f64]) -> Vec<f64>| {
        op.rerun(|id, numbers| if id == dy { change(numbers) } else { numbers.to_vec() }).get(dx).to_vec()
    };
    let (magnitude, terms) = (of_dy(absolute), of_dy(|numbers| vec![1.0; numbers.len()]));
    let bound = |(magnitude, terms): (&f64, f64)| if terms > 1.0 { sum(terms) * magnitude } else { 0.0 };
    [(dx, magnitude.iter().zip(terms).map(bound).collect())].into()
}

/// The mean over positions: a sum, and one division.
pub fn mean(op: &Operation) -> Bounds {
    let y = op.id("y");
    let shape = op.shape("x");
    let positions: usize = shape[1..shape.len() - 1].iter().product();
    let magnitude = op.rerun(|_, numbers| absolute(numbers));
    let bound = |magnitude: &f64| (sum(positions as f64) + DIVISION) * magnitude + FLUSHED;
    [(y, magnitude.get(y).iter().map(bound).collect())].into()
}

/// Sums over windows whose terms, or whose total, are divided by counts of pixels.
pub fn of_means(op: &Operation) -> Bounds {
    let magnitude = op.rerun(|_, numbers| absolute(numbers));
    let terms = (op.size("WINDOW_HEIGHT") * op.size("WINDOW_WIDTH")) as f64;
    let bound = |magnitude: &f64| (sum(terms) + DIVISION) * magnitude + terms * FLUSHED;
    op.outputs().into_iter().map(|id| (id, magnitude.get(id).iter().map(bound).collect())).collect()
}

/// An equal share for each position: one division.
pub fn share(op: &Operation) -> Bounds {
    let dx = op.output("grad_x").iter().map(|dx| DIVISION * dx.abs() + FLUSHED).collect();
    [(op.id("grad_x"), dx)].into()
}
