//! Reads the golden files: `tests/golden/NAME.safetensors` holds tensors computed by Keras (TensorFlow 2.15, CPU, f32),
//! `NAME.json` what they are and how far honest f32 implementations stray.

use std::collections::BTreeSet;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

use super::{assert_close, widen};

pub struct File {
    /// The whole JSON file, for what belongs to one set of tensors only.
    pub json: Value,
    bytes: Vec<u8>,
}

impl File {
    pub fn open(name: &str) -> File {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let read = |extension: &str| {
            let path = folder.join(name).with_extension(extension);
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let json = serde_json::from_slice(&read("json")).expect("valid JSON");
        File { json, bytes: read("safetensors") }
    }

    /// Every tensor's name.
    pub fn names(&self) -> Vec<String> {
        self.tensors().names().into_iter().map(String::from).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors().tensor(name).is_ok()
    }

    pub fn tensor(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        self.read(name, Dtype::F32, f32::from_le_bytes)
    }

    pub fn tensor_i32(&self, name: &str) -> (Vec<usize>, Vec<i32>) {
        self.read(name, Dtype::I32, i32::from_le_bytes)
    }

    pub fn tensor_u8(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        self.read(name, Dtype::U8, u8::from_le_bytes)
    }

    /// Largest difference between the file's f32 values and the same computation in f64.
    pub fn noise(&self, name: &str) -> Option<f64> {
        self.figure(name, "noise")
    }

    /// Largest difference among several implementations.
    pub fn spread(&self, name: &str) -> Option<f64> {
        self.figure(name, "spread")
    }

    /// Root of the mean square of the tensor.
    pub fn rms(&self, name: &str) -> f64 {
        let values = || super::rms(&widen(&self.tensor(name).1));
        self.figure(name, "rms").unwrap_or_else(values)
    }

    fn figure(&self, name: &str, key: &str) -> Option<f64> {
        self.json["tensors"][name][key].as_f64()
    }

    fn read<T, const N: usize>(&self, name: &str, dtype: Dtype, from: fn([u8; N]) -> T) -> (Vec<usize>, Vec<T>) {
        let tensors = self.tensors();
        let view: TensorView = tensors.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(view.dtype(), dtype, "{name}");
        let (entries, rest) = view.data().as_chunks::<N>();
        assert!(rest.is_empty(), "{name}: cut short");
        (view.shape().to_vec(), entries.iter().copied().map(from).collect())
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("a valid safetensors file")
    }
}

/// One operation of the file `ops` with its inputs and results.
pub struct Case<'a> {
    file: &'a File,
    pub about: &'a Value,
    bound: fn(&File, &str) -> f64,
    checked: BTreeSet<String>,
    worst: f64,
}

impl Case<'_> {
    fn full_name(&self, tensor: &str) -> String {
        format!("{}/{tensor}", self.about["case"].as_str().unwrap())
    }

    pub fn text(&self, key: &str) -> &str {
        self.about[key].as_str().unwrap_or_else(|| panic!("{}: {key}", self.full_name("")))
    }

    pub fn size(&self, key: &str) -> usize {
        self.about[key].as_u64().unwrap_or_else(|| panic!("{}: {key}", self.full_name(""))) as usize
    }

    pub fn shape<const N: usize>(&self, tensor: &str) -> [usize; N] {
        self.file.tensor(&self.full_name(tensor)).0.try_into().expect("the number of axes")
    }

    pub fn values(&self, tensor: &str) -> Vec<f32> {
        self.file.tensor(&self.full_name(tensor)).1
    }

    pub fn wide(&self, tensor: &str) -> Vec<f64> {
        widen(&self.values(tensor))
    }

    pub fn labels(&self) -> Vec<u32> {
        let (_, labels) = self.file.tensor_i32(&self.full_name("labels"));
        labels.into_iter().map(|label| label.try_into().unwrap()).collect()
    }

    /// Holds a result to the file's, and remembers that it was.
    pub fn check<G: Copy + Into<f64>>(&mut self, tensor: &str, got: &[G]) {
        let name = self.full_name(tensor);
        let bound = (self.bound)(self.file, &name);
        let share = assert_close(&name, got, &self.values(tensor), |_| bound);
        self.worst = self.worst.max(share);
        assert!(self.checked.insert(name), "checked twice");
    }
}

/// Runs `check` on each of the 46 cases of the file `ops`, with that bound on every entry of a tensor, and asserts that
/// every result in the file was compared except those `left_out` by their full names.
pub fn check_every_case(bound: fn(&File, &str) -> f64, left_out: fn(&str) -> bool, check: impl Fn(&mut Case)) {
    let file = File::open("ops");
    let cases = file.json["cases"].as_array().unwrap();
    let mut checked = BTreeSet::new();
    for about in cases {
        let mut case = Case { file: &file, about, bound, checked: BTreeSet::new(), worst: 0.0 };
        check(&mut case);
        println!("{:>12}: worst error {:.3} of its bound", case.text("case"), case.worst);
        checked.append(&mut case.checked);
    }
    assert_eq!(cases.len(), 46);
    let unmeasured = |name: &str| name.ends_with("ce_per_sample") || name.ends_with("accuracy");
    let is_result = |name: &String| file.noise(name).is_some() || unmeasured(name);
    let results: BTreeSet<String> =
        file.names().into_iter().filter(|name| is_result(name) && !left_out(name)).collect();
    assert_eq!(checked, results, "every result in the file is compared");
}
