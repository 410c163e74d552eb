//! Tuning: what is chosen of made-up checks and times, what is remembered of it, and that a run keeps to what it began with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::common::device::device;
use assert_cmd::Command;
use ocellus::app::data::synthetic;
use ocellus::app::train::files;
use ocellus::engine::plan::{Plan, Target};
use ocellus::engine::variant::Algorithm;
use ocellus::engine::variant::Tile;
use ocellus::engine::variant::{Abilities, Convolutions, Sizes, Variant};
use ocellus::error::{Error, Result};
use ocellus::network::compile::training;
use ocellus::network::tutorial;
use ocellus::ops;
use ocellus::proof::doctor::targets;
use ocellus::proof::tune::device::layers;
use ocellus::proof::tune::{Choice, Layer, Place, Source, Workload, choose};

const DIRECT: Algorithm = Algorithm::Direct;
const TWO: Algorithm = Algorithm::Winograd(Tile::Two);
const FOUR: Algorithm = Algorithm::Winograd(Tile::Four);

/// Checks and times as the test says.
struct Fake {
    layers: Vec<Layer>,
    wrong: fn(&Variant, Algorithm) -> bool,
    wrong_step: fn(&Variant) -> bool,
    wrong_fused: bool,
    /// Seconds of an operation of a layer, in a round of the variants that are loaded.
    seconds: fn(&Variant, &Layer, Algorithm, usize) -> f64,
    loaded: Vec<Variant>,
    /// Indices in the order in which they were timed, of each load.
    timed: Vec<Vec<usize>>,
}

impl Fake {
    fn new(seconds: fn(&Variant, &Layer, Algorithm, usize) -> f64) -> Fake {
        let layers = layers(&tutorial(64, 1.0, 8), 32);
        let (wrong, wrong_step) = (|_: &Variant, _| false, |_: &Variant| false);
        Fake { layers, wrong, wrong_step, wrong_fused: false, seconds, loaded: Vec::new(), timed: Vec::new() }
    }

    fn choose(&mut self) -> Result<Choice> {
        let layers = self.layers.clone();
        choose(self, &variants(), &abilities(), &layers)
    }
}

impl Source for Fake {
    fn prove(&mut self, variant: &Variant, algorithm: Algorithm) -> Result<Option<String>> {
        Ok((self.wrong)(variant, algorithm).then(|| "3 of 7 entries out of bounds".into()))
    }

    fn prove_fused_statistics(&mut self, variant: &Variant) -> Result<Option<String>> {
        assert!(variant.fused_statistics);
        Ok(self.wrong_fused.then(|| "3 of 7 entries out of bounds".into()))
    }

    fn load(&mut self, variants: &[Variant]) -> Result<Vec<Option<String>>> {
        self.loaded = variants.to_vec();
        self.timed.push(Vec::new());
        Ok(variants.iter().map(|variant| (self.wrong_step)(variant).then(|| "the loss is 2".into())).collect())
    }

    fn time(&mut self, index: usize) -> Result<Vec<(String, f64)>> {
        let timed = self.timed.last_mut().unwrap();
        let round = timed.iter().filter(|&&other| other == index).count();
        timed.push(index);
        let variant = &self.loaded[index];
        let target = Target { variant: variant.clone(), ..Target::default() };
        let each = |layer: &Layer| (self.seconds)(variant, layer, layer.problem.algorithm(&target), round);
        let of = |layer: &Layer| ["forward", "backward"].map(|pass| (format!("{} {pass}", layer.name), each(layer)));
        Ok(self.layers.iter().flat_map(of).chain([("adam conv1.kernel".to_string(), 0.5)]).collect())
    }
}

/// How finely work is cut on lavapipe, as names of candidates say it.
const SIZES: &str = "64 groups, chunks of 32 MiB";

/// Those of lavapipe: subgroups with textures, subgroups, tiles from small to large.
fn variants() -> Vec<Variant> {
    Variant::all(&abilities())
}

fn abilities() -> Abilities {
    Abilities { software: true, fixed_subgroup: Some(8), ..Abilities::default() }
}

fn large_tiles(variant: &Variant) -> bool {
    variant.products() == "tiles 128 x 128, prefetched"
}

/// What was dropped, and why.
fn dropped(choice: &Choice) -> Vec<&str> {
    choice.tried.iter().filter(|one| one.outcome.is_err()).map(|one| &*one.name).collect()
}

#[test]
fn the_fastest_is_chosen() {
    let choice = Fake::new(|variant, _, _, _| if large_tiles(variant) { 1.0 } else { 1.5 }).choose().unwrap();
    assert!(large_tiles(&choice.variant), "{}", choice.variant);
    // Every algorithm takes as long as another: what is counted stays.
    assert_eq!(choice.variant.convolutions, Convolutions::Counted);
    assert_eq!((choice.seconds, dropped(&choice)), (8.0 * 2.0 + 0.5, vec![]));
}

#[test]
fn what_noise_could_explain_changes_nothing() {
    let choice = Fake::new(|variant, _, algorithm, _| {
        (if large_tiles(variant) { 0.98 } else { 1.0 }) * (if algorithm == TWO { 0.98 } else { 1.0 })
    });
    let choice = { choice }.choose().unwrap();
    assert_eq!(choice.variant, variants()[0]);
}

#[test]
fn each_layer_gets_its_fastest_algorithm() {
    let mut fake = Fake::new(|_, layer, algorithm, _| match (&*layer.name, algorithm) {
        ("conv2", DIRECT) | ("conv7", TWO) | ("conv8", FOUR) => 0.5,
        _ => 1.0,
    });
    // A layer that tiles cannot compute.
    let strided =
        ocellus::ops::conv2d::Problem::new([32, 9, 9, 4], 4, [3, 3], [2, 2], ocellus::engine::shape::Padding::Same);
    fake.layers.push(Layer { name: "conv9".into(), problem: strided });
    let choice = fake.choose().unwrap();
    let Convolutions::Measured(measured) = &choice.variant.convolutions else { panic!("{}", choice.variant) };
    for layer in &fake.layers {
        let chosen = measured[&layer.problem.geometry()];
        let counted = layer.problem.cheapest(&Algorithm::ALL, choice.variant.core);
        let expected = match &*layer.name {
            "conv2" | "conv9" => DIRECT,
            "conv7" => TWO,
            "conv8" => FOUR,
            _ => counted,
        };
        assert_eq!(chosen, expected, "{}", layer.name);
    }
    assert_eq!(choice.layers.last().unwrap().seconds.len(), 1, "only direct convolution can do conv9");
    // And a plan computes it so.
    let target = Target { variant: choice.variant.clone(), ..Target::default() };
    let conv7 = fake.layers.iter().find(|layer| layer.name == "conv7").unwrap();
    assert_eq!(conv7.problem.algorithm(&target), TWO);
}

#[test]
fn wrong_kernels_are_dropped_and_named_however_fast() {
    let mut fake = Fake::new(|variant, _, _, _| if large_tiles(variant) { 0.01 } else { 1.0 });
    fake.wrong = |variant, _| large_tiles(variant);
    let choice = fake.choose().unwrap();
    assert_eq!(choice.variant, variants()[0]);
    assert_eq!(dropped(&choice), [format!("tiles 128 x 128, prefetched; convolutions direct; {SIZES}")]);
    assert!(choice.tried[0].outcome.as_ref().unwrap_err().contains("out of bounds"));

    let mut fake = Fake::new(|_, _, algorithm, _| if algorithm == FOUR { 0.01 } else { 1.0 });
    fake.wrong = |_, algorithm| algorithm == FOUR;
    let choice = fake.choose().unwrap();
    assert_eq!(dropped(&choice).len(), variants().len(), "{:?}", dropped(&choice));
    let target = Target { variant: choice.variant.clone(), ..Target::default() };
    for layer in &fake.layers {
        assert_ne!(layer.problem.algorithm(&target), FOUR, "{}", layer.name);
    }
}

#[test]
fn wrong_steps_are_dropped_and_named_however_fast() {
    let mut fake = Fake::new(|variant, _, algorithm, _| match large_tiles(variant) || algorithm == FOUR {
        true => 0.01,
        false => 1.0,
    });
    fake.wrong_step = |variant| large_tiles(variant) || variant.convolutions == Convolutions::All(FOUR);
    let choice = fake.choose().unwrap();
    assert_eq!(choice.variant.products(), "subgroups of 8, textures");
    let names =
        ["tiles 128 x 128, prefetched; convolutions as counted", "subgroups of 8, textures; convolutions winograd4"];
    assert_eq!(dropped(&choice), names.map(|name| format!("{name}; {SIZES}")));
    // What is counted has such convolutions too, and gave right results; all the same they are left out.
    let target = Target { variant: choice.variant.clone(), ..Target::default() };
    for layer in &fake.layers {
        assert_ne!(layer.problem.algorithm(&target), FOUR, "{}", layer.name);
    }
}

#[test]
fn without_a_right_step_in_the_end_nothing_is_chosen() {
    let mut fake = Fake::new(|_, layer, _, _| if layer.name == "conv2" { 0.5 } else { 1.0 });
    fake.wrong_step = |variant| variant.convolutions == Convolutions::All(DIRECT);
    let Err(Error::Check(message)) = fake.choose() else { panic!("direct convolution is wrong") };
    assert!(message.contains(&format!("convolutions direct; {SIZES}: the loss is 2")), "{message}");
    let mut fake =
        Fake::new(|_, layer, algorithm, _| if (&*layer.name, algorithm) == ("conv2", DIRECT) { 0.5 } else { 1.0 });
    fake.wrong_step = |variant| matches!(variant.convolutions, Convolutions::Measured(_));
    let choice = fake.choose().unwrap();
    assert_eq!(choice.variant, variants()[0], "what was measured is wrong, what is counted is not");
}

#[test]
fn without_a_right_variant_all_faults_are_named() {
    let mut fake = Fake::new(|_, _, _, _| 1.0);
    fake.wrong = |_, algorithm| algorithm == DIRECT;
    let Err(Error::Check(message)) = fake.choose() else { panic!("nothing is right") };
    for variant in variants() {
        assert!(message.contains(&variant.products()), "{message}");
    }
}

#[test]
fn a_slow_round_and_a_time_that_is_none_do_not_decide() {
    let seconds = |variant: &Variant, _: &Layer, _: Algorithm, round| match (&*variant.products(), round) {
        ("tiles 64 x 64", 1 | 3) => 50.0,
        ("tiles 64 x 64", _) => 0.5,
        ("tiles 128 x 128, prefetched", _) => f64::NAN,
        _ => 0.9,
    };
    assert_eq!(Fake::new(seconds).choose().unwrap().variant.products(), "tiles 64 x 64");
}

/// On a GPU the sizes are timed too, each by itself; what is not faster by more than chance stays as it was guessed.
#[test]
fn sizes_are_chosen_by_their_times() {
    let gpu = Abilities { discrete: true, ..Abilities::default() };
    let mut fake = Fake::new(|variant, _, _, _| match variant.sizes {
        Sizes { chunk_mib: 32, .. } => 0.5,
        Sizes { parallel_groups: 256, .. } => 0.8,
        Sizes { parallel_groups: 512, .. } => 0.99,
        _ => 1.0,
    });
    let layers = fake.layers.clone();
    let choice = choose(&mut fake, &Variant::all(&gpu), &gpu, &layers).unwrap();
    assert_eq!(choice.variant.sizes, Sizes { chunk_mib: 32, parallel_groups: 256 });
    assert_eq!(choice.variant.products(), "tiles 64 x 64");
    let mut fake = Fake::new(|variant, _, _, _| 1.0 - variant.sizes.parallel_groups as f64 * 1e-6);
    let choice = choose(&mut fake, &Variant::all(&gpu), &gpu, &layers).unwrap();
    assert_eq!(choice.variant.sizes, Sizes::guess(&gpu));
}

/// Statistics are fused where that is faster by more than chance, as a share of the forward passes alone, and right.
#[test]
fn statistics_are_fused_if_that_is_faster_and_right() {
    let seconds = |variant: &Variant, _: &Layer, _: Algorithm, _| if variant.fused_statistics { 0.75 } else { 1.0 };
    let choice = Fake::new(seconds).choose().unwrap();
    assert_eq!(choice.variant, Variant { fused_statistics: true, ..variants()[0].clone() });
    assert_eq!(choice.seconds, 8.0 * 2.0 * 0.75 + 0.5);
    let slower = |variant: &Variant, _: &Layer, _: Algorithm, _| if variant.fused_statistics { 0.98 } else { 1.0 };
    assert_eq!(Fake::new(slower).choose().unwrap().variant, variants()[0]);
    let mut wrong = Fake { wrong_fused: true, ..Fake::new(seconds) };
    let choice = wrong.choose().unwrap();
    assert_eq!(choice.variant, variants()[0]);
    assert_eq!(dropped(&choice), [Variant { fused_statistics: true, ..variants()[0].clone() }.to_string()]);
    let mut wrong = Fake { wrong_step: |variant| variant.fused_statistics, ..Fake::new(seconds) };
    assert_eq!(wrong.choose().unwrap().variant, variants()[0]);
}

#[test]
fn rounds_are_interleaved_and_the_hopeless_run_once() {
    let mut fake = Fake::new(|variant, _, _, _| if large_tiles(variant) { 9.0 } else { 1.0 });
    fake.choose().unwrap();
    assert_eq!(fake.timed[0], [&[0, 1, 2, 3][..], &[0, 1, 2].repeat(4)].concat());
    assert_eq!(fake.timed[1], (0..Algorithm::ALL.len()).collect::<Vec<_>>().repeat(5));
}

/// Kernel and libraries of every step, but for what the loader adds where a tensor is large enough
/// to be read through a texture.
fn kernels(plan: &Plan) -> BTreeSet<Vec<&'static str>> {
    let own = |files: Vec<&'static str>| files.into_iter().filter(|file| *file != "lib/texels").collect();
    plan.files().unwrap().into_iter().map(own).collect()
}

/// The doctor proves, in every variant, all that tuning can choose.
#[test]
fn the_doctor_runs_every_candidate() {
    let network = tutorial(64, 1.0, 8);
    let mut proved: BTreeMap<String, BTreeSet<Vec<&str>>> = BTreeMap::new();
    for target in targets(device()) {
        for case in ops::cases() {
            proved.entry(target.variant.products()).or_default().extend(kernels(&case.plan(&target)));
        }
    }
    for variant in device().variants() {
        for convolutions in Convolutions::each() {
            for fused_statistics in [false, true] {
                let variant = Variant { fused_statistics, ..variant.with(convolutions.clone()) };
                let target = Target { variant, ..device().target() };
                for kernel in kernels(&training(&network, 32, &target)) {
                    assert!(proved[&target.variant.products()].contains(&kernel), "{}: {kernel:?}", target.variant);
                }
            }
        }
    }
}

fn workload() -> Workload {
    Workload { network: "tutorial".into(), image_size: 32.into(), batch: 6, width: 0.125 }
}

#[test]
fn choices_are_remembered_by_workload() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path(), device());
    assert_eq!(place.find(&workload()), Ok(None));
    let measured = BTreeMap::from([("3 x 3, 4 x 4 x 8 to 4 x 4 x 8".to_string(), TWO)]);
    let [first, second] = [Variant::default().with(Convolutions::Measured(measured)), variants().swap_remove(0)];
    let other = Workload { batch: 7, ..workload() };
    place.keep(workload(), second.clone()).unwrap();
    place.keep(other.clone(), second.clone()).unwrap();
    place.keep(workload(), first.clone()).unwrap();
    assert_eq!(place.find(&workload()), Ok(Some(first)));
    assert_eq!(place.find(&other), Ok(Some(second)));
    assert_eq!(place.find(&Workload { width: 0.25, ..workload() }), Ok(None));
}

#[test]
fn damaged_and_foreign_files_are_ignored_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path(), device());
    place.keep(workload(), Variant::default()).unwrap();
    let whole = std::fs::read_to_string(&place.path).unwrap();
    let name = &device().listed.info.name;
    for (text, word) in [
        (&whole[..whole.len() / 2], "damaged"),
        ("", "damaged"),
        (&whole.replace("\"lanes\"", "\"lane\"").replace("workgroup", "workgroups"), "damaged"),
        (&whole.replace(&name[..], "Another GPU"), "of another adapter"),
        (&whole.replace("ocellus tuning 1", "ocellus tuning 0"), "of another format"),
    ] {
        std::fs::write(&place.path, text).unwrap();
        let why = place.find(&workload()).unwrap_err();
        assert!(why.contains(word) && why.contains(place.path.to_str().unwrap()), "{why}");
    }
    // Tuning replaces it.
    place.keep(workload(), Variant::default()).unwrap();
    assert_eq!(std::fs::read_to_string(&place.path).unwrap(), whole);
}

/// Runs the program with a cache folder of its own; gives what it says.
fn ocellus(folder: &Path, arguments: &[&str]) -> String {
    let device = std::env::var("OCELLUS_TEST_DEVICE").unwrap_or("auto".into());
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ocellus"));
    command.current_dir(folder).env("OCELLUS_CACHE", folder.join("cache")).args(arguments).args(["--device", &device]);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

const SMALL: [&str; 6] = ["--width", "0.125", "--image-size", "32", "--batch", "6"];

/// A run that goes on computes as it began, whatever was tuned meanwhile; a new one computes as was tuned.
#[test]
fn a_resumed_run_keeps_its_kernels() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let options = synthetic::Options { images: 48, size: 32.into(), seed: 1 };
    synthetic::write(&folder.join("data"), &options, |_, _| ()).unwrap();
    let train = |out: &str, epochs: &str| {
        let new = ["train", "--data", "data", "--out", out, "--epochs", epochs];
        ocellus(folder, &[&new[..], &SMALL].concat())
    };
    let state = |out: &str| ocellus::app::checkpoint::read_tensors(&folder.join(out).join(files::STATE)).unwrap().0;
    train("straight", "2");
    let said = train("resumed", "1");
    assert!(said.contains("the best guess"), "{said}");

    // Not what the device would be given by itself, and rounded differently.
    let slow = Variant::default().with(Convolutions::All(TWO));
    let place = Place::new(&folder.join("cache/tuning"), device());
    place.keep(workload(), slow.clone()).unwrap();
    let said = ocellus(folder, &["train", "--resume", "resumed", "--epochs", "2"]);
    assert!(said.contains("as the run began"), "{said}");
    assert!(state("resumed") == state("straight"), "the resumed run has other bits");

    let said = train("tuned", "2");
    assert!(said.contains(&format!("Kernels: {slow} (found by `ocellus tune`)")), "{said}");
    assert!(state("tuned") != state("straight"), "another variant rounds differently");

    std::fs::write(&place.path, "{").unwrap();
    let said = train("untuned", "2");
    assert!(said.contains("is ignored") && said.contains("damaged"), "{said}");
    assert!(state("untuned") == state("straight"));
}

/// The real thing, as small as it gets.
#[test]
fn tune_remembers_for_train() {
    let folder = tempfile::tempdir().unwrap();
    let said = ocellus(folder.path(), &[&["tune"], &SMALL[..]].concat());
    assert!(said.contains("Remembered in"), "{said}");
    let found = Place::new(&folder.path().join("cache/tuning"), device()).find(&workload()).unwrap();
    let found = found.expect("it was remembered");
    let plain = Variant { fused_statistics: false, ..found.with(Convolutions::Counted) };
    assert!(device().variants().contains(&plain), "{found}");
    let said = ocellus(folder.path(), &[&["profile"], &SMALL[..]].concat());
    assert!(said.contains(&format!("Kernels: {found} (found by `ocellus tune`)")), "{said}");
}
