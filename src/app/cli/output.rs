//! Output of commands. Standard output may be a pipe whose reader has left, as `head` does: it has
//! seen what it wanted, and the command goes on. Any other failure to write is an error, not a
//! panic as of `println!`, or a warning where the text is only a copy of what is in files.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::notes::{self, note};

/// Prints a text; its last line needs no end.
pub fn say(text: impl Display) -> Result<()> {
    let mut text = text.to_string();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    printed(Out.write_all(text.as_bytes()).and_then(|()| Out.flush()))
}

/// Standard output, for what is written bit by bit. A reader that has left takes everything.
pub struct Out;

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        unless_gone(std::io::stdout().write(bytes), bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        unless_gone(std::io::stdout().flush(), ())
    }
}

fn unless_gone<T>(written: std::io::Result<T>, gone: T) -> std::io::Result<T> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(gone),
        written => written,
    }
}

/// Names the stream of an error in writing to `Out`.
pub fn printed(written: std::io::Result<()>) -> Result<()> {
    written.map_err(Error::io(Path::new("standard output")))
}

/// Prints a text that the command's work does not hang on, such as a report that is in a file as
/// well. Where messages are objects, there are objects for readers in its place.
pub fn show(text: impl Display) {
    if notes::are_json() || notes::are_mute() {
        return;
    }
    if let Err(error) = say(text) {
        note!("warning: {error}");
    }
}

/// Prints warnings to standard error, each once.
pub fn warn<W: Display>(warnings: impl IntoIterator<Item = W>) {
    let mut said = BTreeSet::new();
    for warning in warnings.into_iter().map(|warning| warning.to_string()) {
        if !said.contains(&warning) {
            note!("warning: {warning}");
            said.insert(warning);
        }
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
