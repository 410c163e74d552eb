//! One set of golden numbers: `NAME.safetensors` holds tensors that another implementation computed, `NAME.json` what
//! they are and how far honest f32 implementations stray.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::engine::numbers::{rms, widen};
use crate::error::{Error, Result};
use crate::proof::doctor::findings::Findings;

#[derive(Debug)]
pub struct File {
    path: PathBuf,
    /// Contents of the JSON file beside the tensors; null without one.
    pub json: Value,
    bytes: Vec<u8>,
    /// The tensors that were asked for, so that the rest can be named.
    used: RefCell<BTreeSet<String>>,
}

impl File {
    /// Opens `dir/name.safetensors`, and `dir/name.json` if it is there.
    ///
    /// # Errors
    /// `Error::Input` when a file cannot be read or is damaged.
    pub fn open(dir: &Path, name: &str) -> Result<File> {
        let path = dir.join(name).with_extension("safetensors");
        let json = path.with_extension("json");
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let json = if json.exists() { read_json(&json)? } else { Value::Null };
        let file = File { path, json, bytes, used: RefCell::default() };
        file.tensors()?;
        Ok(file)
    }

    /// An error that names this file.
    pub fn fault(&self, what: impl std::fmt::Display) -> Error {
        Error::Input(format!("{}: {what}", self.path.display()))
    }

    /// Every tensor's name.
    pub fn names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.tensors()?.names().into_iter().map(String::from).collect();
        names.sort();
        Ok(names)
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors().is_ok_and(|tensors| tensors.tensor(name).is_ok())
    }

    pub fn shape(&self, name: &str) -> Result<Vec<usize>> {
        Ok(self.tensors()?.tensor(name).map_err(|_| self.fault(format!("no tensor {name}")))?.shape().to_vec())
    }

    pub fn floats(&self, name: &str) -> Result<Vec<f32>> {
        self.read(name, Dtype::F32, f32::from_le_bytes)
    }

    pub fn integers(&self, name: &str) -> Result<Vec<u32>> {
        let numbers = self.read(name, Dtype::I32, i32::from_le_bytes)?;
        numbers
            .into_iter()
            .map(|n| u32::try_from(n).map_err(|_| self.fault(format!("{name}: {n} is below 0"))))
            .collect()
    }

    pub fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        self.read(name, Dtype::U8, u8::from_le_bytes)
    }

    /// Figure that the JSON gives for a tensor: `noise` (the largest difference from the same
    /// computation in f64), `spread` (the largest difference among several implementations).
    pub fn figure(&self, name: &str, key: &str) -> Option<f64> {
        self.json["tensors"][name][key].as_f64()
    }

    /// Root of the mean square of a tensor, of its own numbers: those of the JSON are rounded.
    pub fn rms(&self, name: &str) -> Result<f64> {
        Ok(rms(&widen(&self.floats(name)?)))
    }

    /// Counts tensors as dealt with that nothing can be compared with.
    pub fn leave_out(&self, left_out: impl Fn(&str) -> bool) -> Result<()> {
        self.used.borrow_mut().extend(self.names()?.into_iter().filter(|name| left_out(name)));
        Ok(())
    }

    /// Every number is one, and every tensor was asked for.
    pub fn finish(&self, findings: &mut Findings) -> Result<()> {
        for name in self.names()? {
            let used = self.used.borrow().contains(&name);
            if !used {
                findings.note(&name, Err("nothing is compared with this tensor".into()));
            }
            if self.tensors()?.tensor(&name).is_ok_and(|tensor| tensor.dtype() == Dtype::F32) {
                let bad = self.floats(&name)?.iter().filter(|number| !number.is_finite()).count();
                if bad > 0 {
                    findings.note(&name, Err(format!("{bad} numbers are NaN or infinite")));
                }
            }
        }
        Ok(())
    }

    fn read<T, const N: usize>(&self, name: &str, dtype: Dtype, from: fn([u8; N]) -> T) -> Result<Vec<T>> {
        let tensors = self.tensors()?;
        let view = tensors.tensor(name).map_err(|_| self.fault(format!("no tensor {name}")))?;
        if view.dtype() != dtype {
            return Err(self.fault(format!("{name} holds {:?}, and must hold {dtype:?}", view.dtype())));
        }
        self.used.borrow_mut().insert(name.into());
        let (entries, _) = view.data().as_chunks::<N>();
        Ok(entries.iter().copied().map(from).collect())
    }

    fn tensors(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| self.fault(format!("no safetensors file: {error}")))
    }
}

/// Reads a JSON file; what is wrong in it is told by line.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    serde_json::from_str(&text).map_err(|error| Error::at(path, error.line() as u64, error))
}

/// A list of numbers in a JSON file.
pub fn numbers(json: &Value) -> Vec<f64> {
    json.as_array().into_iter().flatten().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}
