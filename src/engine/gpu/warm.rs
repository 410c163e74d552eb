//! Warming up: an idle GPU clocks at a fraction of its speed, and what is timed meanwhile says little.

use crate::error::Result;

/// Share by which two runs in a row may differ.
const AGREE: f64 = 0.03;

/// Seconds of work that raise the clock of any GPU, and those after which a device counts as warm whatever its times.
const LEAST: f64 = 0.05;
const MOST: f64 = 1.0;

/// Runs something, which returns its seconds, until two runs in a row take equally long. A CPU needs one run, in which it
/// compiles.
///
/// # Errors
/// Those of a run.
pub fn warm_up(software: bool, mut run: impl FnMut() -> Result<f64>) -> Result<()> {
    let (mut before, mut all) = (run()?, 0.0);
    if software {
        return Ok(());
    }
    loop {
        let seconds = run()?;
        all += seconds;
        let agree = (seconds - before).abs() <= AGREE * seconds;
        if agree && all >= LEAST || all >= MOST || all.is_nan() {
            return Ok(());
        }
        before = seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// How many runs it takes a device whose runs take these seconds, the last one from then on.
    fn runs(software: bool, seconds: &[f64]) -> usize {
        let mut count = 0;
        let run = || {
            count += 1;
            Ok(seconds[(count - 1).min(seconds.len() - 1)])
        };
        warm_up(software, run).unwrap();
        count
    }

    #[test]
    fn it_ends_when_two_runs_agree() {
        assert_eq!(runs(false, &[9.0, 0.1, 0.05, 0.03, 0.0295]), 5);
        assert_eq!(runs(false, &[0.01]), 6, "50 milliseconds after the first");
        assert_eq!(runs(true, &[9.0, 5.0]), 1);
    }

    #[test]
    fn it_ends_in_any_case() {
        let jumping: Vec<f64> = (0..100).map(|run| if run % 2 == 0 { 0.1 } else { 0.05 }).collect();
        assert_eq!(runs(false, &jumping), 15);
        assert_eq!(runs(false, &[0.1, f64::NAN]), 2);
        let lost = || Err(Error::DeviceLost("gone".into()));
        assert!(warm_up(false, lost).is_err());
    }
}
