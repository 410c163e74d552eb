//! Training steps of the tutorial's network, made narrow, against the file `tiny`: every activation and gradient of the
//! first step, and weights, moving statistics and moments on the way.
//!
//! The file's `spread` of a tensor is the largest difference between Keras with Eigen, Keras with oneDNN and an f64
//! reference. One more honest implementation may be off by a small multiple of it.

use std::collections::HashMap;

use super::Place;
use super::file::{File, numbers};
use super::training::{
    LEARNING_RATE, LOSSES, Metrics, Program, SPREADS, bound_of, is_conv_bias, kept_plan, plain_plan, spread_bound,
    updated,
};
use crate::app::checkpoint::Tensor;
use crate::app::config::SHORTEST_SIDE;
use crate::app::data::Images;
use crate::app::train::feed::Labelled;
use crate::engine::bound::{FLUSHED, ULP};
use crate::engine::image_size::ImageSize;
use crate::engine::numbers::widen;
use crate::engine::plan::names;
use crate::engine::run::Engine;
use crate::error::Result;
use crate::network::compile as plans;
use crate::network::{Network, Parameter, tutorial};
use crate::ops::adam;
use crate::proof::doctor::findings::{Findings, compare};

/// The twins differ from the f64 reference by what is kept as f32: weights, moving statistics and moments between steps,
/// and the metrics. Each is a relative error of up to 6e-8, and the sum of sixteen layers' should stay below this.
const TWINS: f64 = 1e-6;
/// Channels of the tutorial's last convolution at width 1. Those of the first are too few to tell every width.
const LAST_FILTERS: f64 = 1024.0;

pub fn check(file: &File, place: &Place, findings: &mut Findings) -> Result<()> {
    let network = network(file)?;
    // A plan is made for no more than the file holds.
    stored(file, &network, "init", "init")?;
    let mut computed = first_step(file, place, &network)?;
    let metrics = train(file, place, &network, &mut computed)?;
    check_metrics(file, place, &metrics, findings)?;
    for (name, got) in &computed {
        check_tensor(file, name, got, findings)?;
    }
    for parameter in network.parameters().iter().filter(|parameter| parameter.trainable) {
        check_moments(file, &parameter.name, findings)?;
        for t in 1..=metrics.len() {
            check_update(file, t as u64, &parameter.name, findings)?;
        }
    }
    check_inference(file, place, &network, findings)?;
    file.leave_out(|name| name.rsplit('/').next().is_some_and(is_conv_bias))?;
    file.finish(findings)
}

/// The tutorial's network at the file's width, image size and number of classes.
fn network(file: &File) -> Result<Network> {
    let size = |name: &str, axis: usize| {
        let shape = file.shape(name)?;
        shape.get(axis).copied().ok_or_else(|| file.fault(format!("{name} is {shape:?}")))
    };
    let width = size("init/conv8.kernel", 3)? as f64 / LAST_FILTERS;
    let image = ImageSize { height: size("images/t1", 1)?, width: size("images/t1", 2)? };
    let classes = size("init/dense2.bias", 0)?;
    if image.shorter() < SHORTEST_SIDE || width == 0.0 || classes == 0 || file.shape("class_weight")? != [classes] {
        return Err(file.fault(format!("no network has {classes} classes of {image} pixels, and other class weights")));
    }
    Ok(tutorial(image, width, classes))
}

fn batch(file: &File, t: u64) -> Result<Labelled> {
    let name = format!("images/t{t}");
    let shape = file.shape(&name)?;
    let &[count, height, width, 3] = &shape[..] else { return Err(file.fault(format!("{name} is {shape:?}"))) };
    let labels = file.integers(&format!("labels/t{t}"))?;
    let classes = file.shape("class_weight")?.iter().product();
    let alike = file.shape("images/t1")? == shape;
    if count == 0 || !alike || labels.len() != count || labels.iter().any(|&l| l as usize >= classes) {
        return Err(file.fault(format!("{name} is {shape:?}, with labels {labels:?}")));
    }
    let size = ImageSize { height, width };
    Ok(Labelled::new(Images { size, count, pixels: file.bytes(&name)? }, labels))
}

/// The file's weights and moving statistics, by their prefixes there.
fn stored(file: &File, network: &Network, weights: &str, statistics: &str) -> Result<Vec<Tensor>> {
    let parameter = |Parameter { name, shape, trainable, .. }: Parameter| {
        let stored = format!("{}/{name}", if trainable { weights } else { statistics });
        let found = file.shape(&stored)?;
        if found != shape {
            return Err(file.fault(format!("{stored} is {found:?}, and must be {shape:?} in the tutorial's network")));
        }
        Ok(Tensor { name, shape, data: file.floats(&stored)? })
    };
    network.parameters().into_iter().map(parameter).collect()
}

fn load(file: &File, place: &Place, network: &Network, plan: crate::engine::plan::Plan) -> Result<Program> {
    let weights = stored(file, network, "init", "init")?;
    Program::load(place, plan, network, &weights, &file.floats("class_weight")?)
}

/// Activations and gradients of the first step, by the file's names.
fn first_step(file: &File, place: &Place, network: &Network) -> Result<HashMap<String, Vec<f32>>> {
    let data = batch(file, 1)?;
    let mut program = load(file, place, network, kept_plan(place, network, data.labels.len()))?;
    program.run(&data, Some(1))?;
    let mut tensors = HashMap::new();
    for golden in file.names()? {
        let Some(rest) = golden.strip_prefix("step1/") else { continue };
        let numbers = match rest.split_once('/') {
            Some(("act", layer)) => program.activation(layer)?,
            Some(("grad", parameter)) if !is_conv_bias(parameter) => program.read(&names::gradient(parameter))?,
            _ => continue,
        };
        tensors.insert(golden, numbers);
    }
    Ok(tensors)
}

/// Runs every step of the file; adds weights, moving statistics and moments after the steps that it tells of.
fn train(
    file: &File,
    place: &Place,
    network: &Network,
    tensors: &mut HashMap<String, Vec<f32>>,
) -> Result<Vec<Metrics>> {
    let names = file.names()?;
    let steps = file.shape("losses")?.first().copied().unwrap_or(0) as u64;
    let mut program = load(file, place, network, plain_plan(place, network, batch(file, 1)?.labels.len()))?;
    let mut metrics = Vec::new();
    for t in 1..=steps {
        metrics.push(program.run(&batch(file, t)?, Some(t))?);
        if !names.iter().any(|name| name.starts_with(&format!("after{t}/"))) {
            continue;
        }
        let state = program.state(network)?;
        for parameter in network.parameters() {
            let group = if parameter.trainable { "param" } else { "stat" };
            tensors.insert(format!("after{t}/{group}/{}", parameter.name), state[&parameter.name].clone());
        }
        for name in updated(network) {
            for moment in names::MOMENTS {
                let own = format!("{moment}/{name}");
                tensors.insert(format!("after{t}/{own}"), program.read(&own)?);
            }
        }
    }
    Ok(metrics)
}

fn check_metrics(file: &File, place: &Place, metrics: &[Metrics], findings: &mut Findings) -> Result<()> {
    let losses: Vec<f64> = metrics.iter().map(|metrics| metrics.loss).collect();
    let accuracies: Vec<f32> = metrics.iter().map(|metrics| metrics.accuracy as f32).collect();
    // How far apart small batches drive honest implementations is up to the seed.
    let strayed = spread_bound(file, "losses")?;
    let want = widen(&file.floats("losses")?);
    findings.compare("losses", &losses, &want, |i| strayed + LOSSES * want[i]);
    let on_twins = matches!((place.open)()?, Engine::Cpu(_));
    let tolerance = if on_twins { TWINS } else { LOSSES };
    let want = numbers(&file.json["f64_losses"]);
    // Twins and reference are both f64: nothing can have strayed before a first weight was rounded.
    let strayed_by = |step: usize| if on_twins && step == 0 { 0.0 } else { strayed };
    findings.compare("f64_losses", &losses, &want, |i| strayed_by(i) + tolerance * want[i]);
    let near_ties = file.figure("accuracies", "spread").unwrap_or(0.0);
    findings.compare("accuracies", &accuracies, &file.floats("accuracies")?, |_| near_ties);
    Ok(())
}

/// The entries that the file holds of a tensor: all, those of the first samples only, or `floor(i n / count)`.
fn entries(file: &File, name: &str, full: &[f32], count: usize) -> Result<Vec<f32>> {
    if count > full.len() {
        return Err(file.fault(format!("{name} is of {} entries, and so of no {count}", full.len())));
    }
    Ok(match file.json["tensors"][name]["about"].is_string() {
        true => full[..count].to_vec(),
        false => (0..count).map(|i| full[i * full.len() / count]).collect(),
    })
}

fn check_tensor(file: &File, name: &str, got: &[f32], findings: &mut Findings) -> Result<()> {
    if let Some((_, parameter)) = name.split_once("/param/").filter(|(_, parameter)| is_conv_bias(parameter)) {
        let start = file.floats(&format!("init/{parameter}"))?;
        findings.compare(&format!("{name}, which stays"), got, &start, |_| 0.0);
        return Ok(());
    }
    if !file.has(name) {
        return Ok(());
    }
    let want = file.floats(name)?;
    let got = entries(file, name, got, want.len())?;
    match name.split_once("/param/") {
        None => {
            let bound = spread_bound(file, name)?;
            findings.compare(name, &got, &want, |_| bound);
        }
        Some((after, parameter)) => {
            let t = after.strip_prefix("after").and_then(|t| t.parse().ok());
            let t = t.ok_or_else(|| file.fault(format!("{name} is after no step")))?;
            let start = file.floats(&format!("init/{parameter}"))?;
            let start = entries(file, name, &start, want.len())?;
            let noisy = noisy(file, t, parameter, want.len())?;
            findings.note(name, same_way(&got, &want, &start, &noisy));
        }
    }
    Ok(())
}

/// How far `1 - f32(0.999)` is off, as a share, and some roundings.
const SECOND_MOMENT: f64 = 2e-5;

/// Adam's moments after the first step follow from its gradient. Those after the second give its gradient away, twice. That
/// is so for the biases whose gradients are noise, too.
fn check_moments(file: &File, parameter: &str, findings: &mut Findings) -> Result<()> {
    let [b1, b2] = [1.0 - adam::BETA_1, 1.0 - adam::BETA_2];
    let mut before: Option<[Vec<f64>; 2]> = None;
    for t in 1..=2 {
        let names = names::MOMENTS.map(|moment| format!("after{t}/{moment}/{parameter}"));
        let gradient = format!("step1/grad/{parameter}");
        if names.iter().any(|name| !file.has(name)) || t == 1 && !file.has(&gradient) {
            return Ok(());
        }
        let stored = [file.floats(&names[0])?, file.floats(&names[1])?, file.floats(&names[2])?];
        let [m, v, vhat] = [0, 1, 2].map(|i| widen(&stored[i]));
        let count = m.len();
        if [v.len(), vhat.len(), before.as_ref().map_or(count, |[m, _]| m.len())] != [count; 3] {
            return Err(file.fault(format!("the moments of {parameter} are not of one size")));
        }
        let (m1, v1) = before.map_or_else(|| (vec![0.0; count], vec![0.0; count]), |[m, v]| (m, v));
        // The step's gradient, and how far off it is when it comes out of the first moments.
        let (g, off): (Vec<f64>, Vec<f64>) = if t == 1 {
            let g = widen(&entries(file, &gradient, &file.floats(&gradient)?, count)?);
            let want: Vec<f64> = g.iter().map(|g| b1 * g).collect();
            findings.compare(&names[0], &m, &want, |i| 4.0 * ULP * want[i].abs());
            (g, vec![0.0; count])
        } else {
            let g = |i: usize| (m[i] - (1.0 - b1) * m1[i]) / b1;
            (0..count).map(|i| (g(i), 4.0 * ULP * (m[i].abs() + m1[i].abs()) / b1)).unzip()
        };
        let want: Vec<f64> = (0..count).map(|i| (1.0 - b2) * v1[i] + b2 * g[i] * g[i]).collect();
        findings.compare(&format!("{} of {}", names[1], names[0]), &v, &want, |i| {
            SECOND_MOMENT * want[i] + b2 * off[i] * (2.0 * g[i].abs() + off[i]) + FLUSHED
        });
        let want: Vec<f64> = v.iter().zip(&v1).map(|(v, v1)| v.max(*v1)).collect();
        findings.compare(&names[2], &vhat, &want, |_| 0.0);
        before = Some([m, v]);
    }
    Ok(())
}

/// How far Keras's f32 step size may be off, as a share: it computes the bias corrections as powers of f32 numbers.
const STEP_SIZE: f64 = 1e-5;

/// The file's parameters are what Adam makes of its own moments, where it has the parameters of the step before: that
/// finds a wrong entry, which the way of a whole tensor would not show.
fn check_update(file: &File, t: u64, parameter: &str, findings: &mut Findings) -> Result<()> {
    let name = format!("after{t}/param/{parameter}");
    let earlier = if t == 1 { format!("init/{parameter}") } else { format!("after{}/param/{parameter}", t - 1) };
    if !file.has(&name) || !file.has(&earlier) {
        return Ok(());
    }
    let names = [name, earlier, format!("after{t}/m/{parameter}"), format!("after{t}/vhat/{parameter}")];
    let stored = names.iter().map(|name| file.floats(name)).collect::<Result<Vec<_>>>()?;
    // What is stored in full after the last step only is compared where the rest is known.
    let count = stored.iter().map(Vec::len).min().unwrap_or(0);
    let known = |i: usize| entries(file, &names[i], &stored[i], count).map(|entries| widen(&entries));
    let (after, before, m, vhat) = (known(0)?, known(1)?, known(2)?, known(3)?);
    let alpha = adam::alpha(f64::from(LEARNING_RATE), t);
    let update = |i: usize| alpha * m[i] / (vhat[i].sqrt() + adam::EPSILON);
    let want: Vec<f64> = (0..after.len()).map(|i| before[i] - update(i)).collect();
    findings.compare(&format!("{} from its moments", names[0]), &after, &want, |i| {
        2.0 * (STEP_SIZE * update(i).abs() + ULP * before[i].abs())
    });
    Ok(())
}

/// The entries of a parameter whose first moment was within Keras's own noise after a step that the file tells of. What
/// shifts a whole channel that another batch norm follows has no gradient at all.
fn noisy(file: &File, last: u64, parameter: &str, count: usize) -> Result<Vec<bool>> {
    let mut noisy = vec![false; count];
    for moment in (1..=last).map(|t| format!("after{t}/m/{parameter}")).filter(|moment| file.has(moment)) {
        let (m, spread) = (file.floats(&moment)?, file.figure(&moment, "spread").unwrap_or(0.0));
        if m.is_empty() {
            return Err(file.fault(format!("{moment} is empty")));
        }
        for (i, noisy) in noisy.iter_mut().enumerate() {
            // Of large tensors a part of the moments is stored; its neighbours are not known to be better.
            *noisy |= f64::from(m[i * m.len() / count].abs()) <= SPREADS * spread;
        }
    }
    Ok(noisy)
}

/// Every tensor has to move as Keras's does as a whole: within 1 % of the way it went. Adam makes full steps of gradients
/// that are next to nothing, so entries with noisy ones may go the other way; they are left out.
fn same_way(got: &[f32], want: &[f32], start: &[f32], noisy: &[bool]) -> std::result::Result<f64, String> {
    let distance = |a: &[f32], b: &[f32]| {
        let apart = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
        a.iter().zip(b).zip(noisy).filter(|(_, noisy)| !**noisy).map(|(pair, _)| apart(pair)).sum::<f64>().sqrt()
    };
    let way = distance(want, start);
    compare(&[distance(got, want)], &[0.0], |_| 0.01 * way).map_err(|_| {
        format!("ends {:e} off on a way of {way:e}, and may be off by a hundredth of it", distance(got, want))
    })
}

/// Inference with the weights that the file ends with: nothing that strayed in training is in the way.
fn check_inference(file: &File, place: &Place, network: &Network, findings: &mut Findings) -> Result<()> {
    let last = file.shape("losses")?.first().copied().unwrap_or(0);
    let [weights, statistics, results] = ["param", "stat", "infer"].map(|group| format!("after{last}/{group}"));
    let data = batch(file, 1)?;
    let plan = plans::inference(network, data.labels.len(), &place.target);
    let weights = stored(file, network, &weights, &statistics)?;
    let mut program = Program::load(place, plan, network, &weights, &vec![1.0; network.classes])?;
    let Metrics { loss, accuracy } = program.run(&data, None)?;
    let accuracy = f64::from(accuracy as f32);
    let [logits, probabilities] = [program.read(names::LOGITS)?, program.read(names::PROBABILITIES)?];
    for (name, got) in [
        ("dense2", widen(&logits)),
        ("softmax", widen(&probabilities)),
        ("val_loss", vec![loss]),
        ("val_accuracy", vec![accuracy]),
    ] {
        let golden = format!("{results}/{name}");
        let bound = match (name, file.figure(&golden, "spread_given_stored_state")) {
            ("val_accuracy", _) => 0.0,
            (_, Some(spread)) => bound_of(file, &golden, spread)?,
            (_, None) => spread_bound(file, &golden)?,
        };
        let what = format!("{golden}, of after{last}/param and after{last}/stat");
        findings.compare(&what, &got, &file.floats(&golden)?, |_| bound);
    }
    Ok(())
}
