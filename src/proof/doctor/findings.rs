//! Comparisons, and what they found. A NaN passes none of them.

use crate::engine::numbers::rms;

/// Findings of a set of comparisons.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Tensors compared.
    pub compared: usize,
    /// The largest error as a share of its bound, and of which tensor; infinite where a bound of 0 was missed.
    pub worst: (f64, String),
    /// The largest root mean square of the errors of a tensor as a share of its bound, and of which tensor; 0 where none
    /// was bounded.
    pub worst_rms: (f64, String),
    /// Errors out of bounds, in the order of the comparisons.
    pub faults: Vec<String>,
}

impl Findings {
    /// Holds every entry of `got` to `want`, within its bound.
    pub fn compare<G, W>(&mut self, what: &str, got: &[G], want: &[W], bound: impl Fn(usize) -> f64)
    where
        G: Copy + Into<f64>,
        W: Copy + Into<f64>,
    {
        self.note(what, compare(got, want, bound));
    }

    /// Counts one comparison: its worst share, or what is wrong.
    pub fn note(&mut self, what: &str, result: Result<f64, String>) {
        self.compared += 1;
        self.judge(what, result, |findings| &mut findings.worst);
    }

    /// Adds what the root mean square of the errors shows of something that is counted already.
    pub fn note_rms(&mut self, what: &str, result: Result<f64, String>) {
        self.judge(what, result, |findings| &mut findings.worst_rms);
    }

    fn judge(&mut self, what: &str, result: Result<f64, String>, worst: impl Fn(&mut Findings) -> &mut (f64, String)) {
        let share = *result.as_ref().unwrap_or(&f64::INFINITY);
        let worst = worst(self);
        if share > worst.0 {
            *worst = (share, what.into());
        }
        if let Err(fault) = result {
            self.faults.push(format!("{what}: {fault}"));
        }
    }

    /// Counts a comparison of whole things: equal, or a fault that says how not.
    pub fn expect(&mut self, what: &str, equal: bool, fault: impl FnOnce() -> String) {
        self.note(what, if equal { Ok(0.0) } else { Err(fault()) });
    }

    pub fn add(&mut self, other: Findings) {
        self.compared += other.compared;
        for (worst, other) in [(&mut self.worst, other.worst), (&mut self.worst_rms, other.worst_rms)] {
            if other.0 > worst.0 {
                *worst = other;
            }
        }
        self.faults.extend(other.faults);
    }

    /// Findings with a name before each of their messages.
    pub fn about(mut self, name: &str) -> Findings {
        for worst in [&mut self.worst, &mut self.worst_rms] {
            worst.1 = format!("{name}: {}", worst.1);
        }
        self.faults.iter_mut().for_each(|fault| *fault = format!("{name}: {fault}"));
        self
    }

    /// Something was compared, and nothing was out of bounds.
    pub fn passed(&self) -> bool {
        self.compared > 0 && self.faults.is_empty()
    }
}

/// The worst error as a share of its bound, where `|got[i] - want[i]| <= bound(i)` for every entry; else what is wrong.
/// A NaN, an infinity, a bound that is not finite, a difference in length and nothing to compare are errors.
pub fn compare<G, W>(got: &[G], want: &[W], bound: impl Fn(usize) -> f64) -> Result<f64, String>
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    if got.len() != want.len() || want.is_empty() {
        return Err(format!("{} entries, want {}", got.len(), want.len()));
    }
    let mut outside = 0;
    let mut worst = (0.0, 0);
    for i in 0..want.len() {
        let error = (got[i].into() - want[i].into()).abs();
        let bound = bound(i);
        let inside = error <= bound && bound.is_finite(); // false for a NaN
        outside += usize::from(!inside);
        let share = match error / bound {
            _ if error == 0.0 && inside => 0.0,
            share if share.is_finite() && share > 0.0 => share,
            _ => f64::INFINITY,
        };
        if share > worst.0 {
            worst = (share, i);
        }
    }
    let (share, i) = worst;
    if outside == 0 {
        return Ok(share);
    }
    let (got, want, bound, count) = (got[i].into(), want[i].into(), bound(i), want.len());
    Err(format!(
        "{outside} of {count} entries out of bounds; worst at {i}: got {got:e}, want {want:e}, bound {bound:e}"
    ))
}

/// The root mean square of the errors as a share of its bound; above the bound, what is wrong. NaN, infinities, a difference
/// in length and nothing to compare are errors, as in [`compare`].
pub fn compare_rms(got: &[f32], want: &[f64], bound: f64) -> Result<f64, String> {
    if got.len() != want.len() || want.is_empty() {
        return Err(format!("{} entries, want {}", got.len(), want.len()));
    }
    let errors: Vec<f64> = got.iter().zip(want).map(|(got, want)| f64::from(*got) - want).collect();
    let error = rms(&errors);
    let inside = error <= bound && bound.is_finite(); // false for a NaN
    match inside {
        true if error == 0.0 => Ok(0.0),
        true => Ok(error / bound),
        false => Err(format!("root mean square of the errors {error:e}, bound {bound:e}")),
    }
}

/// NaN exactly where it should be.
pub fn compare_nan(got: &[f32], want: &[f64]) -> Result<f64, String> {
    let places = |nan: Vec<bool>| (0..nan.len()).filter(|&i| nan[i]).collect::<Vec<_>>();
    let got = places(got.iter().map(|number| number.is_nan()).collect());
    let want = places(want.iter().map(|number| number.is_nan()).collect());
    if got == want && !want.is_empty() { Ok(0.0) } else { Err(format!("NaN at {got:?}, want it at {want:?}")) }
}
