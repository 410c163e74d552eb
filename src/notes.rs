//! Notes on standard error, beside the results: the device, warnings, how far the work is.
//!
//! Nobody may be there to read them: the stream may be closed, its disk full, its reader gone. Then
//! they are dropped, where `eprintln!` would panic, and the work goes on.

use std::fmt::Arguments;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Beginnings of the notes that are never left out.
const ALWAYS: [&str; 2] = ["warning: ", "error: "];

static QUIET: AtomicBool = AtomicBool::new(false);

/// Leaves out all notes from here on but warnings and errors, and progress bars.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

pub fn are_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Writes a line with one call, so that lines of several programs do not mix.
pub fn line(text: Arguments) {
    let line = format!("{text}\n");
    if !are_quiet() || ALWAYS.iter().any(|always| line.starts_with(always)) {
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// `eprintln!` that drops what nobody can read.
macro_rules! note {
    ($($text:tt)*) => {
        $crate::notes::line(format_args!($($text)*))
    };
}
pub(crate) use note;
