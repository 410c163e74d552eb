//! Numbers that another implementation computed, in files that a user can bring: `ocellus doctor --golden DIR`. Shapes and
//! names are the files'.

mod case;
pub mod file;
mod formula;
mod full;
mod images;
mod kernels;
mod metrics;
mod options;
mod tables;
mod tiny;
pub mod training;
mod twins;

use std::path::Path;

use file::File;

use crate::engine::plan::Target;
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::proof::doctor::Row;
use crate::proof::doctor::findings::Findings;

/// Where plans are run: each on a new engine, with the target to plan for.
pub struct Place<'a> {
    pub open: &'a dyn Fn() -> Result<Engine>,
    pub target: Target,
}

/// A set of golden numbers, by the files that hold it.
pub struct Set {
    pub name: &'static str,
    files: &'static [&'static str],
    check: fn(&Path, &Place, &mut Findings) -> Result<()>,
}

/// Every set that can be checked, the quick ones first.
pub const SETS: [Set; 10] = [
    Set { name: "dataset", files: &["data.csv", "dataset.csv"], check: |dir, _, f| tables::dataset(dir, f) },
    Set { name: "report", files: &["report.json"], check: |dir, _, f| tables::reports(dir, f) },
    Set { name: "metrics", files: &["metrics.json"], check: |dir, _, f| metrics::check(dir, f) },
    Set { name: "options", files: &["options.json"], check: |dir, _, f| options::check(dir, f) },
    Set { name: "callbacks", files: &["callbacks.json"], check: |dir, _, f| tables::callbacks(dir, f) },
    Set {
        name: "resize",
        files: &["resize.safetensors"],
        check: |dir, _, f| images::resized(&File::open(dir, "resize")?, f),
    },
    Set {
        name: "augment",
        files: &["augment.json", "augment.safetensors"],
        check: |dir, place, f| images::augment(&File::open(dir, "augment")?, place, f),
    },
    Set {
        name: "ops",
        files: &["ops.json", "ops.safetensors"],
        check: |dir, place, f| {
            let file = File::open(dir, "ops")?;
            match (place.open)()? {
                Engine::Cpu(_) => twins::check(&file, f),
                Engine::Gpu(_) | Engine::Group(_) | Engine::Process(_) => kernels::check(&file, place, f),
            }
        },
    },
    Set {
        name: "tiny",
        files: &["tiny.json", "tiny.safetensors"],
        check: |dir, place, f| tiny::check(&File::open(dir, "tiny")?, place, f),
    },
    Set {
        name: "full",
        files: &["full.json", "full.safetensors"],
        check: |dir, place, f| full::check(&File::open(dir, "full")?, place, f),
    },
];

impl Set {
    /// Files of the check that are missing from a folder.
    pub fn missing(&self, dir: &Path) -> Vec<&'static str> {
        self.files.iter().copied().filter(|file| !dir.join(file).is_file()).collect()
    }

    /// Compares everything that the set holds.
    ///
    /// # Errors
    /// When the device fails. A file that is damaged is a fault of its row.
    pub fn check(&self, dir: &Path, place: &Place) -> Result<Row> {
        let mut findings = Findings::default();
        match (self.check)(dir, place, &mut findings) {
            Err(error @ (Error::Input(_) | Error::Io { .. })) => findings.note("file", Err(error.to_string())),
            other => other?,
        }
        Ok(Row { kernel: format!("golden {}", self.name), variant: String::new(), cases: findings.compared, findings })
    }
}
