//! Reads the golden files: `tests/golden/NAME.safetensors` holds tensors computed by Keras (TensorFlow 2.15, CPU, f32),
//! `NAME.json` what they are and how far honest f32 implementations stray.

use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

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
        let values = || super::rms(&super::widen(&self.tensor(name).1));
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
