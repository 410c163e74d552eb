//! Lists the files below `shaders/`, so that all of them are built into the program: a new one needs no line anywhere. Beside
//! them, the sources that `ocellus atlas` shows: the chapters of `src/ops`, bounds, and the mutants.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let (mut shaders, mut sources) = (Vec::new(), Vec::new());
    collect(&root.join("shaders"), "wgsl", &mut shaders);
    collect(&root.join("src/ops"), "rs", &mut sources);
    collect(&root.join("src/engine/bound"), "rs", &mut sources);
    // Tests are not part of a package.
    sources.extend(Some(root.join("tests/mutants.toml")).filter(|mutants| mutants.exists()));
    let below = |root: &Path, file: &Path| {
        let below = file.strip_prefix(root).expect("files of the folder");
        below.to_str().expect("sources have plain names").replace('\\', "/")
    };
    let shader = |file: &PathBuf| (below(&root.join("shaders"), &file.with_extension("")), file.clone());
    write("shaders.rs", shaders.iter().map(shader));
    write("sources.rs", sources.iter().map(|file| (below(&root, file), file.clone())));
    for path in ["shaders", "src/ops", "src/engine/bound", "tests/mutants.toml"] {
        if root.join(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// Writes a table of names and texts.
fn write(name: &str, files: impl Iterator<Item = (String, PathBuf)>) {
    let mut entries: Vec<String> =
        files.map(|(name, file)| format!("    ({name:?}, include_str!({file:?})),\n")).collect();
    entries.sort();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join(name);
    let table = format!("&[\n{}]\n", entries.concat());
    fs::write(&out, table).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

fn collect(folder: &Path, ending: &str, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.expect("a folder can be listed").path()) {
        if path.is_dir() {
            collect(&path, ending, files);
        } else if path.extension().is_some_and(|found| found == ending) {
            files.push(path);
        }
    }
}
