//! The tutorial's network at its full width against the file `full`: logits, activations and gradients of the first step,
//! and the losses of a few.

use super::Place;
use super::file::{File, numbers};
use super::formula::{self, hash};
use super::training::{LOSSES, Program, ROUNDINGS, is_conv_bias, kept_plan, l2, plain_plan, spread_bound, updated};
use serde_json::Value;

use crate::app::checkpoint::Tensor;
use crate::app::train::feed::Labelled;
use crate::engine::bound::ULP;
use crate::engine::image_size::ImageSize;
use crate::engine::plan::names;
use crate::error::Result;
use crate::network::compile as plans;
use crate::network::{Network, tutorial};
use crate::proof::doctor::findings::{Findings, compare};

const SIZE: ImageSize = ImageSize::square(224);
/// More images of that size are more than memory, and more classes than a batch tells of.
const LARGEST_BATCH: usize = 64;
/// A step takes seconds, and the images of all are held at once.
const MOST_STEPS: usize = 16;
/// Logits may be off by this share of their root mean square.
const LOGITS: f64 = 1e-5;

/// The run that the file tells of.
struct Run<'a> {
    file: &'a File,
    place: &'a Place<'a>,
    network: Network,
    weights: Vec<Tensor>,
    class_weight: Vec<f32>,
    /// Of each step.
    labels: Vec<Vec<u32>>,
}

pub fn check(file: &File, place: &Place, findings: &mut Findings) -> Result<()> {
    let class_weight: Vec<f32> = numbers(&file.json["class_weight"]).iter().map(|&number| number as f32).collect();
    let labels = file.json["labels"].as_array().ok_or_else(|| file.fault("its JSON has no labels"))?;
    // What is no class at all is none of those there are.
    let class = |label: &f64| if *label >= 0.0 && label.fract() == 0.0 { *label as u32 } else { u32::MAX };
    let labels: Vec<Vec<u32>> = labels.iter().map(|step| numbers(step).iter().map(class).collect()).collect();
    let (classes, batch) = (class_weight.len(), labels.first().map_or(0, Vec::len));
    let fits = |step: &Vec<u32>| step.len() == batch && step.iter().all(|&label| (label as usize) < classes);
    if labels.len() > MOST_STEPS {
        return Err(file.fault(format!("its JSON has {} steps, and may have {MOST_STEPS}", labels.len())));
    }
    if !(1..=LARGEST_BATCH).contains(&batch) || classes > LARGEST_BATCH || !labels.iter().all(fits) {
        return Err(file
            .fault(format!("its JSON must have labels below {classes} for steps of one size, 1 to {LARGEST_BATCH}")));
    }
    let network = tutorial(SIZE, 1.0, classes);
    let run = Run { file, place, weights: formula::weights(&network), network, class_weight, labels };
    check_formula(&run, findings);
    check_inference(&run, findings)?;
    check_first_step(&run, findings)?;
    check_losses(&run, findings)?;
    file.finish(findings)
}

impl Run<'_> {
    fn batch(&self) -> usize {
        self.labels.first().map_or(0, Vec::len)
    }

    /// The batch of step `t`, from 1.
    fn labelled(&self, t: usize) -> Labelled {
        Labelled::new(formula::images(t as u32, self.batch(), SIZE), self.labels[t - 1].clone())
    }

    fn load(&self, plan: crate::engine::plan::Plan) -> Result<Program> {
        Program::load(self.place, plan, &self.network, &self.weights, &self.class_weight)
    }

    fn check_logits(&self, name: &str, got: &[f32], findings: &mut Findings) -> Result<()> {
        let bound = LOGITS * self.file.rms(name)?;
        findings.compare(name, got, &self.file.floats(name)?, |_| bound);
        Ok(())
    }
}

/// The formula gives the numbers that the file says it does: sums, and entries by `NAME`, `NAME[4]`, `NAME[0..3]`,
/// `h(100,0..3)`, `image step3 last 3 u8`.
fn check_formula(run: &Run, findings: &mut Findings) {
    let images: Vec<Vec<u8>> =
        (1..=run.labels.len()).map(|t| formula::images(t as u32, run.batch(), SIZE).pixels).collect();
    for (key, want) in run.file.json["formula_check"].as_object().into_iter().flatten() {
        match &key[..] {
            "f64 sum of abs per parameter" => check_sums(run, want, findings),
            "sum of u8 per step" => {
                let sum = |pixels: &Vec<u8>| pixels.iter().map(|&value| f64::from(value)).sum();
                findings.compare(key, &images.iter().map(sum).collect::<Vec<f64>>(), &numbers(want), |_| 0.0);
            }
            _ => {
                let want = want.as_f64().map_or_else(|| numbers(want), |number| vec![number]);
                let got = by_formula(run, &images, key, want.len());
                // Parameters may be written with the digits that an f32 needs; hashes need all 32 bits.
                let written = if key.starts_with("h(") { 0.0 } else { ULP / 2.0 };
                findings.note(key, got.and_then(|got| compare(&got, &want, |i| written * want[i].abs())));
            }
        }
    }
}

fn check_sums(run: &Run, want: &Value, findings: &mut Findings) {
    for (name, want) in want.as_object().into_iter().flatten() {
        let want = want.as_f64().unwrap_or(f64::NAN);
        let got: f64 = parameter(run, name).iter().map(|value| f64::from(value.abs())).sum();
        // The order of ten million f64 additions.
        findings.compare(&format!("sum of {name}"), &[got], &[want], |_| 1e-12 * want);
    }
}

/// A parameter by the formula; of a name that no parameter has, nothing.
fn parameter<'a>(run: &'a Run, name: &str) -> &'a [f32] {
    run.weights.iter().find(|tensor| tensor.name == name).map_or(&[], |tensor| &tensor.data)
}

/// The first `count` entries that a key of `formula_check` speaks of.
fn by_formula(run: &Run, images: &[Vec<u8>], key: &str, count: usize) -> std::result::Result<Vec<f64>, String> {
    let unknown = || format!("the formula makes no {key}");
    let first =
        |text: &str| text.split("..").next().and_then(|first| first.trim().parse::<u32>().ok()).ok_or_else(unknown);
    if let Some((tag, range)) = key.strip_prefix("h(").and_then(|rest| rest.strip_suffix(')')?.split_once(',')) {
        let (tag, from) = (first(tag)?, first(range)? as usize);
        return Ok((from..from + count).map(|i| f64::from(hash(tag, i))).collect());
    }
    if let Some(words) = key.strip_prefix("image step") {
        let words: Vec<&str> = words.split(' ').collect();
        let step: usize = words[0].parse().map_err(|_| unknown())?;
        let pixels = step.checked_sub(1).and_then(|step| images.get(step)).ok_or_else(unknown)?;
        let from = if words.contains(&"last") { pixels.len().saturating_sub(count) } else { 0 };
        return Ok(pixels.iter().skip(from).take(count).map(|&value| f64::from(value)).collect());
    }
    let (name, from) = match key.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
        Some((name, range)) => (name, first(range)? as usize),
        None => (key, 0),
    };
    let entries = parameter(run, name).get(from..from + count).ok_or_else(unknown)?;
    Ok(entries.iter().map(|&number| f64::from(number)).collect())
}

fn check_inference(run: &Run, findings: &mut Findings) -> Result<()> {
    let plan = plans::inference(&run.network, run.batch(), &run.place.target);
    let mut program = run.load(plan)?;
    program.run(&run.labelled(1), None)?;
    run.check_logits("infer/logits", &program.read(names::LOGITS)?, findings)
}

fn check_first_step(run: &Run, findings: &mut Findings) -> Result<()> {
    let mut program = run.load(kept_plan(run.place, &run.network, run.batch()))?;
    let loss = program.run(&run.labelled(1), Some(1))?.loss;
    let file = run.file;
    run.check_logits("step1/logits", &program.read(names::LOGITS)?, findings)?;
    if file.has("step1/loss") {
        let want = file.floats("step1/loss")?;
        findings.compare("step1/loss", &[loss], &want, |i| LOSSES * f64::from(want[i]));
    }
    for golden in file.names()?.into_iter().filter(|name| name.starts_with("act_l2/")) {
        let bound = spread_bound(file, &golden)?;
        findings.compare(
            &golden,
            &[l2(&program.activation(&golden["act_l2/".len()..])?)],
            &file.floats(&golden)?,
            |_| bound,
        );
    }
    for name in updated(&run.network) {
        check_gradient(file, &name, &program.read(&names::gradient(&name))?, findings)?;
    }
    file.leave_out(|name| name.rsplit('/').next().is_some_and(is_conv_bias))
}

/// Near-ties in the first pool are decided by rounding, and each sends a gradient to another pixel:
/// what lies before that pool agrees to 1 % only. After it every gradient is compared within the
/// spread.
fn check_gradient(file: &File, name: &str, gradient: &[f32], findings: &mut Findings) -> Result<()> {
    let before_the_first_pool = name.starts_with("conv1.") || name.starts_with("bn1.");
    let golden = format!("step1/grad_sample/{name}");
    let want = file.floats(&golden)?;
    let indices = file.integers(&format!("step1/grad_index/{name}"))?;
    if indices.iter().any(|&index| index as usize >= gradient.len()) {
        return Err(file.fault(format!("step1/grad_index/{name} points past the gradient's end")));
    }
    let got: Vec<f32> = indices.iter().map(|&index| gradient[index as usize]).collect();
    let figure = |key: &str| file.figure(&golden, key).unwrap_or(f64::NAN);
    let norm = figure("l2_full_f64run");
    // Norms differ by no more than the norm of the difference.
    let norm_bound = match before_the_first_pool {
        true => 1e-2 * norm,
        false => 3.0 * figure("l2_of_difference") + ROUNDINGS * norm,
    };
    findings.compare(&format!("norm of {golden}"), &[l2(gradient)], &[norm], |_| norm_bound);
    if before_the_first_pool {
        let difference: Vec<f32> = got.iter().zip(&want).map(|(got, want)| got - want).collect();
        findings.compare(&format!("difference of {golden}"), &[l2(&difference)], &[0.0], |_| 1e-2 * l2(&want));
    }
    let bound = spread_bound(file, &golden)?;
    findings.compare(&golden, &got, &want, |_| bound);
    Ok(())
}

/// The labels change with every step, so the losses grow.
fn check_losses(run: &Run, findings: &mut Findings) -> Result<()> {
    let mut program = run.load(plain_plan(run.place, &run.network, run.batch()))?;
    let mut losses = Vec::new();
    for t in 1..=run.labels.len() {
        losses.push(program.run(&run.labelled(t), Some(t as u64))?.loss);
    }
    let mut compare = |name: &str, want: &[f64]| findings.compare(name, &losses, want, |i| LOSSES * want[i]);
    for key in ["losses_f64", "losses_f32_eigen", "losses_f32_onednn"] {
        compare(key, &numbers(&run.file.json[key]));
    }
    if run.file.has("losses") {
        compare("losses", &crate::engine::numbers::widen(&run.file.floats("losses")?));
    }
    Ok(())
}
