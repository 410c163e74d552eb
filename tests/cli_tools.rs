//! The commands for those who look closer: `profile`, `shaders`, `export` and what `--init` makes of its file.

use approx::assert_relative_eq;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ocellus::app::checkpoint;
use ocellus::app::config::Config;
use ocellus::app::data::{Resampling, synthetic};
use ocellus::app::train::files;
use ocellus::engine::plan::Target;
use ocellus::network::compile::training;
use ocellus::network::tutorial;
use serde_json::Value;

fn ocellus(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ocellus"));
    command.current_dir(folder).env("OCELLUS_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command.args(arguments).output().unwrap()
}

#[track_caller]
fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = ocellus(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refuse(folder: &Path, arguments: &[&str], words: &[&str]) {
    let output = ocellus(folder, arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    for word in words {
        assert!(message.contains(word) && !message.contains("panicked"), "{arguments:?}: no {word:?} in {message}");
    }
}

const NETWORK: [&str; 6] = ["--image-size", "32", "--width", "0.0625", "--batch", "3"];

/// A folder with one shader file, changed in one place.
fn shaders(name: &str, old: &str, new: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kernels").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders").join(name)).unwrap();
    assert!(source.contains(old), "{name} has no {old}");
    std::fs::write(path, source.replace(old, new)).unwrap();
    folder
}

/// A kernel is changed and proved with no build: right or wrong, as it stands in the folder.
#[test]
fn kernels_are_read_from_a_folder() {
    let device = std::env::var("OCELLUS_TEST_DEVICE").unwrap_or("auto".into());
    let doctor = ["doctor", "--device", &device, "--shaders", "kernels", "--only", "relu/forward.wgsl"];
    let right = shaders("relu/forward.wgsl", "WORKGROUP: u32 = 256u", "WORKGROUP: u32 = 32u");
    let found = succeed(right.path(), &doctor);
    assert!(found.contains("relu/forward") && !found.contains("a training step"), "{found}");
    let wrong = shaders("relu/forward.wgsl", "vec4(0.0), x", "vec4(0.5), x");
    let output = ocellus(wrong.path(), &doctor);
    let [found, said] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(found.contains("WRONG") && said.contains("Shaders: relu/forward.wgsl of kernels (hash "), "{found}{said}");

    let profile = [&["profile", "--device", &device, "--classes", "3", "--shaders", "kernels"], &NETWORK[..]].concat();
    assert!(succeed(right.path(), &profile).contains("conv1"));
}

/// What is wrong with a file is said by name before anything runs.
#[test]
fn unusable_kernels_are_refused() {
    let device = std::env::var("OCELLUS_TEST_DEVICE").unwrap_or("auto".into());
    let doctor = ["doctor", "--device", &device, "--shaders", "kernels"];
    let profile = ["profile", "--device", &device, "--shaders", "kernels"];
    let invalid = shaders("relu/forward.wgsl", "select(", "choose(");
    let position = Path::new("kernels").join("relu").join("forward.wgsl");
    refuse(invalid.path(), &doctor, &["no definition in scope", &format!("{}:", position.display()), "^^^^^^ "]);
    let constant = shaders("conv2d/weight_gradient.wgsl", "CIN4", "CIN_4");
    let words = ["weight_gradient.wgsl: no constant CIN4"];
    refuse(constant.path(), &[&doctor[..], &["--only", "conv2d/weight_gradient"]].concat(), &words);
    refuse(constant.path(), &[&profile[..], &NETWORK].concat(), &words);
    let binding =
        shaders("relu/forward.wgsl", "> x:", "> more: array<f32>;\n@group(0) @binding(2) var<storage, read> x:");
    refuse(binding.path(), &doctor, &["forward.wgsl: nothing is bound to more"]);
    let folder = tempfile::tempdir().unwrap();
    refuse(folder.path(), &doctor, &["kernels: "]);
    std::fs::create_dir_all(folder.path().join("kernels/lib")).unwrap();
    refuse(folder.path(), &doctor, &["kernels: no .wgsl file is below it"]);
    std::fs::write(folder.path().join("kernels/lib/gem.wgsl"), "").unwrap();
    refuse(folder.path(), &doctor, &["gem.wgsl: replaces nothing: no shader is called lib/gem"]);
    refuse(
        folder.path(),
        &["doctor", "--device", &device, "--only", "lib/gem"],
        &["of the name lib/gem; did you mean lib/gemm"],
    );
    let misspelt = ["doctor", "--device", &device, "--only", "conv2d/forwrad"];
    refuse(folder.path(), &misspelt, &["of the name conv2d/forwrad; did you mean conv2d/forward?"]);
    let right = shaders("relu/forward.wgsl", "256u", "32u");
    refuse(right.path(), &["train", "--device", "cpu", "--shaders", "kernels"], &["the CPU reference runs no shaders"]);
}

/// Pixels of a colour; the picture's edge has to be white.
fn count(path: &Path, colour: [u8; 3]) -> usize {
    let picture = image::open(path).unwrap().to_rgb8();
    let (width, height) = picture.dimensions();
    let is_edge = |x: u32, y: u32| x < 3 || y < 3 || x >= width - 3 || y >= height - 3;
    assert!(picture.enumerate_pixels().all(|(x, y, pixel)| !is_edge(x, y) || pixel.0 == [255; 3]), "ink at the edge");
    picture.pixels().filter(|pixel| pixel.0 == colour).count()
}

#[test]
fn the_memory_of_a_plan_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.png");
    for size in ["32", "224"] {
        let printed = succeed(folder.path(), &["plan", "--image-size", size, "--plot", "plan.png"]);
        assert!(printed.contains("MiB at the peak"));
        let (activations, gradients) = (count(&path, [86, 180, 233]), count(&path, [230, 159, 0]));
        assert!(activations > 1000 && gradients > 1000, "{activations} and {gradients} pixels");
    }
    // What runs after the step takes no gradients.
    succeed(folder.path(), &["plan", "--inference", "--plot", "plan.png"]);
    assert!(count(&path, [86, 180, 233]) > 1000);
    refuse(folder.path(), &["plan", "--plot", "nowhere/plan.png"], &["plan.png"]);
}

/// A time line with the host's part, and every step of the device after the one before.
#[test]
fn a_profile_is_drawn_and_traced() {
    let folder = tempfile::tempdir().unwrap();
    let device = std::env::var("OCELLUS_TEST_DEVICE").unwrap_or("auto".into());
    let files = ["--plot", "roof.png", "--trace", "trace.json", "--json"];
    let profile = [&["profile", "--classes", "3", "--device", &device], &NETWORK[..], &files].concat();
    let profile: Value = serde_json::from_str(&succeed(folder.path(), &profile)).unwrap();
    assert!(count(&folder.path().join("roof.png"), [0, 114, 178]) > 100);
    let trace = std::fs::read(folder.path().join("trace.json")).unwrap();
    let trace: Value = serde_json::from_slice(&trace).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let of = |pid: u64| events.iter().filter(move |event| event["ph"] == "X" && event["pid"] == pid);
    assert_eq!(of(1).count(), 2);
    let (mut end, mut steps) = (0.0, profile["steps"].as_array().unwrap().iter());
    for event in of(2) {
        assert_relative_eq!(event["ts"].as_f64().unwrap(), end, epsilon = 1e-3);
        end += event["dur"].as_f64().unwrap();
        let step = steps.next().unwrap();
        assert_eq!((&event["name"], &event["args"]["kernel"]), (&step["name"], &step["kernel"]));
    }
    assert!(end > 0.0 && steps.next().is_none());
    let only = ["profile", "--only", "relu/forward", "--plot", "roof.png"];
    refuse(folder.path(), &only, &["--only"]);
}

/// Times are what they are; that every step has one, and that an operation has those of its steps, is not up to them.
#[test]
fn a_step_is_profiled() {
    let folder = tempfile::tempdir().unwrap();
    let device = std::env::var("OCELLUS_TEST_DEVICE").unwrap_or("auto".into());
    let profile = |more: &[&str]| {
        succeed(folder.path(), &[&["profile", "--classes", "3", "--device", &device], &NETWORK[..], more].concat())
    };
    let json: Value = serde_json::from_str(&profile(&["--json"])).unwrap();
    let sum = |of: &str, key: &str| {
        let numbers: Vec<f64> = json[of].as_array().unwrap().iter().map(|each| each[key].as_f64().unwrap()).collect();
        assert!(numbers.iter().all(|number| *number >= 0.0));
        numbers.iter().sum::<f64>()
    };
    assert!(
        json["peaks"]["gflops"].as_f64().unwrap() > 0.0 && json["peaks"]["gbytes_per_second"].as_f64().unwrap() > 0.0
    );
    for key in ["gflop", "gbytes"] {
        let (steps, operations) = (sum("steps", key), sum("operations", key));
        assert!(steps > 0.0, "{key}: {steps}");
        assert_relative_eq!(steps, operations, max_relative = 1e-9);
    }
    assert!(sum("steps", "seconds") > 0.0 && sum("operations", "seconds") > 0.0);
    // The median of the runs is between the shortest and the longest, and these are of different runs.
    let (mut all, mut apart) = (vec![(&json["step_seconds"], &json["step_range"])], 0);
    for of in ["steps", "operations"] {
        all.extend(json[of].as_array().unwrap().iter().map(|each| (&each["seconds"], &each["range"])));
    }
    for (seconds, range) in all {
        let [seconds, least, most] = [seconds, &range[0], &range[1]].map(|number| number.as_f64().unwrap());
        assert!(least <= seconds && seconds <= most, "{seconds} of {range}");
        apart += usize::from(least < most);
    }
    assert!(apart > 0);
    let names = |of: &str| json[of].as_array().unwrap().iter().map(|each| each["name"].clone()).collect::<Vec<_>>();
    let plan = training(&tutorial(32, 0.0625, 3), 3, &Target::default());
    for node in &plan.nodes {
        assert!(names("operations").contains(&Value::from(node.name.clone())), "{} has no row", node.name);
    }
    let text = profile(&[]);
    for word in ["conv8 forward", "of 5 runs", "GFLOP/s", "sum of the operations", "MiB on the device"] {
        assert!(text.contains(word), "no {word} in {text}");
    }
    refuse(folder.path(), &[&["profile", "--device", "cpu"], &NETWORK[..]].concat(), &["no kernels", "--device"]);

    // One kernel alone: its steps, and no others.
    let only = profile(&["--json", "--only", "batch_norm/normalize.wgsl"]);
    let only: Value = serde_json::from_str(&only).unwrap();
    let is_one = |step: &Value| step["kernel"] == "batch_norm/normalize" && step["seconds"].as_f64().unwrap() >= 0.0;
    assert!(only.as_array().unwrap().len() == 8 && only.as_array().unwrap().iter().all(is_one), "{only}");
    assert!(profile(&["--only", "lib/product"]).contains("conv1 forward"));
    let none = [&["profile", "--device", &device, "--only", "add/forward"], &NETWORK[..]].concat();
    refuse(folder.path(), &none, &["no step of this network", "runs a shader of the name add/forward\n"]);
    let misspelt = [&["profile", "--device", &device, "--only", "conv2d/foward"], &NETWORK[..]].concat();
    refuse(
        folder.path(),
        &misspelt,
        &["--only: there is no shader of the name conv2d/foward; did you mean conv2d/forward"],
    );
}

#[test]
fn modules_are_written_for_other_compilers() {
    let folder = tempfile::tempdir().unwrap();
    let modules = |out: &str, more: &[&str]| {
        let said = succeed(folder.path(), &[&["shaders", "--out", out], &NETWORK[..], more].concat());
        let files = std::fs::read_dir(folder.path().join(out)).unwrap().map(|file| file.unwrap().path());
        let sources: Vec<String> = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
        assert!(said.starts_with(&format!("{} modules", sources.len())) && sources.len() > 40, "{said}");
        for source in &sources {
            wgpu::naga::front::wgsl::parse_str(source)
                .unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
        }
        sources
    };
    let subgroups = |sources: Vec<String>| sources.iter().any(|source| source.contains("subgroupBroadcast"));
    assert!(!subgroups(modules("everywhere", &[])));
    assert!(subgroups(modules("software", &["--subgroup", "8"])));
    // What every file in a language holds: SPIR-V its magic number, the others how they declare a kernel.
    for (format, ending, holds) in [
        ("spirv", "spv", &[3, 2, 35, 7][..]),
        ("msl", "metal", b"kernel void main_("),
        ("hlsl", "hlsl", b"[numthreads("),
        ("hlsl5", "hlsl", b"[numthreads("),
    ] {
        succeed(folder.path(), &[&["shaders", "--out", format, "--format", format], &NETWORK[..]].concat());
        let files = std::fs::read_dir(folder.path().join(format)).unwrap().map(|file| file.unwrap().path());
        let files: Vec<PathBuf> = files.collect();
        assert!(files.len() > 40, "{format}: {} files", files.len());
        for file in files {
            assert_eq!(file.extension().unwrap(), ending);
            let found = std::fs::read(&file).unwrap().windows(holds.len()).any(|bytes| bytes == holds);
            assert!(found, "{}", file.display());
        }
    }
    std::fs::write(folder.path().join("file"), "mine").unwrap();
    refuse(folder.path(), &["shaders", "--out", "file"], &["file"]);
}

/// An option that would have no effect is refused, not ignored; sizes that are only defaults are no options.
#[test]
fn the_doctor_refuses_options_without_effect() {
    let folder = tempfile::tempdir().unwrap();
    const SIZES: [[&str; 2]; 4] = [["--image-size", "64"], ["--batch", "2"], ["--width", "0.5"], ["--classes", "4"]];
    for size in SIZES {
        for of in [&["--gradients"][..], &["--golden", ".", "--device", "cpu"]] {
            refuse(folder.path(), &[&["doctor"], of, &size].concat(), &["cannot be used with", size[0]]);
        }
    }
    for option in [
        &["--checked-shaders"][..],
        &["--default-limits"],
        &["--max-binding-mib", "64"],
        &["--max-dispatch-ms", "50"],
        &["--device", "cpu"],
        &["--all"],
    ] {
        refuse(folder.path(), &[&["doctor", "--gradients"], option].concat(), &["cannot be used with", option[0]]);
    }
    succeed(folder.path(), &["doctor", "--gradients"]);
}

/// What the command line leaves out is as the run's config says: how photographs are resized, and the tables' columns.
#[test]
fn a_run_is_tested_by_its_own_settings() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    synthetic::write(&folder.join("data"), &synthetic::Options { images: 48, size: 48.into(), seed: 1 }, |_, _| ())
        .unwrap();
    let train = ["train", "--data", "data", "--out", "run", "--epochs", "1", "--device", "cpu"];
    succeed(folder, &[&train[..], &NETWORK[..]].concat());
    let predict = |weights: &str, more: &[&str]| {
        let arguments = ["predict", weights, "data/img", "--format", "csv", "--device", "cpu"];
        succeed(folder, &[&arguments[..], more].concat())
    };
    const EVALUATE: [&str; 6] = ["evaluate", "run", "--data", "data", "--device", "cpu"];
    let (lanczos, nearest) = (predict("run", &["--resize", "lanczos"]), predict("run", &["--resize", "nearest"]));
    assert!(lanczos != nearest && predict("run", &[]) == lanczos);
    let report = succeed(folder, &[&EVALUATE[..], &["--resize", "nearest"]].concat());

    let path = folder.join("run").join(files::CONFIG);
    let mut config = Config::load(&path).unwrap();
    config.test_resize = Resampling::Nearest;
    config.columns.filename = "file".into();
    std::fs::write(&path, config.to_toml().unwrap()).unwrap();
    assert!(predict("run", &[]) == nearest && predict("run", &["--resize", "lanczos"]) == lanczos);
    assert!(predict("run/best.safetensors", &[]) == lanczos, "a file has no settings");

    let table = folder.join("data/test.csv");
    let whole = std::fs::read_to_string(&table).unwrap();
    refuse(folder, &EVALUATE, &["no column `file`"]);
    std::fs::write(&table, whole.replacen("filename", "file", 1)).unwrap();
    assert_eq!(succeed(folder, &EVALUATE), report);
    refuse(folder, &[&EVALUATE[..], &["--filename-column", "filename"]].concat(), &["no column `filename`"]);

    std::fs::write(&path, "test_resize = 3\n").unwrap();
    let place = format!("run/{}:1: ", files::CONFIG);
    refuse(folder, &EVALUATE, &[&place]);
    refuse(folder, &["predict", "run", "data/img", "--device", "cpu"], &[&place]);
    std::fs::remove_file(&path).unwrap();
    assert!(predict("run", &[]) == lanczos, "without settings, the defaults");
}

/// Weights that go out to Keras and come back as a start are the same weights.
#[test]
fn exported_weights_are_a_start() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    synthetic::write(&folder.join("data"), &synthetic::Options { images: 48, size: 32.into(), seed: 1 }, |_, _| ())
        .unwrap();
    let train = |out: &str, more: &[&str]| {
        let arguments = ["train", "--data", "data", "--device", "cpu", "--epochs", "1", "--out", out];
        succeed(folder, &[&arguments[..], &NETWORK[..], more].concat())
    };
    train("run", &[]);
    let run = folder.join("run");
    assert!(succeed(folder, &["export", "run", "--format", "onnx"]).contains("classes"));
    assert!(std::fs::read(run.join("best.onnx")).unwrap().len() > 10_000);
    succeed(folder, &["export", "run", "--format", "keras", "--out", "start.h5"]);
    refuse(folder, &["export", "nowhere", "--format", "onnx"], &["nowhere"]);

    // At a rate of 0 a run keeps what it starts from.
    train("again", &["--init", "start.h5", "--lr", "1e-30"]);
    let tensor = |run: &str, name: &str| {
        let (tensors, _) = checkpoint::load(&folder.join(run).join(files::BEST)).unwrap();
        tensors.into_iter().find(|tensor| tensor.name == name).unwrap().data
    };
    for name in ["conv3.kernel", "dense2.bias"] {
        assert!(tensor("run", name) == tensor("again", name), "{name}");
    }
    refuse(folder, &["train", "--data", "data", "--out", "more", "--init", "data/data.csv"], &["data.csv"]);
}

/// The exchanges are those of the plan, with the time that each took.
#[test]
fn exchanges_between_devices_are_timed() {
    let folder = tempfile::tempdir().unwrap();
    let device = std::env::var("OCELLUS_TEST_DEVICE").unwrap_or("0".into());
    let devices = format!("{device},{device}");
    let shape = ["--image-size", "32", "--width", "0.0625", "--classes", "3", "--batch", "4", "--json"];
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&succeed(folder.path(), &[arguments, &shape[..]].concat())).unwrap()
    };
    let profile = json(&["profile", "--devices", &devices]);
    let plan = json(&["plan", "--devices", "2"]);
    let (timed, planned) = (profile["exchanges"].as_array().unwrap(), plan["exchanges"].as_array().unwrap());
    assert_eq!(timed.len(), planned.len());
    for (timed, planned) in timed.iter().zip(planned) {
        assert_eq!(timed["name"], planned["name"]);
        assert!(timed["given"].as_u64().unwrap() > 0 && timed["given"] == timed["got"]);
        assert!(["given", "got"].iter().all(|bytes| timed[bytes] == planned[bytes]));
        let [least, most] = [0, 1].map(|end| timed["range"][end].as_f64().unwrap());
        let seconds = timed["seconds"].as_f64().unwrap();
        assert!(0.0 < least && least <= seconds && seconds <= most, "{least} {seconds} {most}");
    }
    let sum: f64 = timed.iter().map(|one| one["seconds"].as_f64().unwrap()).sum();
    assert!(sum < profile["step_seconds"].as_f64().unwrap());
    refuse(folder.path(), &["profile", "--devices", &device], &["name several"]);
    refuse(folder.path(), &["profile", "--devices", &devices, "--batch", "3"], &["multiple of 2"]);
}
