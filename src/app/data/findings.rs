//! Findings in tables and photographs: faults, which stop a run, and warnings, which do not.

use crate::error::{Error, Result};

/// Everything that was found so far, in its order.
#[derive(Debug, Default)]
pub struct Findings {
    /// Faults, with which no run begins.
    pub faults: Vec<Error>,
    /// Warnings to the user, one line each.
    pub warnings: Vec<String>,
}

/// Faults, or names, that are listed before the rest is only counted.
const LISTED: usize = 20;

/// Names with commas between them; the first of them, if they are many, and the number of others.
pub(super) fn in_short(names: &[String]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    names[..names.len() - more].join(", ") + &rest
}

/// A number with its noun: `1 row`, `2 rows`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `Ok` if there is no fault, else the first of them, one per line, and the number of others: for
/// faults that `check-data` cannot know, such as the classes of a checkpoint.
pub fn listed(faults: &[Error]) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> = faults.iter().take(LISTED).map(ToString::to_string).collect();
    if faults.len() > LISTED {
        lines.push(format!("({} more)", faults.len() - LISTED));
    }
    Err(Error::Input(lines.join("\n")))
}

/// `Ok` if there is no fault, else the first of them and the number of others.
pub fn first_of(faults: Vec<Error>) -> Result<()> {
    let more = faults.len().saturating_sub(1);
    match faults.into_iter().next() {
        None => Ok(()),
        Some(fault) if more == 0 => Err(fault),
        Some(fault) => Err(Error::Input(format!("{fault}\n({more} more; `ocellus check-data` lists them all)"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let names = |count: usize| (0..count).map(|name| name.to_string()).collect::<Vec<_>>();
        assert_eq!(in_short(&names(3)), "0, 1, 2");
        assert!(in_short(&names(LISTED)).ends_with(", 18, 19"));
        assert!(in_short(&names(LISTED + 5)).ends_with(", 18, 19, and 5 more"));
    }
}
