//! Every kernel is broken in several ways, and the doctor's cases have to notice each. The mutants are in
//! `mutants.toml`; `OCELLUS_WRITE_MUTANTS=1 cargo test --release --test mutants` writes what caught each to `MUTANTS.md`.

mod common;

use std::fmt::Write;
use std::path::Path;

use common::device;
use common::mutants::{Mutant, list};
use ocellus::doctor::cases::{self, Case};
use ocellus::doctor::variants::{self, Variant};
use ocellus::gpu::Device;

/// Fewer would not do for a kernel.
const LEAST: usize = 3;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The first case, in any variant, whose results a mutant puts out of bounds. Checked shaders keep one that reads or
/// writes past an end from doing it to this program's memory.
fn caught_by(device: &Device, cases: &[Case], variants: &[Variant], path: &str, mutant: &Mutant) -> Option<String> {
    for case in cases {
        for variant in variants {
            let mut plan = case.plan(&variant.target);
            if !mutant.put_into(&mut plan, path) {
                continue;
            }
            let findings = case.run(device, plan).unwrap_or_else(|error| panic!("{path}, {}: {error}", mutant.what));
            if !findings.passed() {
                return Some(format!("{}: {}", case.kernel, case.about));
            }
        }
    }
    None
}

#[test]
fn no_mutant_survives() {
    let device = device::open(true);
    let (cases, variants) = (cases::all(), variants::of(&device));
    let mut table = "# Mutants\n\n\
        Each kernel broken in one place (`mutants.toml`), and the first of the doctor's cases that caught it.\n\n\
        | kernel | fault | caught by |\n| --- | --- | --- |\n"
        .to_string();
    let mut survivors = Vec::new();
    for (path, mutants) in list() {
        for mutant in mutants {
            let what = &mutant.what;
            match caught_by(&device, &cases, &variants, &path, &mutant) {
                Some(case) => writeln!(table, "| {path} | {what} | {case} |").unwrap(),
                // Only on some devices is there a subgroup of one size.
                None if path == "lib/gemm_subgroup" && device.listed.fixed_subgroup().is_none() => {}
                None => survivors.push(format!("{path}: {what}")),
            }
        }
    }
    assert!(survivors.is_empty(), "not caught:\n{}", survivors.join("\n"));
    if std::env::var_os("OCELLUS_WRITE_MUTANTS").is_some() {
        std::fs::write(root().join("tests/MUTANTS.md"), table).unwrap();
    }
}

#[test]
fn every_shader_has_its_mutants_and_the_table_lists_them() {
    let (mutants, table) = (list(), std::fs::read_to_string(root().join("tests/MUTANTS.md")).unwrap());
    for folder in std::fs::read_dir(root().join("shaders")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            let path = file.strip_prefix(root().join("shaders")).unwrap().with_extension("");
            let path = path.to_str().unwrap().replace('\\', "/");
            let of_it = mutants.get(&path).map_or(0, Vec::len);
            assert!(of_it >= LEAST, "{path}: {of_it} mutants");
        }
    }
    for (path, mutants) in mutants {
        for mutant in mutants {
            let line = format!("| {path} | {} |", mutant.what);
            assert!(table.contains(&line), "tests/MUTANTS.md has no line {line}");
        }
    }
}
