//! Errors in WGSL, shown where they are in the files that a module was put together from.

use std::error::Error;
use std::ops::Range;

use codespan_reporting::diagnostic::{Diagnostic, Label};
use codespan_reporting::files::SimpleFiles;
use codespan_reporting::term::{Config, emit_into_string};
use naga::valid::{Capabilities, ValidationFlags, Validator};

use super::Module;

impl Module {
    /// The first fault in its WGSL, by its files' own lines; `None` if it is valid for some adapter.
    pub fn fault(&self) -> Option<String> {
        check(&self.source, &self.files).err()
    }
}

/// Parses and validates a source that was put together from `files`.
pub fn check(source: &str, files: &[(String, Range<usize>)]) -> Result<naga::Module, String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|error| {
        let labels = error.labels().filter_map(|(span, what)| Some((span.to_range()?, what.to_string())));
        let notes = error.notes().map(str::to_string).collect();
        show(error.message(), labels.collect(), notes, source, files)
    })?;
    match Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module) {
        Ok(_) => Ok(module),
        Err(error) => {
            let spans = error.spans().filter_map(|(span, what)| Some((span.to_range()?, what.clone())));
            let causes = std::iter::successors(error.as_inner().source(), |&cause: &&dyn Error| cause.source());
            let notes = causes.map(ToString::to_string).collect();
            Err(show(&error.as_inner().to_string(), spans.collect(), notes, source, files))
        }
    }
}

fn show(
    message: &str,
    labels: Vec<(Range<usize>, String)>,
    notes: Vec<String>,
    source: &str,
    files: &[(String, Range<usize>)],
) -> String {
    let mut shown = SimpleFiles::new();
    let ids: Vec<usize> = files.iter().map(|(name, range)| shown.add(name, &source[range.clone()])).collect();
    let labels = labels.into_iter().filter_map(|(span, what)| {
        let (&id, (_, file)) = ids.iter().zip(files).find(|(_, (_, file))| file.contains(&span.start))?;
        let within = span.start - file.start..span.end.min(file.end) - file.start;
        Some(Label::primary(id, within).with_message(what))
    });
    let diagnostic = Diagnostic::error().with_message(message).with_labels(labels.collect()).with_notes(notes);
    let text = emit_into_string(&Config::default(), &shown, &diagnostic);
    text.map_or_else(|_| message.to_string(), |text| text.trim_end().trim_start_matches("error: ").to_string())
}
