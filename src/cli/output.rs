//! What commands print. Standard output may be a pipe whose reader has left, as `head` does: it has seen what it wanted,
//! and the command goes on. Any other failure to write is an error, not a panic as of `println!`.

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

pub fn say_json(value: &Value) -> Result<()> {
    say(serde_json::to_string_pretty(value).expect("plain values are JSON"))
}
