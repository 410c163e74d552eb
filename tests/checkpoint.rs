//! Checkpoints come back bit by bit, and what is no checkpoint is refused with the reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ocellus::app::checkpoint::{Metadata, Tensor, TrainingState, expect, load, read_tensors, save, write_tensors};
use ocellus::app::train::callbacks::Callbacks;
use ocellus::app::train::history::{EpochRecord, EpochSums};
use tempfile::TempDir;

fn tensor(name: &str, shape: &[usize], data: Vec<f32>) -> Tensor {
    Tensor { name: name.into(), shape: shape.into(), data }
}

/// In no alphabetical order; with an empty one, a scalar, and floats that compare badly.
fn tensors() -> Vec<Tensor> {
    vec![
        tensor("dense1.kernel", &[2, 3], vec![1.0, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX, f32::NAN, f32::INFINITY]),
        tensor("conv1.bias", &[], vec![0.1]),
        tensor("m/conv1.bias", &[0, 4], vec![]),
    ]
}

fn bits(tensors: &[Tensor]) -> Vec<(&str, &[usize], Vec<u32>)> {
    tensors
        .iter()
        .map(|t| (t.name.as_str(), t.shape.as_slice(), t.data.iter().map(|v| v.to_bits()).collect()))
        .collect()
}

fn metadata() -> Metadata {
    let mut callbacks = Callbacks::new(Default::default());
    let record = EpochRecord {
        epoch: 1,
        loss: 1.0 / 3.0,
        accuracy: 0.1 + 0.2,
        val_loss: f64::INFINITY,
        val_accuracy: 2.0 / 3.0,
        lr: 1e-3,
        seconds: 1.5,
        images_per_second: 61.0,
        data_wait: 0.0,
    };
    callbacks.epoch_end(&EpochRecord { val_loss: f64::NAN, ..record.clone() });
    Metadata {
        classes: vec!["AMD".into(), "DR_DM".into(), "ü, \"quoted\"".into()],
        network: Default::default(),
        image_size: 224.into(),
        width: 0.1,
        epoch: 1,
        val_loss: f64::INFINITY,
        operation: Default::default(),
        training: Some(TrainingState {
            step: u64::MAX,
            lr: 0.2 * 1e-3,
            seed: u64::MAX - 1,
            data_fingerprint: "5f".into(),
            callbacks,
            history: vec![record],
            sums: EpochSums {
                steps: 3,
                samples: 96,
                correct: 50,
                loss: 0.7,
                seconds: 0.1,
                waited: 5e-324,
                exchanged: 0.3,
            },
        }),
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("a.safetensors")
}

fn refusal<T>(result: ocellus::error::Result<T>, path: &Path) -> String {
    let error = result.err().expect("must be refused");
    assert_eq!(error.exit_status(), 2);
    let text = error.to_string();
    text.strip_prefix(&format!("{}: ", path.display())).unwrap_or_else(|| panic!("names no file: {text}")).to_string()
}

#[test]
fn comes_back_bit_by_bit() {
    let folder = TempDir::new().unwrap();
    save(&file(&folder), &tensors(), &metadata()).unwrap();
    let (loaded, said) = load(&file(&folder)).unwrap();
    assert_eq!(bits(&loaded), bits(&tensors()));
    assert_eq!(said, metadata());
}

#[test]
fn equal_states_give_equal_files() {
    let folder = TempDir::new().unwrap();
    let texts: BTreeMap<String, String> = (0..20).map(|i| (format!("key{i}"), i.to_string())).collect();
    let write = |name: &str| {
        let path = folder.path().join(name);
        write_tensors(&path, &tensors(), &texts).unwrap();
        std::fs::read(path).unwrap()
    };
    assert_eq!(write("a"), write("b"));
}

/// Other programs read our files through the same format: the crate's own reader stands for them.
#[test]
fn the_format_is_safetensors() {
    let folder = TempDir::new().unwrap();
    save(&file(&folder), &tensors(), &metadata()).unwrap();
    let bytes = std::fs::read(file(&folder)).unwrap();
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let kernel = theirs.tensor("dense1.kernel").unwrap();
    assert_eq!(kernel.shape(), [2, 3]);
    assert_eq!(kernel.data()[..4], 1.0_f32.to_le_bytes());
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(header % 8, 0, "the data are aligned");
}

#[test]
fn every_way_of_being_cut_short_is_refused() {
    let folder = TempDir::new().unwrap();
    save(&file(&folder), &tensors(), &metadata()).unwrap();
    let whole = std::fs::read(file(&folder)).unwrap();
    for length in 0..whole.len() {
        std::fs::write(file(&folder), &whole[..length]).unwrap();
        let message = refusal(load(&file(&folder)), &file(&folder));
        let expected = if length < 9 { "not a safetensors file: only" } else { "cut short: " };
        assert!(message.starts_with(expected), "{length}: {message}");
    }
    std::fs::write(file(&folder), [&whole[..], b"x"].concat()).unwrap();
    assert!(refusal(load(&file(&folder)), &file(&folder)).starts_with("damaged: "));
}

#[test]
fn other_files_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder);
    let with_header = |header: &str| [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 8]].concat();
    let cases: [(Vec<u8>, &str); 7] = [
        (b"\x89PNG\r\n\x1a\n and so on".to_vec(), "not a safetensors file: it does not begin with a header"),
        ([[0; 8].as_slice(), b"{}"].concat(), "not a safetensors file: it does not begin with a header"),
        // A header said to be of 16 million terabytes must not be allocated.
        (
            [[0xff; 8].as_slice(), b"{}"].concat(),
            "cut short: 10 bytes, and the header alone takes 18446744073709551615",
        ),
        (with_header("{not json"), "not a safetensors file: its header is damaged: "),
        (
            with_header(r#"{"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}}"#),
            "tensor a is F16, and only F32 is read",
        ),
        (
            with_header(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#),
            "not a safetensors file: its header is damaged: ",
        ),
        (
            with_header(r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#),
            "not a checkpoint this program can read: format pt, not ocellus 1",
        ),
    ];
    for (bytes, expected) in cases {
        std::fs::write(&path, bytes).unwrap();
        let message = refusal(load(&path), &path);
        assert!(message.starts_with(expected), "{message}");
    }
    let absent = folder.path().join("absent");
    assert!(refusal(load(&absent), &absent).contains("os error 2"));
}

#[test]
fn foreign_weights_can_be_read_as_tensors() {
    let folder = TempDir::new().unwrap();
    write_tensors(&file(&folder), &tensors(), &BTreeMap::from([("format".into(), "pt".into())])).unwrap();
    let (loaded, texts) = read_tensors(&file(&folder)).unwrap();
    assert_eq!(bits(&loaded), bits(&tensors()));
    assert_eq!(texts["format"], "pt");
}

#[test]
fn tensors_are_put_in_the_order_of_the_network() {
    let expected: [(&str, &[usize]); 3] = [("conv1.bias", &[]), ("dense1.kernel", &[2, 3]), ("m/conv1.bias", &[0, 4])];
    let ordered = expect(Path::new("a"), tensors(), &expected).unwrap();
    let names: Vec<&str> = ordered.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["conv1.bias", "dense1.kernel", "m/conv1.bias"]);
}

#[test]
fn another_networks_tensors_are_refused_by_name_and_shape() {
    let path = Path::new("b.safetensors");
    let expected: [(&str, &[usize]); 3] = [("conv1.bias", &[]), ("dense1.kernel", &[3, 2]), ("dense2.bias", &[8])];
    assert_eq!(
        refusal(expect(path, tensors(), &expected), path),
        "made by another network: dense1.kernel has shape [2, 3] instead of [3, 2]; \
         dense2.bias with shape [8] is missing; m/conv1.bias with shape [0, 4] is not expected"
    );
    assert_eq!(
        refusal(expect(path, tensors(), &[("a", &[]), ("b", &[1])]), path),
        "made by another network: a with shape [] is missing; b with shape [1] is missing; \
         conv1.bias with shape [] is not expected; and 2 more"
    );
}
