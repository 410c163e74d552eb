//! Every kernel is broken in several ways, and the doctor's cases have to notice each. The mutants are in
//! `mutants.toml`; coefficients, constants and factors that are off by 2e-4 are found by rule (`common/small_faults.rs`).
//! `OCELLUS_WRITE_MUTANTS=1 cargo test --release mutants::` writes what caught each to `MUTANTS.md`. Those that this device
//! does not run, as those of matrix units, keep their lines: `scripts/portability/run.py units` runs them.

use std::fmt::Write;
use std::path::Path;

use crate::common::device;
use crate::common::mutants::{Mutant, list, shader_paths};
use crate::common::small_faults;
use ocellus::engine::gpu::Device;
use ocellus::engine::plan::{Plan, Target};
use ocellus::ops;
use ocellus::ops::case::Case;
use ocellus::proof::doctor::trial::run;
use ocellus::proof::doctor::{distinct, targets};

/// Fewer would not do for a kernel.
const LEAST: usize = 3;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// How a mutant fared.
enum Fate {
    CaughtBy(String),
    Survived,
    /// No variant of this device runs the shader.
    NotRun,
}

/// A case in one variant.
struct Run<'a> {
    case: &'a Case,
    target: &'a Target,
    /// The device's own choice of a variant is the first.
    number: usize,
    /// Matrix products take the longest to compile.
    is_product: bool,
}

fn runs<'a>(cases: &'a [Case], targets: &'a [Target]) -> Vec<Run<'a>> {
    let number = |target: &Target| targets.iter().position(|other| other == target).unwrap();
    let of_case = move |case: &'a Case| {
        let is_product = |plan: &Plan| plan.steps.iter().any(|step| step.kernel.chosen == Some(plan.core().library()));
        let run = move |(target, plan): (&'a Target, Plan)| Run {
            case,
            target,
            number: number(target),
            is_product: is_product(&plan),
        };
        distinct(case, targets).into_iter().map(run)
    };
    cases.iter().flat_map(of_case).collect()
}

/// Runs the cases, in every variant, up to the first whose results are out of bounds: those of the kernel itself and
/// those that compile soonest first. Checked shaders keep a mutant that reads or writes past an end from doing it to this
/// program's memory.
fn fate(device: &Device, runs: &mut [Run], path: &str, mutant: &Mutant) -> Fate {
    runs.sort_by_key(|run| (run.case.kernel != path, run.is_product, !run.case.telling, run.number));
    let mut fate = Fate::NotRun;
    for Run { case, target, .. } in runs {
        let mut plan = case.plan(target);
        if !mutant.put_into(&mut plan, path) {
            continue;
        }
        fate = Fate::Survived;
        let findings = run(case, device, plan).unwrap_or_else(|error| panic!("{path}, {}: {error}", mutant.what));
        if !findings.passed() {
            return Fate::CaughtBy(format!("{}: {}", case.kernel, case.about));
        }
    }
    fate
}

/// The line of a mutant in the table, up to what caught it.
fn line_of(path: &str, what: &str) -> String {
    format!("| {path} | {what} |")
}

/// With OCELLUS_MUTANTS set, only those of the shaders whose paths contain it, by the cases that run them.
#[test]
fn no_mutant_survives() {
    let only = std::env::var("OCELLUS_MUTANTS").unwrap_or_default();
    let device = device::open(true);
    let (cases, targets) = (ops::cases(), targets(&device));
    let mut runs = runs(&cases, &targets);
    let runs_any = |run: &Run| {
        let files = run.case.plan(run.target).files().unwrap();
        files.iter().flatten().any(|file| file.contains(&only))
    };
    runs.retain(runs_any);
    assert!(!runs.is_empty(), "this device runs no shader of a name with {only}");
    // A case that fails without a fault would seem to catch everything.
    for Run { case, target, .. } in runs.iter().filter(|run| run.case.telling) {
        let findings = run(case, &device, case.plan(target)).unwrap_or_else(|error| panic!("{error}"));
        assert!(findings.passed(), "{}, {}, unbroken:\n{}", case.kernel, case.about, findings.faults.join("\n"));
    }
    let mut table = "# Mutants\n\n\
        Each kernel broken in one place (`mutants.toml`), and the first of the doctor's cases that caught it.\n\
        Besides, every coefficient, constant and factor is made wrong by 2e-4, one at a time, by rule \
        (`common/small_faults.rs`).\n\n\
        | kernel | fault | caught by |\n| --- | --- | --- |\n"
        .to_string();
    let before = std::fs::read_to_string(root().join("tests/MUTANTS.md")).unwrap_or_default();
    let (mut caught, mut survivors) = (0, Vec::new());
    for (path, mutants) in list() {
        for mutant in mutants {
            let what = &mutant.what;
            let fate = if path.contains(&only) { fate(&device, &mut runs, &path, &mutant) } else { Fate::NotRun };
            match fate {
                Fate::CaughtBy(case) => {
                    caught += 1;
                    writeln!(table, "{} {case} |", line_of(&path, what)).unwrap();
                }
                Fate::Survived => survivors.push(format!("{path}: {what}")),
                Fate::NotRun => {
                    if path.contains(&only) {
                        println!("{path}: {what}: not run on this device");
                    }
                    let known = before.lines().find(|line| line.starts_with(&line_of(&path, what)));
                    table.extend(known.map(|line| format!("{line}\n")));
                }
            }
        }
    }
    println!("{caught} mutants caught");
    assert!(survivors.is_empty(), "not caught:\n{}", survivors.join("\n"));
    if std::env::var_os("OCELLUS_WRITE_MUTANTS").is_some() {
        std::fs::write(root().join("tests/MUTANTS.md"), table).unwrap();
    }
}

/// Small faults that change no result, by shader and by what they are, and why not.
const EQUAL: [(&str, &str, &str); 3] = [
    ("softmax_cross_entropy/forward", "((logits[base + top]) * 1.0002)", "a shift of all exponents cancels"),
    ("winograd/output_statistics", "rounded_to_half(y[to])", "halves are what is read there"),
    ("conv2d/forward_statistics", "rounded_to_half(y[to])", "halves are what is read there"),
];

/// With OCELLUS_SMALL_FAULTS set, only those of the shaders whose paths contain it.
#[test]
fn no_small_fault_survives() {
    let only = std::env::var("OCELLUS_SMALL_FAULTS").unwrap_or_default();
    let device = device::open(true);
    let (cases, targets) = (ops::cases(), targets(&device));
    let mut runs = runs(&cases, &targets);
    let (mut caught, mut survivors) = (0, Vec::new());
    for (path, mutant) in small_faults::list().into_iter().filter(|(path, _)| path.contains(&only)) {
        let what = &mutant.what;
        if EQUAL.iter().any(|(equal, fault, _)| *equal == path && what.ends_with(fault)) {
            continue;
        }
        match fate(&device, &mut runs, &path, &mutant) {
            Fate::CaughtBy(_) => caught += 1,
            Fate::Survived => survivors.push(format!("{path}, {what}")),
            Fate::NotRun => println!("{path}, {what}: not run on this device"),
        }
    }
    println!("{caught} small faults caught");
    assert!(survivors.is_empty(), "not caught:\n{}", survivors.join("\n"));
}

#[test]
fn small_faults_are_found_by_rule() {
    let sample = |line: &str| {
        format!(
            "const SHARE: f32 = 0.5f; // 7.0\nconst SIZE: u32 = 2u;\n\
             @group(0) @binding(0) var<storage, read> x: array<vec4<f32>>; // x[9]\n\
             @group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;\n\
             fn main() {{\n    if x[0u].x > 0.0 {{\n        {line}\n    }}\n}}\n"
        )
    };
    let source = sample("y[1u] += SHARE - x[2u] * 1.5e-3 / f32(SIZE);");
    let faults = small_faults::of("sample", &source);
    let want = [
        "y[1u] += (SHARE * 1.0002) - x[2u] * 1.5e-3 / f32(SIZE);",
        "y[1u] += ((SHARE - x[2u] * 1.5e-3 / f32(SIZE)) * 1.0002);",
        "y[1u] += SHARE - (x[2u] * 1.0002) * 1.5e-3 / f32(SIZE);",
        "y[1u] += SHARE - x[2u] * (1.5e-3 * 1.0002) / f32(SIZE);",
        "y[1u] += SHARE - x[2u] * 1.5e-3 / (f32(SIZE) * 1.0002);",
    ];
    assert_eq!(faults.iter().map(|fault| fault.of(&source)).collect::<Vec<_>>(), want.map(sample));
    // And x rounded to half precision.
    assert_eq!(small_faults::of("dense/sample", &source).len(), want.len() + 1);
}

#[test]
fn every_shader_has_its_mutants_and_the_table_lists_them() {
    let (mutants, table) = (list(), std::fs::read_to_string(root().join("tests/MUTANTS.md")).unwrap());
    for path in shader_paths() {
        let of_it = mutants.get(&path).map_or(0, Vec::len);
        assert!(of_it >= LEAST, "{path}: {of_it} mutants");
    }
    for (path, mutants) in mutants {
        for mutant in mutants {
            let line = line_of(&path, &mutant.what);
            assert!(table.contains(&line), "tests/MUTANTS.md has no line {line}");
        }
    }
}
