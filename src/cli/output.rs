//! What commands print. Standard output may be a pipe whose reader has left, as `head` does: it has seen what it wanted,
//! and the command goes on. Any other failure to write is an error, not a panic as of `println!`.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

/// Prints a text; its last line needs no end.
pub fn say(text: impl Display) -> Result<()> {
    let mut text = text.to_string();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io(Path::new("standard output"))(error)),
        _ => Ok(()),
    }
}

/// Prints warnings to standard error, each once.
pub fn warn(warnings: &[String]) {
    let mut said = BTreeSet::new();
    for warning in warnings.iter().filter(|warning| said.insert(*warning)) {
        // Nobody may be there to read it.
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
}

/// Warnings that are printed before the rest is only counted.
const LISTED: usize = 10;

/// Prints the first warnings to standard error, and the number of others, for commands that have
/// more to say.
pub fn warn_in_short(warnings: &[String]) {
    let (first, rest) = warnings.split_at(warnings.len().min(LISTED));
    warn(first);
    if !rest.is_empty() {
        warn(&[format!("{} more; `ocellus check-data` lists them all", rest.len())]);
    }
}

pub fn say_json(value: &Value) -> Result<()> {
    say(serde_json::to_string_pretty(value).expect("plain values are JSON"))
}
