//! Input that means no good: whatever bytes a file holds, reading it ends in an answer or in `Error::Input`, without a
//! panic and without asking for much more memory than the file is long.
//!
//! `PROPTEST_CASES` sets how many inputs each test makes; a long run is a million and more.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use ocellus::config::Config;
use ocellus::data::{
    self, Columns,
    decode::{PIXEL_BUDGET, open_image},
};
use ocellus::error::Error;
use ocellus::{checkpoint, data::synthetic};
use proptest::prelude::*;
use proptest::sample::Index;

/// Remembers the largest request of a thread: a forged size makes a large one.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn watch(size: usize) {
    // A thread that ends has no use for it any more.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

/// What files of a few thousand bytes may ask for, however they are read.
const MOST: usize = 1 << 20;
/// A picture may be mostly one colour: its size says little, and its own limit is that on its pixels.
const MOST_OF_A_PICTURE: usize = 3 * PIXEL_BUDGET as usize;

// SAFETY: the system's allocator does all the work.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        watch(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        watch(size);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// What happens to a good file.
#[derive(Clone, Debug)]
enum Harm {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Cut(Index),
    /// A run of the file once more, elsewhere.
    Repeat(Index, Index, usize),
}

fn harm() -> impl Strategy<Value = Vec<Harm>> {
    let place = any::<Index>;
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..8),
        prop::sample::select(vec!["-1", "nan", "1e999", "18446744073709551615", "\"", "[", ",", "\n", "..", "/"])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    let one = prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, byte)| Harm::Set(at, byte)),
        4 => (place(), prop::sample::select(vec![0, 0x7f, 0x80, 0xff])).prop_map(|(at, byte)| Harm::Set(at, byte)),
        2 => (place(), bytes).prop_map(|(at, bytes)| Harm::Insert(at, bytes)),
        2 => (place(), 1..64usize).prop_map(|(at, count)| Harm::Remove(at, count)),
        1 => place().prop_map(Harm::Cut),
        1 => (place(), place(), 1..64usize).prop_map(|(from, to, count)| Harm::Repeat(from, to, count)),
    ];
    prop::collection::vec(one, 1..6)
}

/// Half of the harm is done near the start, where the headers are.
fn apply(good: &[u8], harms: &[Harm]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for (number, harm) in harms.iter().enumerate() {
        let reach = if number % 2 == 0 { bytes.len().min(256) } else { bytes.len() };
        if reach == 0 {
            break;
        }
        match harm {
            Harm::Set(at, byte) => bytes[at.index(reach)] = *byte,
            Harm::Insert(at, more) => drop(bytes.splice(at.index(reach)..at.index(reach), more.clone())),
            Harm::Remove(at, count) => {
                let from = at.index(reach);
                let to = (from + count).min(bytes.len());
                drop(bytes.drain(from..to));
            }
            Harm::Cut(at) => bytes.truncate(at.index(reach)),
            Harm::Repeat(from, to, count) => {
                let from = from.index(reach);
                let copy = bytes[from..(from + count).min(bytes.len())].to_vec();
                let to = to.index(bytes.len());
                drop(bytes.splice(to..to, copy));
            }
        }
    }
    bytes
}

/// Reads a harmed file in each case. Errors other than of the input are faults of the reader.
fn survive<T>(good: &[u8], name: &str, most: usize, read: impl Fn(&Path) -> Result<T, Error>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, good).unwrap();
    assert!(read(&path).is_ok(), "{name} is good before any harm is done to it");
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&harm(), |harms| {
        std::fs::write(&path, apply(good, &harms)).unwrap();
        LARGEST.set(0);
        match read(&path) {
            Ok(_) | Err(Error::Input(_)) => {}
            Err(other) => prop_assert!(false, "{other:?}"),
        }
        let largest = LARGEST.get();
        prop_assert!(largest <= most, "{largest} bytes asked for");
        Ok(())
    });
    if let Err(error) = result {
        panic!("{name}: {error}");
    }
}

#[test]
fn checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good.safetensors");
    let tensor = |name: &str, shape: &[usize]| checkpoint::Tensor {
        name: name.into(),
        shape: shape.into(),
        data: vec![0.5; shape.iter().product()],
    };
    let metadata = checkpoint::Metadata {
        classes: vec!["a".into(), "b".into()],
        image_size: 32,
        width: 0.5,
        epoch: 3,
        val_loss: 0.25,
        training: None,
    };
    checkpoint::save(&path, &[tensor("conv1.kernel", &[3, 3, 3, 4]), tensor("conv1.bias", &[4])], &metadata).unwrap();
    survive(&std::fs::read(&path).unwrap(), "checkpoint.safetensors", MOST, checkpoint::load);
}

#[test]
fn configs() {
    survive(Config::default().to_toml().unwrap().as_bytes(), "config.toml", MOST, Config::load);
}

/// A prepared folder with a harmed table in it.
fn tables(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    synthetic::write(folder.path(), &synthetic::Options { images: 40, size: 32, seed: 1 }, |_, _| ()).unwrap();
    data::prepare(folder.path(), &Columns::default(), 1).unwrap();
    let good = std::fs::read(folder.path().join(name)).unwrap();
    // Tables made from a harmed one are made anew for each case.
    let made: Vec<&str> = match name {
        "data.csv" => vec!["dataset.csv", "train.csv", "val.csv", "test.csv"],
        _ => vec![],
    };
    survive(&good, "table.csv", MOST, |path| {
        std::fs::copy(path, folder.path().join(name)).unwrap();
        for name in &made {
            let _ = std::fs::remove_file(folder.path().join(name));
        }
        data::prepare(folder.path(), &Columns::default(), 1)
            .and_then(|_| data::open(folder.path(), &Columns::default()))
    });
}

#[test]
fn raw_tables() {
    tables("data.csv");
}

#[test]
fn splits() {
    tables("train.csv");
}

/// A small picture in each format that is read.
#[test]
fn images() {
    let folder = tempfile::tempdir().unwrap();
    let picture = image::RgbImage::from_fn(23, 17, |x, y| image::Rgb([x as u8 * 9, y as u8 * 13, (x * y) as u8]));
    for name in ["picture.png", "picture.jpg", "picture.bmp", "picture.tiff"] {
        let path = folder.path().join(name);
        picture.save(&path).unwrap();
        survive(&std::fs::read(&path).unwrap(), name, MOST_OF_A_PICTURE, open_image);
    }
}
