//! Sources that are built into the program, and the parts of them that belong to a kernel.

use serde::Deserialize;
use serde_json::{Value, json};

/// Files by their paths in the repository (build.rs).
const SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));

fn source(path: &str) -> Option<&'static str> {
    SOURCES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}

/// The functions that a head links to: `Host: ops/relu/steps.rs::forward`, `Twin: ops/adam/twin.rs::{step, alpha}`.
pub fn linked(head: &str, label: &str) -> Value {
    let head = head.replace('\n', " ");
    let Some((_, rest)) = head.split_once(&format!("{label}: ")) else { return Value::Null };
    let text = rest.split(". ").next().unwrap_or(rest).trim_end_matches('.');
    let Some((file, names)) = text.split_once("::") else { return Value::Null };
    let path = format!("src/{file}");
    // `dir/steps.rs` may be `dir.rs`, where the chapter is one file.
    let Some(text) = source(&path) else { return Value::Null };
    let names = names.trim_matches(['{', '}']).split(", ").map(str::trim);
    let functions: Vec<&str> = names.filter_map(|name| function(text, name)).collect();
    json!({ "file": path, "text": functions.join("\n\n") })
}

/// The twin of a kernel; those of Winograd's steps are the convolution's.
pub fn twin(head: &str) -> Value {
    if head.contains("Twins: those of the convolution") {
        let path = "src/ops/conv2d/twin.rs";
        return json!({ "file": path, "text": source(path) });
    }
    linked(head, "Twin")
}

/// The file of an operation's bounds, or that of sums.
pub fn bound(kernel: &str) -> Value {
    let op = kernel.split('/').next().unwrap_or_default();
    let op = if op == "winograd" { "conv2d/winograd" } else { op };
    let own = format!("src/ops/{op}/bound.rs");
    let path = if source(&own).is_some() { own } else { "src/engine/bound/sums.rs".into() };
    json!({ "file": path, "text": source(&path) })
}

/// A function with its doc comment, up to the brace that closes it.
fn function<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let at = text.find(&format!("fn {name}("))?;
    let mut start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let indent = &text[start..][..text[start..].len() - text[start..].trim_start().len()];
    while let Some(before) = text[..start].strip_suffix('\n') {
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        if !before[line..].trim_start().starts_with("///") {
            break;
        }
        start = line;
    }
    let end = text[at..].find(&format!("\n{indent}}}\n"))? + at + indent.len() + 2;
    Some(&text[start..end])
}

/// A fault that the cases must notice.
#[derive(Deserialize)]
struct Mutant {
    what: String,
    old: String,
    new: String,
}

/// The mutants of a kernel.
pub fn mutants(kernel: &str) -> Value {
    let Some(text) = source("tests/mutants.toml") else { return json!([]) };
    let mut table: toml::Table = toml::from_str(text).unwrap_or_default();
    let listed = table.remove(kernel).and_then(|list| list.try_into::<Vec<Mutant>>().ok()).unwrap_or_default();
    listed.iter().map(|mutant| json!([mutant.what, mutant.old, mutant.new])).collect()
}
