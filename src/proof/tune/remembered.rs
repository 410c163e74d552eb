//! Choices of `tune`, in a file for each adapter, driver and set of shaders, below the user's cache
//! folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::gpu::Device;
use crate::engine::image_size::ImageSize;
use crate::engine::variant::Variant;
use crate::error::{Error, Result};
use crate::files::{exact_float, user_cache, write_atomic};
use crate::network::Architecture;

/// Changed whenever older files could no longer be read rightly.
const FORMAT: &str = "ocellus tuning 1";

/// Workload that a choice was made for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// As [`Architecture`] prints it.
    ///
    /// [`Architecture`]: crate::network::Architecture
    #[serde(default = "tutorial")]
    pub network: String,
    pub image_size: ImageSize,
    pub batch: usize,
    #[serde(with = "exact_float")]
    pub width: f64,
}

/// Older files know of no other network.
fn tutorial() -> String {
    Architecture::default().to_string()
}

/// One choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tuned {
    workload: Workload,
    variant: Variant,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    format: String,
    adapter: String,
    shaders: String,
    tuned: Vec<Tuned>,
}

/// The file of a device.
#[derive(Clone, Debug)]
pub struct Place {
    pub path: PathBuf,
    adapter: String,
    shaders: String,
}

impl Place {
    /// The user's, if there is a folder for it.
    pub fn of_user(device: &Device) -> Option<Place> {
        Some(Place::new(&user_cache()?.join("tuning"), device))
    }

    /// The one in a folder.
    pub fn new(folder: &Path, device: &Device) -> Place {
        let info = &device.listed.info;
        let adapter = format!("{} ({:x}:{:x})", device.listed.describe(), info.vendor, info.device);
        let shaders = device.options.shaders.hash();
        let hash = blake3::hash(format!("{adapter}\n{shaders}").as_bytes()).to_hex();
        Place { path: folder.join(format!("{}.json", &hash[..16])), adapter, shaders }
    }

    /// Finds the variant chosen for a workload, if any; the error says why the file is of no use.
    pub fn find(&self, workload: &Workload) -> std::result::Result<Option<Variant>, String> {
        Ok(self.read()?.into_iter().find(|tuned| tuned.workload == *workload).map(|tuned| tuned.variant))
    }

    fn read(&self) -> std::result::Result<Vec<Tuned>, String> {
        let refuse = |why: String| format!("{}: {why}", self.path.display());
        let text = match std::fs::read_to_string(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(|error| refuse(error.to_string()))?,
        };
        let contents: Contents =
            serde_json::from_str(&text).map_err(|error| refuse(format!("damaged, or not its file: {error}")))?;
        for (what, found, own) in [
            ("format", &contents.format[..], FORMAT),
            ("adapter", &contents.adapter, &self.adapter),
            ("set of shaders", &contents.shaders, &self.shaders),
        ] {
            if found != own {
                return Err(refuse(format!("of another {what}: {found}, not {own}")));
            }
        }
        Ok(contents.tuned)
    }

    /// Remembers a choice beside those for other workloads, atomically. A file that is of no use is replaced.
    pub fn keep(&self, workload: Workload, variant: Variant) -> Result<()> {
        let mut tuned = self.read().unwrap_or_default();
        tuned.retain(|one| one.workload != workload);
        tuned.push(Tuned { workload, variant });
        let (format, adapter, shaders) = (FORMAT.into(), self.adapter.clone(), self.shaders.clone());
        let contents = Contents { format, adapter, shaders, tuned };
        let text = serde_json::to_string_pretty(&contents).expect("plain values are JSON") + "\n";
        let folder = self.path.parent().expect("a file in a folder");
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        write_atomic(&self.path, |file| file.write_all(text.as_bytes()))
    }
}
