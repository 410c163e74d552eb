//! Lists the files below `shaders/`, so that all of them are built into the program: a new one needs no line anywhere.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=shaders");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("shaders");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let entries = files.iter().map(|file| {
        let below = file.strip_prefix(&root).expect("files of the folder").with_extension("");
        let name = below.to_str().expect("shaders have plain names").replace('\\', "/");
        format!("    ({name:?}, include_str!({file:?})),\n")
    });
    let table = format!("&[\n{}]\n", entries.collect::<String>());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("shaders.rs");
    fs::write(&out, table).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.expect("a folder can be listed").path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "wgsl") {
            files.push(path);
        }
    }
}
