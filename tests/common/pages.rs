//! The pages of the repository in their parts: prose, code, links and commands.

use std::path::{Path, PathBuf};

/// One line of prose, or one block of code. Lines count from 1.
pub enum Part<'a> {
    Prose { line: usize, text: &'a str },
    Code { language: &'a str, first: usize, lines: Vec<&'a str> },
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Path, relative to the root, and text of every page that a reader is led to.
pub fn pages() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from).into();
    let listed = |folder: &str| std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let docs = listed("docs").chain(listed("docs/ops"));
    let docs = docs.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    paths.extend(docs.map(|path| path.strip_prefix(root()).unwrap().to_path_buf()));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The lines of prose and blocks of code of a page.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut open: Option<(&str, usize, Vec<&str>)> = None;
    for (index, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language, index + 2, Vec::new())),
            (Some(_), Some(_)) => {
                let (language, first, lines) = open.take().unwrap();
                parts.push(Part::Code { language, first, lines });
            }
            (None, Some((.., lines))) => lines.push(line),
            (None, None) => parts.push(Part::Prose { line: index + 1, text: line }),
        }
    }
    assert!(open.is_none(), "a block of code is not closed");
    parts
}

/// Code spans of prose, each on one line, with the lines on which they end.
pub fn spans(text: &str) -> Vec<(usize, String)> {
    let (mut spans, mut open) = (Vec::new(), None::<String>);
    for part in parts(text) {
        let Part::Prose { line, text } = part else { continue };
        // A span may go on in the next line of its paragraph.
        assert!(open.is_none() || !text.is_empty(), "line {line}: a code span is not closed");
        for (index, piece) in text.split('`').enumerate() {
            if index > 0 {
                match open.take() {
                    Some(span) => spans.push((line, span)),
                    None => open = Some(String::new()),
                }
            }
            if let Some(span) = &mut open {
                *span += if span.is_empty() { "" } else { " " };
                *span += piece.trim();
            }
        }
    }
    assert!(open.is_none(), "a code span is not closed");
    spans
}

/// Command lines of the program in code spans and in `sh` blocks, as words, with their lines.
pub fn commands(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut lines = spans(text);
    for part in parts(text) {
        if let Part::Code { language: "sh", first, lines: block } = part {
            lines.extend(block.iter().enumerate().map(|(index, line)| (first + index, line.to_string())));
        }
    }
    let words = |(at, line): (usize, String)| {
        let line = line.split(" #").next().unwrap().split(" > ").next().unwrap().split(" 2> ").next().unwrap();
        let line = line.split("&& ").last().unwrap().replace("cargo run --release --", "ocellus");
        let words: Vec<_> = line.split_whitespace().map(String::from).collect();
        (words.len() > 1 && words[0] == "ocellus").then_some((at, words))
    };
    lines.into_iter().filter_map(words).collect()
}

/// The anchor of a heading, as GitHub makes it.
pub fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
