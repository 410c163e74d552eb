//! The case of the loop limit: the longest loops that kernels may have run to their end.

use super::Case;
use crate::doctor::probe::{ITERATIONS, loop_limit};
use crate::doctor::trial::Expect;

pub fn cases() -> Vec<Case> {
    let case = Case::new("probe/loop_limit", format!("{ITERATIONS} iterations"), loop_limit).telling_if(true);
    vec![case.round("one loop", Expect::Exact, |trial| trial.write_integers("iterations", &[ITERATIONS]))]
}
