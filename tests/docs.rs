//! README, `docs/` and the other pages for readers: their paths, links, commands and options exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::common::pages::{Part, commands, pages, parts, root, slug, spans};
use crate::common::program::{succeed, text};

/// More lines than this are a manual, and belong in `docs/`.
const MOST_README_LINES: usize = 110;

/// The pictures of all pages together, in bytes.
const MOST_PICTURE_BYTES: u64 = 500_000;

/// Folders of the repository that pages name.
const FOLDERS: [&str; 8] = ["benches", "docs", "examples", "scripts", "shaders", "src", "tests", ".ci"];

/// Every file of the repository below [`FOLDERS`], relative to its root, with `/`.
fn files() -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for path in entries.map(|entry| entry.unwrap().path()) {
            found.insert(path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/"));
            if path.is_dir() {
                walk(&path, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    FOLDERS.iter().for_each(|folder| walk(&root().join(folder), &mut found));
    found
}

/// Whether a word names a file or folder of the repository rather than of its user.
fn is_ours(word: &str, files: &BTreeSet<String>) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./*".contains(c);
    let Some((first, rest)) = word.split_once('/') else { return false };
    let is_folder = |name: &String| {
        let at = name.strip_suffix(first).unwrap_or("-");
        !name.contains("golden") && (at.is_empty() || at.ends_with('/')) && root().join(name).is_dir()
    };
    let known = FOLDERS.contains(&first) || files.iter().any(is_folder);
    known && !rest.is_empty() && word.chars().all(plain)
}

/// Whether a path, or the end of one, with or without its ending, is there. `*` stands for a name.
fn exists(word: &str, files: &BTreeSet<String>) -> bool {
    let word = word.trim_end_matches('/');
    let matches = |file: &str| match word.split_once('*') {
        Some((before, after)) => file.starts_with(before) && file.ends_with(after),
        None => [file, file.trim_end_matches(".rs"), file.trim_end_matches(".wgsl")].iter().any(|file| {
            let at = file.strip_suffix(word).unwrap_or("-");
            at.is_empty() || at.ends_with('/')
        }),
    };
    files.iter().any(|file| matches(file))
}

#[test]
fn readme_is_short() {
    let lines = std::fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= MOST_README_LINES, "README.md has {lines} lines, at most {MOST_README_LINES}");
}

#[test]
fn pictures_are_small() {
    let entries = std::fs::read_dir(root().join("docs/pictures")).unwrap();
    let bytes: u64 = entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes > 0 && bytes <= MOST_PICTURE_BYTES, "{bytes} bytes of pictures, at most {MOST_PICTURE_BYTES}");
}

#[test]
fn named_paths_exist() {
    let files = files();
    let (mut named, mut missing) = (0, Vec::new());
    for (page, text) in pages() {
        let mut words: Vec<(usize, String)> = spans(&text);
        for part in parts(&text) {
            if let Part::Code { language: "sh", first, lines } = part {
                let numbered = lines.iter().enumerate().map(|(index, line)| (first + index, line));
                words.extend(numbered.flat_map(|(at, line)| line.split_whitespace().map(move |w| (at, w.to_string()))));
            }
        }
        for (line, word) in words {
            if is_ours(&word, &files) {
                named += 1;
                if !exists(&word, &files) {
                    missing.push(format!("{}:{line}: {word}", page.display()));
                }
            }
        }
    }
    assert!(named > 100, "only {named} paths found: are pages read as they are written?");
    assert!(missing.is_empty(), "no such file:\n{}", missing.join("\n"));
}

#[test]
fn links_lead_somewhere() {
    let (mut followed, mut broken) = (0, Vec::new());
    for (page, text) in pages() {
        for part in parts(&text) {
            let Part::Prose { line, text } = part else { continue };
            for rest in text.split("](").skip(1) {
                let target = rest.split(')').next().unwrap();
                if target.starts_with("http") {
                    continue;
                }
                followed += 1;
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let at = match file {
                    "" => root().join(&page),
                    file => root().join(&page).parent().unwrap().join(file),
                };
                let leads = at.exists() && (anchor.is_empty() || has_heading(&at, anchor));
                if !leads {
                    broken.push(format!("{}:{line}: {target}", page.display()));
                }
            }
        }
    }
    assert!(followed > 20, "only {followed} links found: are pages read as they are written?");
    assert!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
}

fn has_heading(page: &PathBuf, anchor: &str) -> bool {
    let text = std::fs::read_to_string(page).unwrap();
    parts(&text).iter().any(|part| match part {
        Part::Prose { text, .. } => text.starts_with('#') && slug(text) == anchor,
        Part::Code { .. } => false,
    })
}

#[test]
fn commands_are_those_of_the_program() {
    let (mut parsed, mut wrong) = (0, Vec::new());
    for (page, text) in pages() {
        for (line, words) in commands(&text) {
            parsed += 1;
            if let Err(error) = ocellus::app::cli::definition().try_get_matches_from(&words) {
                wrong.push(format!("{}:{line}: {}\n{error}", page.display(), words.join(" ")));
            }
        }
    }
    assert!(parsed > 40, "only {parsed} commands found: are pages read as they are written?");
    assert!(wrong.is_empty(), "the program does not take:\n{}", wrong.join("\n"));
}

/// Commands that need neither data nor a device, and a line of their output.
const RUN: [(&str, &str); 2] = [("plan", "MiB at the peak"), ("summary", "Trainable params: ")];

#[test]
fn commands_without_data_run_as_written() {
    let all = pages().into_iter().flat_map(|(_, page)| commands(&page));
    let mut lines: BTreeSet<Vec<String>> = all.map(|(_, words)| words).collect();
    lines.retain(|words| RUN.iter().any(|(command, _)| words[1] == *command));
    for command in RUN.map(|(command, _)| command) {
        assert!(lines.iter().any(|words| words[1] == command), "no page shows {command}");
    }
    for words in lines {
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let printed = text(&succeed(root(), &arguments).stdout);
        let (_, line) = RUN.iter().find(|(command, _)| words[1] == *command).unwrap();
        assert!(printed.contains(line), "{words:?} printed no {line:?}:\n{printed}");
    }
}

/// The file that a line before a block of code names: `<!-- quoted from shaders/relu/forward.wgsl -->`.
fn quoted_from(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- quoted from ")?.strip_suffix(" -->")
}

/// Whether the lines are in a text one after the other.
fn holds(text: &str, lines: &[&str]) -> bool {
    let text: Vec<&str> = text.lines().collect();
    !lines.is_empty() && text.windows(lines.len()).any(|window| window == lines)
}

/// Blocks that claim to be lines of a file, which they must be; those of WGSL and Rust that claim nothing.
fn quotations(page: &Path, text: &str) -> (usize, Vec<String>) {
    let (mut from, mut count, mut wrong) = (None, 0, Vec::new());
    for part in parts(text) {
        match part {
            Part::Prose { text: "", .. } => {}
            Part::Prose { text, .. } => from = quoted_from(text).map(str::to_string),
            Part::Code { language: "wgsl" | "rust", first, lines } => {
                count += 1;
                let quoted = from.take().and_then(|file| std::fs::read_to_string(root().join(file)).ok());
                if !quoted.is_some_and(|file| holds(&file, &lines)) {
                    wrong.push(format!(
                        "{}:{first}: not the lines of the file that the line before names",
                        page.display()
                    ));
                }
            }
            Part::Code { .. } => from = None,
        }
    }
    (count, wrong)
}

#[test]
fn quoted_lines_are_those_of_their_files() {
    let (mut count, mut wrong) = (0, Vec::new());
    for (page, text) in pages() {
        let found = quotations(&page, &text);
        count += found.0;
        wrong.extend(found.1);
    }
    assert!(count > 20, "only {count} quotations found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let page = |code: &str| format!("<!-- quoted from shaders/relu/backward.wgsl -->\n\n```wgsl\n{code}\n```\n");
    let faults = |text: &str| quotations(Path::new("a.md"), text).1.len();
    assert_eq!(faults(&page("fn each(index: u32) {")), 0);
    assert_eq!(faults(&page("fn each(i: u32) {")), 1);
    assert_eq!(faults("```wgsl\nfn each(index: u32) {\n```\n"), 1);
}

/// Every operation that training uses has a page, or a part of one, with these words.
#[test]
fn operations_are_explained() {
    let page = |name: &str| std::fs::read_to_string(root().join("docs/ops").join(name)).unwrap();
    for (name, words) in [
        ("conv2d.md", "why the kernel is flipped"),
        ("conv2d.md", "Why the bias before a batch norm is not trained"),
        ("max_pool.md", "What happens to ties"),
        ("batch_norm.md", "Why three terms"),
        ("winograd.md", "Why F(4 x 4) is less accurate"),
        ("winograd.md", "The gradients are the transposes"),
        ("softmax_cross_entropy.md", "Without the largest logit"),
        ("adam.md", "Where alpha comes from"),
        ("dense.md", "dw = xT dy"),
    ] {
        assert!(page(name).contains(words), "{name}: no {words:?}");
    }
    let all: String = pages().into_iter().map(|(_, text)| text).collect();
    let folders = std::fs::read_dir(root().join("src/ops")).unwrap().map(|entry| entry.unwrap().path());
    for folder in folders.filter(|path| path.is_dir()) {
        let op = folder.file_name().unwrap().to_str().unwrap();
        let known = ["peak", "bias"].contains(&op) || all.contains(&format!("shaders/{op}"));
        assert!(known, "no page names shaders/{op}");
    }
}

/// The diff of a page, taken back from the tree and applied again: its new lines are there, and nowhere else is one needed.
#[test]
fn the_layer_that_a_page_adds_is_there() {
    let text = std::fs::read_to_string(root().join("docs/add-a-layer.md")).unwrap();
    let mut files = 0;
    for part in parts(&text) {
        let Part::Code { language: "diff", lines, .. } = part else { continue };
        let [before, after, changes @ ..] = &lines[..] else { panic!("a diff of {} lines", lines.len()) };
        let path = after.strip_prefix("+++ b/").unwrap();
        let file = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        files += 1;
        if *before == "--- /dev/null" {
            let added: Vec<&str> = changes.iter().map(|line| line.strip_prefix('+').unwrap()).collect();
            assert_eq!(added.join("\n") + "\n", file, "{path}");
            continue;
        }
        for hunk in changes.split(|line| *line == "@@").skip(1) {
            let with: Vec<&str> = hunk.iter().map(|line| line.get(1..).unwrap_or("")).collect();
            let without: Vec<&str> =
                hunk.iter().filter(|line| !line.starts_with('+')).map(|line| line.get(1..).unwrap_or("")).collect();
            assert!(with.len() > without.len() && !without.is_empty(), "{path}: a hunk adds lines between others");
            assert!(holds(&file, &with), "{path} has no lines\n{}", with.join("\n"));
            let removed = file.replacen(&with.join("\n"), &without.join("\n"), 1);
            assert_eq!(removed.replacen(&without.join("\n"), &with.join("\n"), 1), file, "{path}");
        }
    }
    assert_eq!(files, 5, "files of the layer");
}

#[test]
fn every_option_has_help() {
    let mut silent = Vec::new();
    for command in ocellus::app::cli::definition().get_subcommands() {
        let options = command.get_arguments().filter(|option| option.get_help().is_none());
        silent.extend(options.map(|option| format!("{} {}", command.get_name(), option.get_id())));
    }
    assert!(silent.is_empty(), "no help for: {}", silent.join(", "));
}
