//! The ladders: every rung is proved, what is wrong on purpose is caught, and files stay short and say why.

use ocellus::engine::gpu::translate::{Language, translate};
use ocellus::engine::plan::Plan;
use ocellus::engine::shader::Shaders;
use ocellus::proof::study::ladder::{Ladder, all, named};
use ocellus::proof::study::prove;
use ocellus::proof::study::rung::{How, Rung, rungs};

use crate::common::device::device;
use crate::common::pages::root;
use crate::common::program::{device as choice, ocellus, refuse, succeed, text};

/// Longer files are not read in one go.
const MOST_LINES: usize = 100;

fn climb(ladder: &Ladder, shaders: &Shaders) -> Vec<Rung> {
    let able = |rung: &Rung| rung.runs_with(device().listed.fixed_subgroup());
    rungs(ladder, shaders).unwrap().into_iter().filter(able).collect()
}

fn ladder(op: &str) -> Ladder {
    named(op).pop().unwrap()
}

#[test]
fn every_rung_is_what_it_says() {
    let mut wrong = 0;
    for ladder in all() {
        for rung in climb(&ladder, &Shaders::default()) {
            // Training's convolutions have more cases in tests/conv2d.rs and tests/winograd.rs.
            if matches!(rung.how, How::Training(Some(_))) {
                continue;
            }
            let row = prove(device(), &ladder, &rung, &Shaders::default()).unwrap();
            assert_eq!(row.fault, None, "{}, {}", ladder.op, rung.name);
            assert_eq!(row.loses.is_some(), rung.wrong.is_some(), "{}, {}", ladder.op, rung.name);
            wrong += usize::from(rung.wrong.is_some());
        }
    }
    assert_eq!(wrong, 4, "rungs that are wrong on purpose");
}

#[test]
fn ladders_have_the_rungs_that_the_pages_promise() {
    let count = |op: &str| rungs(&ladder(op), &Shaders::default()).unwrap().len();
    assert!(count("gemm") >= 7, "{} rungs", count("gemm"));
    for ladder in named("conv2d") {
        assert!(count(ladder.op) >= 6, "{}: {} rungs", ladder.op, count(ladder.op));
    }
    for ladder in all() {
        assert!(count(ladder.op) >= 4, "{}: {} rungs", ladder.op, count(ladder.op));
    }
}

/// The row of a rung whose file is changed in one place.
fn changed(op: &str, file: &str, old: &str, new: &str) -> ocellus::proof::study::Row {
    let (ladder, built_in) = (ladder(op), Shaders::default());
    let path = format!("{op}/rungs/{file}");
    let source = built_in.source(&path).unwrap();
    assert!(source.contains(old), "{path} has no {old}");
    let shaders = built_in.with(&path, source.replace(old, new));
    let rung = climb(&ladder, &shaders).into_iter().find(|rung| rung.name == file).unwrap();
    prove(device(), &ladder, &rung, &shaders).unwrap()
}

#[test]
fn a_broken_rung_is_caught() {
    let fault = |row: ocellus::proof::study::Row| row.fault.unwrap_or_else(|| panic!("{} passes", row.rung.name));
    let product = fault(changed("gemm", "5_conflict_free", "k < DEPTH", "k < DEPTH - 1u"));
    assert!(product.contains("out of bounds"), "{product}");
    let flipped = changed("conv2d/data_gradient", "1_direct", "iy + 1u - ky", "iy + ky - 1u");
    assert!(fault(flipped).contains("out of bounds"));
    let welford = changed("batch_norm/statistics", "3_welford", "(value - mean)", "delta");
    assert!(fault(welford).contains("out of bounds"));
}

#[test]
fn a_wrong_rung_that_nothing_shows_is_a_fault() {
    let right = changed("max_pool/backward", "2_first_winner", "// Why:", "// Wrong on purpose: it is not.\n// Why:");
    assert!(right.fault.unwrap().contains("no case shows it: it is not."));
}

/// Every rung, at every size.
fn plans(ladder: &Ladder) -> Vec<(Rung, Plan)> {
    let target = device().target();
    let of = |rung: Rung| {
        let sizes = ladder.sizes.iter().chain(&ladder.timed);
        let plans = sizes.map(|size| rung.plan(ladder, size, &target, Some(8)));
        plans.map(|plan| (rung.clone(), plan.unwrap())).collect::<Vec<_>>()
    };
    rungs(ladder, &Shaders::default()).unwrap().into_iter().flat_map(of).collect()
}

#[test]
fn rungs_are_short_and_run_anywhere() {
    let mut files = 0;
    for ladder in all() {
        for (rung, plan) in plans(&ladder) {
            let How::File(kernel) = rung.how else { continue };
            let lines = Shaders::default().source(kernel.path).unwrap().lines().count();
            assert!(lines <= MOST_LINES, "{}: {lines} lines", kernel.path);
            assert!(rung.why.len() > 20, "{}: {}", kernel.path, rung.why);
            for (step, module) in plan.steps.iter().zip(plan.modules().unwrap()) {
                crate::shaders::check_limits(step, &module);
                for language in Language::ALL {
                    let translated = translate(&module.source, language);
                    let able = !(rung.needs_subgroups && language == Language::Hlsl5);
                    assert_eq!(translated.is_ok(), able, "{}: {language:?}: {:?}", kernel.path, translated.err());
                }
            }
            files += 1;
        }
    }
    assert!(files > 100, "{files} rungs at some size");
}

#[test]
fn a_readers_rung_joins_its_ladder() {
    let folder = tempfile::tempdir().unwrap();
    let rungs = folder.path().join("mine/bias/gradient/rungs");
    std::fs::create_dir_all(&rungs).unwrap();
    let built_in = root().join("shaders/bias/gradient/rungs/3_tree.wgsl");
    let source = std::fs::read_to_string(built_in).unwrap();
    std::fs::write(rungs.join("9_small.wgsl"), source.replace("WORKGROUP: u32 = 256u", "WORKGROUP: u32 = 32u"))
        .unwrap();
    let choice = choice();
    let study = ["study", "bias/gradient", "--json", "--plot", "ladder.png", "--device", &choice, "--shaders", "mine"];
    let printed = text(&succeed(folder.path(), &study).stdout);
    let found: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let rung =
        |name: &str| found[0]["rungs"].as_array().unwrap().iter().find(|rung| rung["rung"] == name).unwrap().clone();
    assert!(rung("9_small")["seconds"].as_f64().unwrap() > 0.0 && rung("9_small")["fault"].is_null());
    assert!(rung("2_no_barrier")["loses"].as_str().unwrap().contains("out of bounds"));
    assert_eq!(rung("1_serial")["factor"], 1.0);
    let picture = image::open(folder.path().join("ladder.png")).unwrap().to_rgb8();
    let marks = picture.pixels().filter(|pixel| pixel.0 == [0, 114, 178]).count();
    assert!(marks > 400, "{marks} pixels of rungs");

    // Two versions of one file, side by side.
    std::fs::rename(rungs.join("9_small.wgsl"), rungs.join("3_tree.wgsl")).unwrap();
    let against = ["study", "bias/gradient", "--device", &choice, "--against", "mine"];
    let printed = text(&succeed(folder.path(), &against).stdout);
    assert!(printed.contains("3_tree  ") && printed.contains("3_tree (mine)"), "{printed}");
    assert!(!printed.contains("1_serial (mine)"), "{printed}");

    // A rung that is wrong and does not say so is a failed check.
    std::fs::write(rungs.join("3_tree.wgsl"), source.replace("thread + step]", "thread]")).unwrap();
    let broken = ["study", "bias", "--shaders", "mine", "--device", &choice];
    let output = ocellus(folder.path()).args(broken).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("FAULT: "), "{}", text(&output.stdout));
}

#[test]
fn what_cannot_be_studied_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = |arguments: &[&str], words: &str| refuse(folder.path(), arguments, &[words]);
    wrong(&["study", "gem"], "no ladder of the name gem; did you mean gemm?");
    wrong(&["study", "xyz"], "no ladder of the name xyz; there is gemm, conv2d/forward");
    wrong(&["study", "gemm", "--device", "cpu"], "the CPU reference runs no kernels");
    wrong(&["study", "conv2d", "--plot", "a.png"], "conv2d has several: conv2d/forward to conv2d/weight_gradient");
    let write = |name: &str, source: &str| {
        let path = folder.path().join("mine").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, source).unwrap();
    };
    write("gem/rungs/9_mine.wgsl", "");
    wrong(&["study", "gemm", "--shaders", "mine"], "gem/rungs/9_mine.wgsl: replaces nothing");
    std::fs::remove_dir_all(folder.path().join("mine")).unwrap();
    let kernel = "@group(0) @binding(0) var<storage, read_write> c: array<f32>;\n@compute @workgroup_size(1)\nfn main() { c[0] = 1.0; }\n";
    write("gemm/rungs/9_mine.wgsl", kernel);
    wrong(&["study", "gemm", "--shaders", "mine"], "9_mine.wgsl: no reason");
    write("gemm/rungs/9_mine.wgsl", &format!("// Why: to see.\n{kernel}"));
    wrong(&["study", "gemm", "--shaders", "mine"], "9_mine.wgsl: const GROUPS: u32 says how many workgroups run");
    write(
        "gemm/rungs/9_mine.wgsl",
        &format!("// Why: to see.\nconst GROUPS: u32 = 1u;\n{}", kernel.replace(" c:", " d:").replace("c[0]", "d[0]")),
    );
    wrong(
        &["study", "gemm", "--shaders", "mine"],
        "gemm binds a, b, c, and scratch where SCRATCH says its vec4s; not d",
    );
}
