//! The rooms of `src/` and the direction of their imports: app -> proof -> network -> ops -> engine, never up, and in no
//! circle of files. A parent module and the files below it are one thing and may name each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// From the lowest to the highest. Files beside the rooms are below all of them.
const ROOMS: [&str; 5] = ["engine", "ops", "network", "proof", "app"];

/// A module's path, without `crate`.
type Module = Vec<String>;

/// The text of each module.
fn sources() -> BTreeMap<Module, String> {
    fn walk(folder: &Path, module: &Module, found: &mut BTreeMap<Module, String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_stem().unwrap().to_str().unwrap().to_string();
            let below = [&module[..], &[name]].concat();
            if entry.is_dir() {
                walk(&entry, &below, found);
            } else if entry.extension().is_some_and(|ending| ending == "rs") {
                found.insert(below, std::fs::read_to_string(&entry).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &Vec::new(), &mut found);
    found
}

/// The paths that a module's text names after `crate::` or `super::`, each group written out one level deep.
fn named(module: &Module, text: &str) -> Vec<Module> {
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut paths = Vec::new();
    for (at, start) in text.match_indices("crate::").chain(text.match_indices("super::")) {
        let before = &text[..at];
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') || before.ends_with("super::") {
            continue;
        }
        // An inline module is one level more, which leads no further up than its file.
        let mut base = if start == "crate::" { Vec::new() } else { module[..module.len() - 1].to_vec() };
        let mut rest = &text[at + start.len()..];
        while let Some(further) = rest.strip_prefix("super::") {
            base.pop();
            rest = further;
        }
        let end = |text: &str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        loop {
            let (name, after) = rest.split_at(end(rest));
            if name.is_empty() {
                let group = after.strip_prefix('{').map_or("", |group| &group[..group.find('}').unwrap()]);
                let names = group.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|name| !name.is_empty());
                paths.extend(names.map(|name| [&base[..], &[name.to_string()]].concat()));
                break;
            }
            base.push(name.to_string());
            match after.strip_prefix("::") {
                Some(further) => rest = further,
                None => break,
            }
        }
        paths.push(base);
    }
    paths
}

/// The modules that each names.
fn arrows(sources: &BTreeMap<Module, String>) -> BTreeMap<&Module, BTreeSet<&Module>> {
    let file_of = |path: &Module| {
        let longest = (1..=path.len()).rev().map(|length| path[..length].to_vec());
        longest.filter_map(|path| sources.get_key_value(&path)).map(|(module, _)| module).next()
    };
    let of = |(module, text): (_, &String)| {
        let to: BTreeSet<_> = named(module, text).iter().filter_map(file_of).filter(|to| *to != module).collect();
        (module, to)
    };
    sources.iter().map(of).collect()
}

fn room(module: &Module) -> usize {
    ROOMS.iter().position(|room| *room == module[0]).map_or(0, |at| at + 1)
}

fn shown(module: &Module) -> String {
    module.join("::")
}

fn related(a: &Module, b: &Module) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

#[test]
fn no_import_leads_up() {
    let sources = sources();
    let mut up = Vec::new();
    for (from, to) in arrows(&sources) {
        // The crate's root names all rooms.
        let entry = ["lib", "main"].contains(&&from[0][..]);
        up.extend(to.iter().filter(|to| !entry && room(to) > room(from)).map(|to| shown(from) + " -> " + &shown(to)));
    }
    assert!(up.is_empty(), "{}", up.join("\n"));
    let in_rooms = sources.keys().filter(|module| room(module) > 0).count();
    assert!(in_rooms > 100, "{in_rooms} files in rooms: the test looks in the wrong place");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources();
    let arrows = arrows(&sources);
    // What is reached from each; the tree is small.
    let reached = |start: &Module| {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![start]);
        while let Some(module) = waiting.pop() {
            for &next in arrows[module].iter().filter(|next| !related(next, module)) {
                if seen.insert(next) {
                    waiting.push(next);
                }
            }
        }
        seen
    };
    let all: BTreeMap<&Module, _> = sources.keys().map(|module| (module, reached(module))).collect();
    let circles: Vec<String> = all.iter().filter(|(module, to)| to.contains(*module)).map(|(m, _)| shown(m)).collect();
    assert!(circles.is_empty(), "in a circle:\n{}", circles.join("\n"));
}

#[test]
fn paths_are_found_in_texts() {
    let module = ["ops", "relu", "steps"].map(String::from).to_vec();
    let text = "use super::{Problem, twin};\nuse crate::engine::plan::{Plan, Step}; // crate::app::cli\n\
                use super::super::bias;\nlet x = crate::app::cli::main();\n";
    let found: BTreeSet<String> = named(&module, text).iter().map(shown).collect();
    let want = [
        "app::cli::main",
        "engine::plan",
        "engine::plan::Plan",
        "engine::plan::Step",
        "ops::bias",
        "ops::relu",
        "ops::relu::Problem",
        "ops::relu::twin",
    ];
    assert_eq!(found, want.map(String::from).into());
}
