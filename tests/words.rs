//! The rules of CONTRIBUTING for words, as far as a program can hold them: over the doc comments of `src/`, the
//! comments of `shaders/` and the pages.

use crate::common::pages::{Part, pages, parts, root};

/// A doc comment starts with the noun or verb of its own item, so never with these.
const STARTS: [&str; 6] = ["What", "Who", "Whose", "Those", "The same", "And"];

/// Words for a value that is NaN, `None` or empty.
const VERBS: [&str; 5] = ["is", "are", "was", "were", "be"];
const NOTHING: [&str; 3] = ["none", "no number", "no numbers"];

/// Counts and what they are counted per: "images a step" is "images per step".
const COUNTED: [&str; 32] = [
    "images",
    "bytes",
    "MiB",
    "KiB",
    "floats",
    "groups",
    "threads",
    "vec4s",
    "one",
    "once",
    "twice",
    "times",
    "ms",
    "seconds",
    "rounds",
    "columns",
    "rows",
    "value",
    "values",
    "number",
    "numbers",
    "dispatch",
    "dispatches",
    "windows",
    "sums",
    "tiles",
    "pixels",
    "GFLOP",
    "registers",
    "waves",
    "epochs",
    "cells",
];
const UNITS: [&str; 31] = [
    "training step",
    "window",
    "batch window",
    "cell",
    "step",
    "lane",
    "thread",
    "tile",
    "channel",
    "class",
    "group",
    "workgroup",
    "pixel",
    "point",
    "split",
    "image",
    "batch",
    "second",
    "device",
    "layer",
    "tensor",
    "core",
    "epoch",
    "person",
    "line",
    "kernel",
    "chunk",
    "band",
    "block",
    "node",
    "SIMD",
];

/// The widest line of prose on a page, in characters. Tables, pictures and code may be wider.
const WIDEST: usize = 100;

/// Marks of doc comments in Rust, and of comments in WGSL.
const OF_RUST: &[&str] = &["///", "//!"];
const OF_WGSL: &[&str] = &["//"];

/// Comments of a file that start with one of `marks`: the line each starts at, and its text as one line.
fn comments(text: &str, marks: &[&'static str]) -> Vec<(usize, String)> {
    let mut comments: Vec<(usize, String)> = Vec::new();
    let mut before = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let found = marks.iter().find_map(|mark| Some((mark, line.strip_prefix(mark)?)));
        match (found, before, comments.last_mut()) {
            (Some((mark, text)), Some(last), Some((_, comment))) if mark == last => {
                comment.push(' ');
                comment.push_str(text.trim());
            }
            (Some((_, text)), ..) => comments.push((index + 1, text.trim().to_string())),
            (None, ..) => {}
        }
        before = found.map(|(mark, _)| mark);
    }
    comments
}

/// Whether a text has a phrase between two ends of words.
fn has(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let inside = |c: char| c.is_alphanumeric() || c == '_';
        !text[..at].ends_with(inside) && !text[at + phrase.len()..].starts_with(inside)
    })
}

/// The faults of a comment or of a paragraph, whichever rules hold for both.
fn faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for verb in VERBS {
        for nothing in NOTHING.iter().filter(|nothing| has(text, &format!("{verb} {nothing}"))) {
            faults.push(format!("\"{verb} {nothing}\": say NaN, not finite, None or empty"));
        }
    }
    let lower = text.to_lowercase();
    for counted in COUNTED.map(str::to_lowercase) {
        for unit in UNITS.map(str::to_lowercase) {
            for article in ["a", "an"].iter().filter(|article| has(&lower, &format!("{counted} {article} {unit}"))) {
                faults.push(format!("\"{counted} {article} {unit}\": say \"per\""));
            }
        }
    }
    faults
}

/// The faults of a file's comments, with their lines.
fn faults_of_source(text: &str, marks: &[&'static str]) -> Vec<(usize, String)> {
    let of = |(line, comment): (usize, String)| {
        let start = STARTS.iter().filter(|start| comment.starts_with(*start) && has(&comment, start));
        let mut found: Vec<_> = start.map(|start| format!("starts with \"{start}\"")).collect();
        found.extend(faults(&comment));
        found.into_iter().map(move |fault| (line, fault))
    };
    comments(text, marks).into_iter().flat_map(of).collect()
}

/// The faults of a page, with their lines.
fn faults_of_page(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for part in parts(text) {
        let Part::Prose { line, text } = part else { continue };
        let width = text.chars().count();
        if width > WIDEST && !text.starts_with('|') && !text.starts_with("![") {
            found.push((line, format!("{width} characters, at most {WIDEST}")));
        }
        found.extend(faults(text).into_iter().map(|fault| (line, fault)));
    }
    found
}

/// Reads the files below a folder whose names end so; `least` comments must be there, and none at fault.
fn hold_rules(folder: &str, ending: &str, marks: &[&'static str], least: usize) {
    let (mut read, mut found, mut folders) = (0, Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|other| other == ending) {
                let text = std::fs::read_to_string(&path).unwrap();
                read += comments(&text, marks).len();
                let shown = path.strip_prefix(root()).unwrap().display();
                let faults = faults_of_source(&text, marks);
                found.extend(faults.iter().map(|(line, fault)| format!("{shown}:{line}: {fault}")));
            }
        }
    }
    assert!(read > least, "only {read} comments found: are they read as they are written?");
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

#[test]
fn doc_comments_follow_the_rules() {
    hold_rules("src", "rs", OF_RUST, 1000);
}

#[test]
fn comments_of_shaders_follow_the_rules() {
    hold_rules("shaders", "wgsl", OF_WGSL, 150);
}

#[test]
fn pages_follow_the_rules() {
    let mut found = Vec::new();
    for (page, text) in pages() {
        let faults = faults_of_page(&text);
        found.extend(faults.iter().map(|(line, fault)| format!("{}:{line}: {fault}", page.display())));
    }
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

#[test]
fn each_rule_finds_its_fault() {
    let source = |comment: &str| faults_of_source(&format!("struct A;\n{comment}\nstruct B;"), OF_RUST).len();
    assert_eq!(source("/// The output.\n/// What a layer computes."), 0);
    assert_eq!(source("    /// What a layer computes."), 1);
    assert_eq!(source("//! The same for\n//! a batch."), 1);
    assert_eq!(source("/// Whatever a layer computes: theirs are nonempty."), 0);
    assert_eq!(source("/// Values; NaN where there\n/// are none."), 1);
    assert_eq!(source("/// Images a training\n/// step."), 1);
    assert_eq!(source("/// Images per step, a step per window."), 0);
    let shader = |comment: &str| faults_of_source(&format!("{comment}\nfn at() {{"), OF_WGSL).len();
    assert_eq!(shader("// One dispatch per window.\n// The sum of a row."), 0);
    assert_eq!(shader("    // Those of a row."), 1);
    assert_eq!(shader("// The sums, one a\n// workgroup."), 1);
    let page = |text: &str| faults_of_page(text).len();
    assert_eq!(page(&"word ".repeat(20)), 0);
    assert_eq!(page(&"word ".repeat(21)), 1);
    assert_eq!(page(&format!("```sh\n{}\n```\n| {} |", "word ".repeat(21), "cell ".repeat(21))), 0);
    assert_eq!(page("Probabilities that are no numbers."), 1);
}
