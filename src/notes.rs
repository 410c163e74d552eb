//! Notes on standard error, beside the results: the device, warnings, how far the work is. As lines of
//! text, or as a JSON object per line.
//!
//! Nobody may be there to read them: the stream may be closed, its disk full, its reader gone. Then
//! they are dropped, where `eprintln!` would panic, and the work goes on.

use std::fmt::Arguments;
use std::io::{Write, stderr};
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;
use serde_json::json;

/// Beginnings of the notes that are never left out, and the codes of terminals for their colours.
const ALWAYS: [(&str, &str); 2] = [("warning: ", "\x1b[1m\x1b[33m"), (ERROR, "\x1b[1m\x1b[31m")];
const ERROR: &str = "error: ";
const PLAIN: &str = "\x1b[0m";

static QUIET: AtomicBool = AtomicBool::new(false);
static MUTE: AtomicBool = AtomicBool::new(false);
static JSON: AtomicBool = AtomicBool::new(false);

/// Leaves out all notes from here on but warnings and errors, and progress bars.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

pub fn are_quiet() -> bool {
    QUIET.load(Ordering::Relaxed) || are_mute()
}

/// Leaves out everything from here on but errors, results too: another process says it.
pub fn be_mute() {
    MUTE.store(true, Ordering::Relaxed);
}

pub fn are_mute() -> bool {
    MUTE.load(Ordering::Relaxed)
}

/// From here on all notes are JSON objects, and there are no progress bars.
pub fn be_json() {
    JSON.store(true, Ordering::Relaxed);
}

pub fn are_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Writes a line with one call, so that lines of several programs do not mix.
pub fn line(text: Arguments) {
    let text = text.to_string();
    let always = ALWAYS.iter().find(|(start, _)| text.starts_with(start));
    if are_quiet() && always.is_none() || are_mute() && always.is_none_or(|(start, _)| *start != ERROR) {
        return;
    }
    if are_json() {
        let start = always.map_or("", |(start, _)| start);
        let level = if start.is_empty() { "info" } else { start.trim_end_matches(": ") };
        let kind = if start.is_empty() { "note" } else { level };
        return event(level, kind, &json!({ "message": text[start.len()..].trim() }));
    }
    let _ = match always {
        Some((start, colour)) if AutoStream::choice(&stderr()) != ColorChoice::Never => {
            let (start, rest) = text.split_at(start.trim_end().len());
            anstream::stderr().lock().write_all(format!("{colour}{start}{PLAIN}{rest}\n").as_bytes())
        }
        _ => stderr().lock().write_all(format!("{text}\n").as_bytes()),
    };
}

/// Line of a log of JSON objects.
#[derive(Serialize)]
struct Line<'a, T> {
    /// RFC 3339, in UTC.
    time: String,
    /// `info`, `warning` or `error`.
    level: &'a str,
    event: &'a str,
    #[serde(flatten)]
    fields: &'a T,
}

/// Writes a JSON object with the time, the level and the kind of what happened, then `fields`, which have names. Writes
/// nothing where notes are text.
pub fn event(level: &str, event: &str, fields: &impl Serialize) {
    if are_json() && (!are_mute() || level == "error") {
        let time = format!("{:.3}", jiff::Timestamp::now());
        let line = serde_json::to_string(&Line { time, level, event, fields }).expect("fields have names");
        let _ = stderr().lock().write_all(format!("{line}\n").as_bytes());
    }
}

/// `eprintln!` that drops what nobody can read.
macro_rules! note {
    ($($text:tt)*) => {
        $crate::notes::line(format_args!($($text)*))
    };
}
pub(crate) use note;
