//! Input that means no good: whatever bytes a file holds, reading it ends in an answer or in `Error::Input`, without a
//! panic and without asking for much more memory than the file is long.
//!
//! `PROPTEST_CASES` sets how many inputs each test makes, `OCELLUS_FUZZ_SECONDS` for how long it makes more.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use ocellus::app::checkpoint;
use ocellus::app::config::Config;
use ocellus::app::data::synthetic;
use ocellus::app::data::{
    self, Columns,
    decode::{PIXEL_BUDGET, open_image},
};
use ocellus::app::exchange::keras;
use ocellus::app::golden::{Place, SETS};
use ocellus::engine::plan::Target;
use ocellus::engine::run::Engine;
use ocellus::error::Error;
use ocellus::network::tutorial;
use ocellus::network::weights;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

/// Remembers the largest request of a thread: a forged size makes a large one.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    /// Bytes of all large requests of C's allocator, on which Rust's is built.
    static LARGE: Cell<usize> = const { Cell::new(0) };
}

fn watch(size: usize) {
    // A thread that ends has no use for it any more.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

/// libjpeg asks C's allocator. A function of this name in the program stands in front of the C library's.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod c_allocator {
    use std::ffi::c_void;

    unsafe extern "C" {
        fn __libc_malloc(size: usize) -> *mut c_void;
    }

    /// Takes note of a request, and lets the C library serve it.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
        super::watch(size);
        if size >= super::MOST {
            let _ = super::LARGE.try_with(|large| large.set(large.get().saturating_add(size)));
        }
        // SAFETY: glibc's own function, under its other name.
        unsafe { __libc_malloc(size) }
    }
}

/// What files of a few thousand bytes may ask for, however they are read.
const MOST: usize = 1 << 20;
/// A picture may be mostly one colour: its size says little, and its own limit is that on its pixels.
const MOST_OF_A_PICTURE: usize = 3 * PIXEL_BUDGET as usize;
/// All large requests for one file together, in units of the largest: a picture, its coefficients, the same in 16 bits.
const PARTS: usize = 5;

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
    let seconds: u64 = std::env::var("OCELLUS_FUZZ_SECONDS").map_or(0, |text| text.parse().expect("seconds"));
    let (started, inputs, refused) = (Instant::now(), Cell::new(0u64), Cell::new(0u64));
    loop {
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
        let result = TestRunner::new(config).run(&harm(), |harms| {
            std::fs::write(&path, apply(good, &harms)).unwrap();
            LARGEST.set(0);
            LARGE.set(0);
            match read(&path) {
                Ok(_) => {}
                Err(Error::Input(_)) => refused.set(refused.get() + 1),
                Err(other) => prop_assert!(false, "{other:?}"),
            }
            let (largest, large) = (LARGEST.get(), LARGE.get());
            prop_assert!(largest <= most, "{largest} bytes asked for");
            prop_assert!(large <= PARTS * most, "{large} bytes asked for in all");
            inputs.set(inputs.get() + 1);
            Ok(())
        });
        if let Err(error) = result {
            panic!("{name}: {error}");
        }
        if started.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
    }
    println!("{name}: {} inputs, {} of them refused, in {:.0?}", inputs.get(), refused.get(), started.elapsed());
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
        network: Default::default(),
        image_size: 32.into(),
        width: 0.5,
        epoch: 3,
        val_loss: 0.25,
        operation: Default::default(),
        training: None,
    };
    checkpoint::save(&path, &[tensor("conv1.kernel", &[3, 3, 3, 4]), tensor("conv1.bias", &[4])], &metadata).unwrap();
    survive(&std::fs::read(&path).unwrap(), "checkpoint.safetensors", MOST, checkpoint::load);
}

/// The weights of a small network, in the layout that Keras chooses by the file's name.
fn keras_weights(name: &str) {
    let network = tutorial(32, 1.0 / 32.0, 2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    keras::write(&path, &network, &weights::initial(&network, 1)).unwrap();
    let good = std::fs::read(&path).unwrap();
    println!("{} bytes", good.len());
    // A name of one byte becomes a `String`, and the vector of them, as it grows, takes up to twice of what it holds.
    let most = MOST + 2 * size_of::<String>() * good.len();
    survive(&good, name, most, |path| keras::read(path, &network));
}

#[test]
fn keras_weights_by_layer() {
    keras_weights("model.h5");
}

#[test]
fn keras_weights_by_class() {
    keras_weights("model.weights.h5");
}

#[test]
fn configs() {
    survive(Config::default().to_toml().unwrap().as_bytes(), "config.toml", MOST, Config::load);
}

/// A prepared folder with a harmed table in it.
fn tables(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    synthetic::write(folder.path(), &synthetic::Options { images: 40, size: 32.into(), seed: 1 }, |_, _| ()).unwrap();
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

/// A small picture in a format that is read.
fn picture(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let picture = image::RgbImage::from_fn(23, 17, |x, y| image::Rgb([x as u8 * 9, y as u8 * 13, (x * y) as u8]));
    let path = folder.path().join(name);
    picture.save(&path).unwrap();
    survive(&std::fs::read(&path).unwrap(), name, MOST_OF_A_PICTURE, open_image);
}

/// A picture of `tests/files`.
fn picture_file(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name);
    survive(&std::fs::read(path).unwrap(), name, MOST_OF_A_PICTURE, open_image);
}

#[test]
fn jpeg_pictures_of_several_scans() {
    picture_file("separate_scans_restart.jpg");
}

#[test]
fn jpeg_pictures_of_a_progression() {
    picture_file("progression_ends_early.jpg");
}

#[test]
fn arithmetic_jpeg_pictures() {
    picture_file("arithmetic.jpg");
}

#[test]
fn jpeg_pictures_of_four_inks() {
    picture_file("cmyk.jpg");
}

#[test]
fn tiff_pictures_of_jpeg_data() {
    picture_file("jpeg_ycc_tiles.tif");
}

#[test]
fn tiff_pictures_of_inks() {
    picture_file("cmyk.tif");
}

#[test]
fn big_tiff_pictures() {
    picture_file("bigtiff.tif");
}

/// C's requests are seen.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn the_watch_sees_libjpeg() {
    // A progression keeps the coefficients of all of a picture, 2 bytes each, three colours: here of 2,000 x 2,000.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/arithmetic.jpg");
    let mut jpeg = std::fs::read(path).unwrap();
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xCA]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x07, 0xD0, 0x07, 0xD0]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.jpg");
    std::fs::write(&path, &jpeg).unwrap();
    LARGE.set(0);
    let _ = open_image(&path);
    assert!((11_000_000..40_000_000).contains(&LARGE.get()), "{}", LARGE.get());
}

#[test]
fn png_pictures() {
    picture("picture.png");
}

#[test]
fn jpeg_pictures() {
    picture("picture.jpg");
}

#[test]
fn bmp_pictures() {
    picture("picture.bmp");
}

#[test]
fn tiff_pictures() {
    picture("picture.tiff");
}

/// A golden set on the twins, one of its files harmed. What is wrong with it is a fault that is found, or an error.
fn golden(set: &str, file: &str, files: &[(&str, Vec<u8>)]) {
    let set = SETS.into_iter().find(|each| each.name == set).unwrap();
    let place = Place { open: &|| Ok(Engine::Cpu(Default::default())), target: Target::default() };
    let good = &files.iter().find(|(name, _)| *name == file).unwrap().1;
    survive(good, file, MOST, |path| {
        let folder = path.parent().unwrap();
        for (name, bytes) in files.iter().filter(|(name, _)| *name != file && !folder.join(name).exists()) {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        let row = set.check(folder, &place)?;
        if row.findings.passed() { Ok(()) } else { Err(Error::Input(row.findings.faults.join("\n"))) }
    });
}

fn golden_file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap()
}

/// Some tensors of a golden file.
fn tensors(name: &str, chosen: impl Fn(&str) -> bool) -> Vec<u8> {
    let bytes = golden_file(name);
    let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    safetensors::serialize(all.tensors().into_iter().filter(|(name, _)| chosen(name)), None).unwrap()
}

/// A golden file of JSON with only some of its cases, which it may list or name.
fn cases(name: &str, chosen: impl Fn(usize, &serde_json::Value) -> bool) -> Vec<u8> {
    let mut json: serde_json::Value = serde_json::from_slice(&golden_file(name)).unwrap();
    let mut number = 0..;
    json["cases"].as_array_mut().unwrap().retain(|case| chosen(number.next().unwrap(), case));
    // What it says of tensors is a list as long as that of all of them.
    json["tensors"] = serde_json::Value::Null;
    serde_json::to_vec(&json).unwrap()
}

/// One small case of each operation.
fn kernels(file: &str) {
    const CASES: [&str; 8] =
        ["conv06", "bn02_train", "bn02_infer", "relu00", "maxpool05", "gap01", "dense03", "softmaxce00"];
    let chosen = |name: &str| CASES.contains(&name.split('/').next().unwrap());
    let json = cases("ops.json", |_, case| CASES.contains(&case["case"].as_str().unwrap()));
    let bytes = tensors("ops.safetensors", chosen);
    println!("{} and {} bytes", json.len(), bytes.len());
    golden("ops", file, &[("ops.json", json), ("ops.safetensors", bytes)]);
}

#[test]
fn golden_kernels() {
    kernels("ops.json");
}

#[test]
fn golden_tensors() {
    kernels("ops.safetensors");
}

#[test]
fn golden_reports() {
    golden("report", "report.json", &[("report.json", cases("report.json", |number, _| number > 7))]);
}

#[test]
fn golden_callbacks() {
    golden("callbacks", "callbacks.json", &[("callbacks.json", cases("callbacks.json", |number, _| number < 3))]);
}

#[test]
fn golden_options() {
    let mut json: serde_json::Value = serde_json::from_slice(&golden_file("options.json")).unwrap();
    json["smoothing"].as_array_mut().unwrap().truncate(2);
    json["cosine"].as_array_mut().unwrap().truncate(1);
    golden("options", "options.json", &[("options.json", serde_json::to_vec(&json).unwrap())]);
}

/// One transform of one image, as bytes and scaled.
fn transforms(file: &str) {
    let mut json: serde_json::Value = serde_json::from_slice(&golden_file("augment.json")).unwrap();
    json["params"].as_object_mut().unwrap().retain(|name, _| name == "square/04");
    let bytes = tensors("augment.safetensors", |name| name == "image/square" || name.ends_with("/square/04"));
    golden("augment", file, &[("augment.json", serde_json::to_vec(&json).unwrap()), ("augment.safetensors", bytes)]);
}

#[test]
fn golden_transforms() {
    transforms("augment.json");
}

#[test]
fn golden_transformed_pictures() {
    transforms("augment.safetensors");
}

#[test]
fn golden_pictures() {
    let chosen = |name: &str| name == "image/b" || name.contains("/b/") || name.starts_with("nearest_index/");
    golden("resize", "resize.safetensors", &[("resize.safetensors", tensors("resize.safetensors", chosen))]);
}
