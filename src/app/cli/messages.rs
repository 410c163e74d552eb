//! Options of every command that say how much is written to standard error, and how.

use std::ffi::OsString;
use std::io::Write;

use clap::{ArgAction, Args, ColorChoice};
use log::{Level, LevelFilter};
use serde_json::json;

use crate::error::Error;
use crate::notes::{self, note};

/// How much is said beside the results.
#[derive(Debug, Args)]
pub struct MessageArgs {
    /// Say nothing beside the results but warnings and errors; no progress bars
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say also what wgpu and naga do; twice for details. RUST_LOG chooses by module
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Colours of help, warnings and errors; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
}

impl MessageArgs {
    /// Lets through what libraries log: warnings, and more with `-v` or as RUST_LOG says.
    pub fn apply(&self) {
        if self.quiet {
            notes::be_quiet();
        }
        let level = [LevelFilter::Warn, LevelFilter::Info, LevelFilter::Debug][self.verbose.min(2) as usize];
        let mut log = env_logger::Builder::new();
        log.filter_level(level).parse_default_env().format(|to, record| {
            let level = match record.level() {
                Level::Error => "error",
                Level::Warn => "warning",
                Level::Info => "info",
                Level::Debug | Level::Trace => "debug",
            };
            if notes::are_json() {
                let message = json!({ "message": record.args().to_string(), "target": record.target() });
                notes::event(level, "log", &message);
                return Ok(());
            }
            writeln!(to, "{level}: {}: {}", record.target(), record.args())
        });
        log.init();
    }
}

/// Applies the options on which even a refusal of the command line depends.
pub fn apply_early(line: &[OsString]) {
    anstream::ColorChoice::write_global(match given(line, "--color") {
        Some("always") => anstream::ColorChoice::Always,
        Some("never") => anstream::ColorChoice::Never,
        _ => anstream::ColorChoice::Auto,
    });
    if given(line, "--log-format") == Some("json") {
        notes::be_json();
    }
}

/// The last value of an option.
fn given<'a>(line: &'a [OsString], option: &str) -> Option<&'a str> {
    let line: Vec<&str> =
        line.iter().map(|word| word.to_str().unwrap_or_default()).take_while(|word| *word != "--").collect();
    (0..line.len()).rev().find_map(|index| match line[index].strip_prefix(option)? {
        "" => line.get(index + 1).copied(),
        value => value.strip_prefix('='),
    })
}

/// Says why a command failed; its exit status is in the object, where messages are objects.
pub fn failed(error: &Error) {
    failed_with(&error.to_string(), error.exit_status());
}

/// Says why a command failed, in these words.
pub fn failed_with(message: &str, exit_status: i32) {
    if notes::are_json() {
        notes::event("error", "error", &json!({ "message": message, "exit_status": exit_status }));
    } else {
        note!("error: {message}");
    }
}

/// Ends the program with the help that was asked for, or with what is wrong with the command line.
pub fn refuse(error: clap::Error) -> ! {
    if notes::are_json() && error.use_stderr() {
        let text = error.to_string();
        failed_with(text.trim_start_matches("error: ").trim(), error.exit_code());
        std::process::exit(error.exit_code());
    }
    error.exit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_before_the_line_is_parsed() {
        let found = |line: &str| {
            let line: Vec<OsString> = line.split(' ').map(Into::into).collect();
            given(&line, "--color").map(str::to_string)
        };
        assert_eq!(found("ocellus plan --color never").as_deref(), Some("never"));
        assert_eq!(found("ocellus --color=always plan --color=never").as_deref(), Some("never"));
        assert_eq!(found("ocellus predict -- --color never"), None);
        assert_eq!(found("ocellus --colors never"), None);
        assert_eq!(found("ocellus --color"), None);
    }
}
