//! Runs that go on from other weights: frozen layers, a new head, smoothed labels, schedules.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ocellus::app::checkpoint;
use ocellus::app::train::files;
use ocellus::app::train::history;
use ocellus::engine::plan::{Plan, Recompute, Target};
use ocellus::network::compile::{inference, training};
use ocellus::network::{Architecture, Network, tutorial};

use crate::common::golden::{check, twins};
use crate::common::program::{photographs, refuse, succeed};

const TINY: [&str; 8] = ["--width", "0.03", "--image-size", "32", "--batch", "6", "--device", "cpu"];

#[test]
fn keras_options() {
    assert_eq!(check("options", &twins()).findings.compared, 21);
}

fn frozen(layers: &[&str]) -> Network {
    let mut network = tutorial(64, 0.125, 8);
    network.freeze(&layers.iter().map(|layer| layer.to_string()).collect::<Vec<_>>()).unwrap();
    network
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| step.name.clone()).collect()
}

fn flops(plan: &Plan) -> u64 {
    plan.steps.iter().map(|step| step.flops).sum()
}

#[test]
fn frozen_layers_have_no_steps_of_their_own() {
    let target = Target::default();
    let plan = |network: &Network| training(network, 8, &target);
    let (all, body) = (plan(&frozen(&[])), plan(&frozen(&["conv1..bn4"])));
    let of = |plan: &Plan, layers: &[&str], what: &str| {
        steps(plan).iter().filter(|name| layers.iter().any(|layer| name.contains(layer)) && name.contains(what)).count()
    };
    let early = ["conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "conv4", "bn4"];
    // Small parameters are updated by one dispatch: which, their moments tell.
    let moments = |plan: &Plan, layers: &[&str]| {
        let of = |name: &str| layers.iter().any(|layer| name.starts_with(&format!("m/{layer}.")));
        plan.tensors.iter().filter(|tensor| of(&tensor.name)).count()
    };
    assert_eq!([moments(&all, &early), moments(&body, &early)], [12, 0]);
    for what in ["gradient", "backward", "statistics"] {
        assert!(of(&all, &early, what) > 0, "{what}");
        assert_eq!(of(&body, &early, what), 0, "{what}: {:?}", steps(&body));
        assert_eq!(of(&all, &["conv7", "bn7"], what), of(&body, &["conv7", "bn7"], what), "{what}");
    }
    assert!(flops(&body) < flops(&all) * 3 / 4 && steps(&body).len() < steps(&all).len());
    // Their parameters are there, and no moments of them.
    assert!(body.find("conv1.kernel").is_some() && body.find("m/conv1.kernel").is_none());
    assert!(body.find("bn1.moving").is_some() && body.find("m/bn1.gamma").is_none());

    // In the middle, gradients go through them.
    let middle = plan(&frozen(&["conv4", "bn4"]));
    assert_eq!(moments(&middle, &["conv4", "bn4"]), 0);
    assert!(of(&middle, &["bn4 backward apply"], "") > 0 && of(&middle, &["bn4 backward reduce"], "") == 0);
    assert_eq!([moments(&middle, &["conv3"]), moments(&all, &["conv3"])], [1, 1]);
    // Before a frozen batch norm a bias has a gradient: the batch's mean is not subtracted.
    let norm = plan(&frozen(&["bn4"]));
    assert!(norm.find("m/conv4.bias").is_some() && all.find("m/conv4.bias").is_none());
    // Inference is the same.
    assert_eq!(steps(&inference(&frozen(&["conv1..bn4"]), 8, &target)), steps(&inference(&frozen(&[]), 8, &target)));
    for recompute in [Recompute::Activations, Recompute::FirstLayer] {
        let target = Target { recompute, ..Target::default() };
        for layers in [&["conv1"][..], &["bn1"], &["conv1..bn2"], &["conv2"], &["bn2"]] {
            assert!(!training(&frozen(layers), 8, &target).steps.is_empty());
        }
    }
}

#[test]
fn layers_to_freeze_are_checked() {
    let freeze = |layers: &str| {
        tutorial(64, 0.125, 8).freeze(&layers.split(',').map(String::from).collect::<Vec<_>>()).unwrap_err()
    };
    assert!(freeze("conv9").contains("\"conv9\" is no layer; there is conv1, bn1"));
    assert!(freeze("conv1..conv9").contains("\"conv9\" is no layer"));
    assert!(freeze("conv1,dens1").ends_with("\"dens1\" is no layer; did you mean dense1?"));
    assert_eq!(freeze("bn2..conv1"), "bn2..conv1: bn2 comes after conv1");
    assert!(freeze("conv1..dense2").contains("nothing is left to train"));
    let residual = Architecture::Preset("residual".into()).build(64, 0.125, 3).unwrap();
    for index in 0..residual.layers.len() - 1 {
        let mut network = residual.clone();
        network.freeze(&[network.layers[index].name.clone()]).unwrap();
        assert!(!training(&network, 4, &Target::default()).steps.is_empty());
    }
}

fn tensors(run: &Path, file: &str) -> BTreeMap<String, Vec<u32>> {
    let (tensors, _) = checkpoint::load(&run.join(file)).unwrap();
    let bits = |data: Vec<f32>| data.into_iter().map(f32::to_bits).collect();
    tensors.into_iter().map(|tensor| (tensor.name, bits(tensor.data))).collect()
}

#[test]
fn a_run_goes_on_from_the_weights_of_another() {
    let temporary = photographs();
    let folder = temporary.path();
    let train = |more: &[&str]| [&["train", "--data", "data"], &TINY[..], more].concat().join("\u{1}");
    let run = |more: &[&str]| succeed(folder, &train(more).split('\u{1}').collect::<Vec<_>>());
    run(&["--out", "first", "--epochs", "1"]);
    let first = tensors(&folder.join("first"), files::BEST);

    run(&["--out", "body", "--epochs", "2", "--init", "first", "--freeze", "conv1..bn7,dense1", "--lr", "0.01"]);
    let body = tensors(&folder.join("body"), files::STATE);
    let is_frozen = |name: &str| {
        let layer = name.split('.').next().unwrap();
        layer == "dense1" || layer.starts_with(['c', 'b']) && !layer.ends_with('8')
    };
    for (name, bits) in &first {
        let own = name.split('.').next().unwrap();
        // The bias before a batch norm of the batch has no gradient either.
        let stays = is_frozen(name) || name == "conv8.bias";
        assert_eq!(body[name] == *bits, stays, "{name} of {own}");
    }
    assert!(!body.keys().any(|name| name.contains('/') && is_frozen(name.split('/').nth(1).unwrap())));
    // To the same bits with a stop in the middle.
    run(&["--out", "half", "--epochs", "1", "--init", "first", "--freeze", "conv1..bn7,dense1", "--lr", "0.01"]);
    succeed(folder, &["train", "--resume", "half", "--epochs", "2", "--device", "cpu"]);
    assert_eq!(tensors(&folder.join("half"), files::STATE), body);

    // Other classes: a head of its own, and below it the weights that it started from.
    let other = fs::read_to_string(folder.join("data/dataset.csv")).unwrap().replace(",RVO", ",RP");
    fs::create_dir(folder.join("other")).unwrap();
    fs::write(folder.join("other/dataset.csv"), other).unwrap();
    let seven = ["--tables", "other", "--epochs", "1", "--init", "first"];
    let refused =
        |more: &[&str], words: &[&str]| refuse(folder, &train(more).split('\u{1}').collect::<Vec<_>>(), words);
    refused(
        &[&seven[..], &["--out", "seven"]].concat(),
        &["dense2.kernel", "8 classes, and 7 are wanted", "--new-head"],
    );
    run(&[&seven[..], &["--out", "seven", "--new-head", "--freeze", "conv1..dense1"]].concat());
    let head = tensors(&folder.join("seven"), files::BEST);
    for (name, bits) in &first {
        assert_eq!(head[name] == *bits, !name.starts_with("dense2"), "{name}");
    }
    assert_eq!(head["dense2.bias"].len(), 7);

    refused(&["--out", "no", "--new-head"], &["--new-head", "--init"]);
    refused(&["--out", "no", "--freeze", "conv99"], &["--freeze: \"conv99\" is no layer"]);
    refused(&["--out", "no", "--label-smoothing", "1.5"], &["label_smoothing is 1.5"]);
    refused(&["--out", "no", "--warmup=-1"], &["warmup is -1"]);
    assert!(!folder.join("no").exists());
    let resume = |more: &[&'static str]| [&["train", "--resume", "half", "--device", "cpu"], more].concat();
    refuse(folder, &resume(&["--freeze", "conv1"]), &["began with freeze conv1..bn7,dense1"]);
    refuse(folder, &resume(&["--label-smoothing", "0.1"]), &["began with label-smoothing 0"]);
}

#[test]
fn rates_follow_their_schedule() {
    let temporary = photographs();
    let folder = temporary.path();
    let run = |out: &str, more: &[&str]| {
        let base = ["train", "--data", "data", "--out", out, "--lr", "0.001"];
        succeed(folder, &[&base[..], &TINY, more].concat());
        let history = history::read(&folder.join(out).join(files::HISTORY)).unwrap();
        history.iter().map(|epoch| epoch.lr).collect::<Vec<_>>()
    };
    let cosine = run("cosine", &["--schedule", "cosine", "--warmup", "1", "--epochs", "3"]);
    assert!(cosine[0] < 0.001 && cosine[0] > 0.0005 && cosine[1] > 0.0005 && cosine[2] < 0.0002, "{cosine:?}");
    // Every epoch stands still where any improvement is too small: only a plateau's schedule cuts.
    let still = ["--lr-min-delta", "1000", "--lr-patience", "1", "--epochs", "3", "--warmup", "0.5"];
    assert_eq!(run("constant", &[&["--schedule", "constant"], &still[..]].concat()), [0.001; 3]);
    let plateau = run("plateau", &still);
    assert!(plateau[0] == 0.001 && plateau[2] < 0.001, "{plateau:?}");
    let resume = ["train", "--resume", "cosine", "--device", "cpu"];
    refuse(folder, &[&resume[..], &["--epochs", "4"]].concat(), &["began with epochs 3"]);
    refuse(folder, &[&resume[..], &["--warmup", "2"]].concat(), &["began with warmup 1"]);
}
