//! Golden files with faults: the doctor has to name each. On the twins, which take no time; a device is held to the same
//! files in the same way, and shown to be for the kernels' file.

use std::path::Path;

use crate::common::golden::{folder, place, twins};
use ocellus::app::golden::{Place, SETS};
use ocellus::engine::numbers::{rms, widen};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

/// A copy of a set's files.
fn copy(set: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder()).unwrap() {
        let file = file.unwrap();
        let name = file.file_name();
        if name.to_str().unwrap().starts_with(set) || set == "dataset" && name == "data.csv" {
            std::fs::copy(file.path(), dir.path().join(name)).unwrap();
        }
    }
    dir
}

fn faults(set: &str, dir: &Path) -> Vec<String> {
    faults_on(&twins(), set, dir)
}

fn faults_on(place: &Place, set: &str, dir: &Path) -> Vec<String> {
    let set = SETS.into_iter().find(|each| each.name == set).unwrap();
    assert!(set.missing(dir).is_empty());
    let findings = set.check(dir, place).unwrap().findings;
    assert_eq!(findings.passed(), findings.faults.is_empty());
    findings.faults
}

/// Changes one number of a tensor: adds a hundredth of its root mean square, or makes it NaN.
fn change(dir: &Path, set: &str, tensor: &str, to_nan: bool) {
    let path = dir.join(set).with_extension("safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let (header, _) = SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor(tensor).unwrap();
    assert_eq!(view.dtype(), Dtype::F32);
    let numbers: Vec<f32> =
        view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    let at = numbers.len() / 3;
    let rms = rms(&widen(&numbers)) as f32;
    let hundredth = 0.01 * if rms == 0.0 { 1.0 } else { rms };
    let changed = if to_nan { f32::NAN } else { numbers[at] + hundredth };
    let from = view.data().as_ptr() as usize - bytes.as_ptr() as usize + 4 * at;
    assert!(from > header);
    bytes[from..from + 4].copy_from_slice(&changed.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn one_number_off_by_a_hundredth_or_nan_is_named() {
    for (set, tensors) in [
        ("ops", &["conv03/y", "conv07/dw", "bn01_train/moving_variance_after", "bn02_infer/dgamma", "dense01/db"][..]),
        ("ops", &["maxpool02/dx", "gap00/y", "softmaxce03/dlogits", "softmaxce01/ce_per_sample", "relu00/y"]),
        ("augment", &["out/wide/12", "scaled/wide/04", "out/square/00"]),
    ] {
        assert!(faults(set, copy(set).path()).is_empty(), "{set} as it is");
        for tensor in tensors {
            for to_nan in [false, true] {
                let dir = copy(set);
                change(dir.path(), set, tensor, to_nan);
                let faults = faults(set, dir.path());
                assert!(!faults.is_empty(), "{tensor}, NaN {to_nan}: nothing found");
                assert!(faults.iter().all(|fault| fault.starts_with(tensor)), "{tensor}: {faults:?}");
            }
        }
    }
}

/// All results at once: each is compared for itself.
#[test]
fn every_result_of_a_kernel_is_named() {
    let dir = copy("ops");
    let bytes = std::fs::read(dir.path().join("ops.safetensors")).unwrap();
    const GIVEN: [&str; 11] =
        ["x", "w", "b", "gamma", "beta", "moving_mean", "moving_variance", "dy", "logits", "labels", "class_weight"];
    let names = SafeTensors::deserialize(&bytes).unwrap().names().into_iter().map(String::from).collect::<Vec<_>>();
    let results: Vec<&String> = names.iter().filter(|name| !GIVEN.contains(&name.split('/').nth(1).unwrap())).collect();
    assert!(results.len() > 150, "{} results", results.len());
    for name in &results {
        change(dir.path(), "ops", name, false);
    }
    for place in [twins(), place()] {
        let faults = faults_on(&place, "ops", dir.path());
        for name in &results {
            assert!(
                faults.iter().any(|fault| fault.starts_with(&format!("{name}: "))),
                "{name} is not among {faults:#?}"
            );
        }
    }
}

/// Losses, activations, gradients, weights, moments: each is held closely enough to see one entry.
#[test]
fn one_number_of_a_training_run_is_named() {
    let dir = copy("tiny");
    let tensors = [
        "losses",
        "step1/act/bn4",
        "step1/act/relu2",
        "step1/grad/conv5.kernel",
        "after1/param/conv8.kernel",
        "after2/m/dense1.kernel",
        "after6/stat/bn5.moving_variance",
        "after6/infer/dense2",
        // No two implementations have the same noise here, but it has to be one run's.
        "after1/m/conv2.bias",
        "after2/v/conv3.bias",
        "after2/param/conv7.bias",
    ];
    for tensor in tensors {
        change(dir.path(), "tiny", tensor, false);
    }
    let faults = faults("tiny", dir.path());
    for tensor in tensors {
        assert!(faults.iter().any(|fault| fault.starts_with(tensor)), "{tensor} is not among {faults:#?}");
    }
}

/// Nothing is computed, nor planned, for sizes that a file only speaks of.
#[test]
fn a_size_without_numbers_is_refused() {
    for (set, tensor, shape, fault) in [
        ("tiny", "init/conv8.kernel", vec![3, 3, 0, 1 << 40], "and must be [3, 3, 3, 34359738368]"),
        ("tiny", "images/t1", vec![1 << 40, 32, 32, 0], "images/t1 is [1099511627776, 32, 32, 0]"),
        ("augment", "out/wide/12", vec![0, 56, 3], "out/wide/12 is not of the size of image/wide"),
    ] {
        let dir = copy(set);
        let path = dir.path().join(set).with_extension("safetensors");
        let bytes = std::fs::read(&path).unwrap();
        let stored = SafeTensors::deserialize(&bytes).unwrap();
        let empty = TensorView::new(stored.tensor(tensor).unwrap().dtype(), shape, &[]).unwrap();
        let others = stored.tensors().into_iter().filter(|(name, _)| name != tensor);
        let tensors = others.chain([(tensor.to_string(), empty)]);
        std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
        let faults = faults(set, dir.path());
        assert!(faults.len() == 1 && faults[0].contains(fault), "{faults:#?}");
    }
}

/// Writes a golden file of tensors, each with its type, its shape and zeros.
fn write_zeros(path: &Path, tensors: &[(&str, Dtype, &[usize])]) {
    let size = |dtype: Dtype| if dtype == Dtype::U8 { 1 } else { 4 };
    let bytes = |&(_, dtype, shape): &(&str, Dtype, &[usize])| vec![0; size(dtype) * shape.iter().product::<usize>()];
    let data: Vec<Vec<u8>> = tensors.iter().map(bytes).collect();
    let views = tensors
        .iter()
        .zip(&data)
        .map(|(&(name, dtype, shape), bytes)| (name, TensorView::new(dtype, shape.to_vec(), bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn pictures_of_no_image_and_of_too_many_pixels_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let found = |tensors: &[(&str, Dtype, &[usize])]| {
        write_zeros(&dir.path().join("resize.safetensors"), tensors);
        faults("resize", dir.path()).join("\n")
    };
    for name in ["nearest", "lanczos"] {
        let found = found(&[(name, Dtype::U8, &[1, 1, 3])]);
        assert!(found.contains(&format!("{name}: is not known here")), "{found}");
    }
    // Between rows and columns it would have 3.6e9 pixels.
    let (high, wide) = ("image/high", "lanczos/high/wide");
    let found = found(&[(high, Dtype::U8, &[60_000, 1, 3]), (wide, Dtype::U8, &[1, 60_000, 3])]);
    assert!(found.contains("lanczos/high/wide by way of 60000 x 60000 pixels"), "{found}");
}

#[test]
fn windows_larger_than_their_image_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image: &[usize] = &[1, 2, 2, 4];
    for (case, tensors) in [
        (
            r#"{"case": "c", "op": "max_pool", "pool": 3, "stride": 1}"#,
            &[("c/x", Dtype::F32, image), ("c/y", Dtype::F32, image)][..],
        ),
        (
            r#"{"case": "c", "op": "conv2d", "kernel": 3, "stride": 1, "padding": "valid"}"#,
            &[("c/x", Dtype::F32, image), ("c/w", Dtype::F32, &[3, 3, 4, 4])],
        ),
    ] {
        std::fs::write(dir.path().join("ops.json"), format!("{{\"cases\": [{case}]}}")).unwrap();
        write_zeros(&dir.path().join("ops.safetensors"), tensors);
        for place in [twins(), place()] {
            let found = faults_on(&place, "ops", dir.path()).join("\n");
            assert!(found.contains("c/x is smaller than a window"), "{case}: {found}");
        }
    }
}

#[test]
fn more_steps_than_memory_holds_are_refused() {
    let dir = copy("full");
    let path = dir.path().join("full.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let step = json["labels"][0].clone();
    json["labels"] = vec![step; 17].into();
    std::fs::write(&path, json.to_string()).unwrap();
    let found = faults("full", dir.path()).join("\n");
    assert!(found.contains("17 steps, and may have 16"), "{found}");
}

#[test]
fn tables_and_pictures_that_differ_are_named() {
    let replaced = |set: &str, file: &str, old: &str, new: &str| {
        let dir = copy(set);
        assert!(faults(set, dir.path()).is_empty(), "{set} as it is");
        let path = dir.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file} has no {old}");
        std::fs::write(&path, text.replacen(old, new, 1)).unwrap();
        faults(set, dir.path()).join("\n")
    };
    let found = replaced("report", "report.json", "0.79", "0.80");
    assert!(found.contains("line 3") && found.contains("0.79"), "{found}");
    let found = replaced("callbacks", "callbacks.json", "0.00020000000949949026", "0.0002020000095");
    assert!(found.contains("lr_"), "{found}");
    let found = replaced("options", "options.json", "\"share\": 0.1", "\"share\": 0.1002");
    assert!(found.contains("loss: off by") && found.contains("dlogits: off by"), "{found}");
    let found = replaced("options", "options.json", "\"warmup\": 3", "\"warmup\": 4");
    assert!(found.contains("a cosine of 12 steps"), "{found}");
    let found = replaced("dataset", "dataset.csv", "Normal", "AMD");
    assert!(found.contains("dataset.csv: line "), "{found}");
    let found = replaced("ops", "ops.json", "\"op\": \"relu\"", "\"op\": \"selu\"");
    assert!(found.contains("selu is not known here"), "{found}");
    // A NaN where JSON has none, and a file cut short: faults with their place, not a crash.
    let found = replaced("report", "report.json", "\"y_true\":[", "\"y_true\":[NaN,");
    assert!(found.contains("report.json:1:") && found.contains("expected value"), "{found}");

    let dir = copy("resize");
    let path = dir.path().join("resize.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(faults("resize", dir.path()).len(), 1);
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let found = faults("resize", dir.path()).join("\n");
    assert!(found.contains("no safetensors file"), "{found}");
}
