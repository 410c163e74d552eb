//! The file `options`: Keras's numbers for options of training that the tutorial leaves alone.

use std::path::Path;

use serde::Deserialize;

use super::file::read_json;
use crate::app::train::schedule::{Rates, Schedule};
use crate::error::Result;
use crate::ops::clip;
use crate::ops::softmax_cross_entropy::{Problem, twin};
use crate::proof::doctor::findings::Findings;

#[derive(Deserialize)]
struct Options {
    smoothing: Vec<Smoothing>,
    cosine: Vec<Cosine>,
    clipped: Vec<Clipped>,
}

#[derive(Deserialize)]
struct Smoothing {
    classes: usize,
    share: f64,
    logits: Vec<f64>,
    labels: Vec<u32>,
    class_weight: Vec<f64>,
    loss: f64,
    dlogits: Vec<f64>,
}

#[derive(Deserialize)]
struct Cosine {
    rate: f64,
    warmup: u64,
    steps: u64,
    rates: Vec<f64>,
}

#[derive(Deserialize)]
struct Clipped {
    limit: f64,
    norm: f64,
    before: Vec<Vec<f64>>,
    after: Vec<Vec<f64>>,
}

/// Keras computes these in f64.
const EXACT: f64 = 1e-12;
/// Keras computes rates in f32.
const RATE: f64 = 1e-6;

pub fn check(dir: &Path, findings: &mut Findings) -> Result<()> {
    let options: Options = read_json(&dir.join("options.json"))?;
    for case in &options.smoothing {
        let p = Problem { batch: case.labels.len(), classes: case.classes };
        let name = format!("label smoothing {} of [{}, {}]", case.share, p.batch, p.classes);
        let fits = case.logits.len() == p.batch * p.classes
            && case.dlogits.len() == case.logits.len()
            && case.class_weight.len() == p.classes
            && case.labels.iter().all(|&label| (label as usize) < p.classes);
        if !fits {
            findings.note(&name, Err("as many numbers as its shapes say are wanted".into()));
            continue;
        }
        let out = twin::smoothed(&p, &case.logits, &case.labels, &case.class_weight, case.share);
        near(findings, &format!("{name}: loss"), &[out.loss], &[case.loss], EXACT);
        near(findings, &format!("{name}: dlogits"), &out.dlogits, &case.dlogits, EXACT);
    }
    for Cosine { rate, warmup, steps, rates } in &options.cosine {
        let ours = Rates { schedule: Schedule::Cosine, warmup: *warmup, steps: *steps };
        let ours: Vec<f64> = (0..rates.len() as u64).map(|done| ours.at(*rate, done)).collect();
        near(
            findings,
            &format!("a cosine of {steps} steps from {rate}, warmed up in {warmup}"),
            &ours,
            rates,
            RATE * rate,
        );
    }
    for Clipped { limit, norm, before, after } in options.clipped {
        let mut ours = before;
        let our_norm = clip::twin::clip(&mut ours, limit);
        let name = format!("gradients of norm {norm:.3} clipped to {limit}");
        near(findings, &format!("{name}: norm"), &[our_norm], &[norm], EXACT * norm);
        near(findings, &name, &ours.concat(), &after.concat(), EXACT);
    }
    Ok(())
}

/// Compares numbers; a NaN is near no number.
fn near(findings: &mut Findings, name: &str, ours: &[f64], wanted: &[f64], within: f64) {
    let error = |(a, b): (&f64, &f64)| Some((a - b).abs()).filter(|error| !error.is_nan()).unwrap_or(f64::INFINITY);
    let worst = ours.iter().zip(wanted).map(error).fold(0.0, f64::max);
    let fits = ours.len() == wanted.len() && worst <= within;
    findings.note(name, if fits { Ok(worst / within) } else { Err(format!("off by {worst:e}, at most {within:e}")) });
}
