//! Notes on standard error, beside the results: the device, warnings, how far the work is.
//!
//! Nobody may be there to read them: the stream may be closed, its disk full, its reader gone. Then
//! they are dropped, where `eprintln!` would panic, and the work goes on.

use std::fmt::Arguments;
use std::io::Write;

/// Writes a line with one call, so that lines of several programs do not mix.
pub fn line(text: Arguments) {
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// `eprintln!` that drops what nobody can read.
macro_rules! note {
    ($($text:tt)*) => {
        $crate::notes::line(format_args!($($text)*))
    };
}
pub(crate) use note;
