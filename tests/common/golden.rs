//! The golden files of this repository, computed by Keras 2.15 (TensorFlow, CPU, f32), Pillow and scikit-learn.

use std::path::{Path, PathBuf};

use ocellus::app::golden::{Place, SETS};
use ocellus::engine::gpu::session::Session;
use ocellus::engine::plan::Target;
use ocellus::engine::run::Engine;
use ocellus::engine::variant::Variant;
use ocellus::proof::doctor::Row;

use super::device::device;

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

pub fn place() -> Place<'static> {
    place_of(device().target())
}

/// The device as it is, and with the core that every adapter can run, where it has another of its own.
pub fn places() -> Vec<Place<'static>> {
    let plain = Target { variant: Variant::default(), ..device().target() };
    let mut targets = vec![device().target(), plain];
    targets.dedup();
    targets.into_iter().map(place_of).collect()
}

fn place_of(target: Target) -> Place<'static> {
    Place { open: &|| Ok(Engine::Gpu(Box::new(Session::new(device().clone())))), target }
}

pub fn twins() -> Place<'static> {
    Place { open: &|| Ok(Engine::Cpu(Default::default())), target: Target::default() }
}

/// Compares everything that a set holds, and fails with all that is out of bounds.
#[track_caller]
pub fn check(name: &str, place: &Place) -> Row {
    check_in(&folder(), name, place)
}

/// Does as `check`, with the files of a folder.
#[track_caller]
pub fn check_in(folder: &Path, name: &str, place: &Place) -> Row {
    let set = SETS.into_iter().find(|set| set.name == name).expect("a set of that name");
    let row = set.check(folder, place).unwrap_or_else(|error| panic!("{error}"));
    let (share, worst) = &row.findings.worst;
    println!("{name}: {} comparisons, worst {share:.3} of its bound: {worst}", row.findings.compared);
    assert!(row.findings.passed(), "{}", row.findings.faults.join("\n"));
    row
}
