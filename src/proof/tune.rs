//! Which variant is the fastest on a device: each is compared with its twins, then timed in
//! interleaved rounds, and what is chosen is remembered for this adapter, driver and set of
//! shaders.

pub mod device;
pub mod remembered;

use crate::engine::numbers::median;
use crate::engine::run::Engine;
use crate::engine::variant::{Abilities, Algorithm, Convolutions, Core, Sizes, Variant};
use crate::error::{Error, Result};
use crate::notes::note;
use crate::ops::conv2d::Problem;
use crate::proof::doctor::open;
pub use remembered::{Place, Workload};

/// Rounds whose median counts. Each times every candidate once, so that a machine that slows down slows down all.
const ROUNDS: usize = 5;
/// Candidates this many times slower than the fastest in round one are dropped.
const HOPELESS: f64 = 2.0;
/// Share by which a candidate must be faster than the best guess: medians of a few rounds tell no
/// smaller differences.
const MARGIN: f64 = 0.03;

/// Source of checks and times: a device, or made-up ones in tests.
pub trait Source {
    /// Proves the kernels that compute products, and convolutions by that algorithm, in a variant;
    /// returns the fault, if any.
    fn prove(&mut self, variant: &Variant, algorithm: Algorithm) -> Result<Option<String>>;
    /// Proves what a variant with fused statistics runs besides.
    fn prove_fused_statistics(&mut self, variant: &Variant) -> Result<Option<String>>;
    /// Makes ready a training step in each of these variants, in place of earlier ones, and runs it once: what is wrong
    /// with its results.
    fn load(&mut self, variants: &[Variant]) -> Result<Vec<Option<String>>>;
    /// Runs one of them: the seconds of each operation by its name, `conv1 forward`.
    fn time(&mut self, index: usize) -> Result<Vec<(String, f64)>>;
}

/// How one candidate fared.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// Name of the candidate.
    pub name: String,
    /// Median seconds of a training step, or why it is out.
    pub outcome: std::result::Result<f64, String>,
}

/// A convolution of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its operations' names begin with it.
    pub name: String,
    pub problem: Problem,
}

/// Median seconds of all passes of one layer, by each algorithm that was timed.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerTimes {
    pub name: String,
    /// As `conv2d::Problem::geometry` says.
    pub geometry: String,
    pub seconds: Vec<(Algorithm, f64)>,
    /// The cheapest of these by `conv2d::Problem::cost`.
    pub counted: Algorithm,
    pub chosen: Algorithm,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub variant: Variant,
    /// Median seconds of a training step.
    pub seconds: f64,
    pub tried: Vec<Tried>,
    pub layers: Vec<LayerTimes>,
}

/// Chooses among variants, the best guess first: how products are computed, then how finely work is cut, then each
/// layer's convolution, then whether what was measured is faster than what is counted, then whether statistics are fused.
///
/// # Errors
/// `Error::Check` when no variant gives right results; `Error::DeviceLost`.
pub fn choose(
    source: &mut impl Source,
    variants: &[Variant],
    abilities: &Abilities,
    layers: &[Layer],
) -> Result<Choice> {
    let mut tried = Vec::new();
    let (mut counted, mut proved) = (Vec::new(), Vec::new());
    for variant in variants {
        let right = right_algorithms(source, variant, &mut tried)?;
        if right.contains(&Algorithm::Direct) {
            counted.push(variant.with(counted_among(&right, layers, variant.core)));
            proved.push(right);
        }
    }
    let times = time(source, &counted, Some(HOPELESS), &mut tried)?;
    let Some(best) = fastest(&times, MARGIN) else { return Err(nothing_right(&tried)) };
    let (guess, right, mut seconds) = (&counted[best], &proved[best], times[best].seconds());

    let (guess, faster) = settle_sizes(source, guess, abilities, &mut tried)?;
    seconds = faster.unwrap_or(seconds);

    let by_algorithm: Vec<Variant> = right.iter().map(|&one| guess.with(Convolutions::All(one))).collect();
    let times = time(source, &by_algorithm, None, &mut tried)?;
    let timed: Vec<(Algorithm, &Times)> = right.iter().copied().zip(&times).filter(|(_, times)| times.any()).collect();
    let sound: Vec<Algorithm> = timed.iter().map(|(algorithm, _)| *algorithm).collect();
    if !sound.contains(&Algorithm::Direct) {
        return Err(nothing_right(&tried));
    }
    let mut last = vec![guess.with(counted_among(&sound, layers, guess.core))];
    let layers: Vec<LayerTimes> = layers.iter().map(|layer| choose_algorithm(layer, &timed, guess.core)).collect();
    if layers.iter().any(|layer| layer.chosen != layer.counted) {
        let measured = layers.iter().map(|layer| (layer.geometry.clone(), layer.chosen)).collect();
        last.push(guess.with(Convolutions::Measured(measured)));
    }
    let mut variant = guess.clone();
    if last != [guess.clone()] {
        let times = time(source, &last, None, &mut tried)?;
        let Some(best) = fastest(&times, 0.0) else { return Err(nothing_right(&tried)) };
        (variant, seconds) = (last[best].clone(), times[best].seconds());
    }
    if let Some(faster) = faster_if_fused(source, &variant, &mut tried)? {
        (variant.fused_statistics, seconds) = (true, faster);
    }
    Ok(Choice { variant, seconds, tried, layers })
}

/// The sizes that make a variant faster, and its seconds with them where they are others than its own.
fn settle_sizes(
    source: &mut impl Source,
    guess: &Variant,
    abilities: &Abilities,
    tried: &mut Vec<Tried>,
) -> Result<(Variant, Option<f64>)> {
    let others = guess.sizes.others(abilities);
    if others.is_empty() {
        return Ok((guess.clone(), None));
    }
    let with = |sizes: Sizes| Variant { sizes, ..guess.clone() };
    let all: Vec<Sizes> = [guess.sizes].into_iter().chain(others).collect();
    let times = time(source, &all.iter().copied().map(with).collect::<Vec<_>>(), None, tried)?;
    // Of each size by itself: the two hardly depend on each other.
    let best = |same: fn(&Sizes, &Sizes) -> bool| {
        let among = (0..all.len()).filter(|&index| same(&all[index], &guess.sizes));
        let (indices, times): (Vec<usize>, Vec<Times>) = among.map(|index| (index, times[index].clone())).unzip();
        all[fastest(&times, MARGIN).map_or(0, |best| indices[best])]
    };
    let chunk_mib = best(|one, guess| one.parallel_groups == guess.parallel_groups).chunk_mib;
    let parallel_groups = best(|one, guess| one.chunk_mib == guess.chunk_mib).parallel_groups;
    let chosen = Sizes { parallel_groups, chunk_mib };
    let seconds = all.iter().position(|sizes| *sizes == chosen).map(|index| times[index].seconds());
    Ok((with(chosen), seconds.filter(|_| chosen != guess.sizes)))
}

/// Seconds of a step with fused statistics, if they are right and take less time.
fn faster_if_fused(source: &mut impl Source, variant: &Variant, tried: &mut Vec<Tried>) -> Result<Option<f64>> {
    let fused = Variant { fused_statistics: true, ..variant.clone() };
    if let Some(fault) = source.prove_fused_statistics(&fused)? {
        tried.push(Tried { name: fused.to_string(), outcome: Err(fault) });
        return Ok(None);
    }
    let times = time(source, &[variant.clone(), fused], None, tried)?;
    // A small part of a step, so compared by the operations that differ alone.
    let faster = times[1].forward() < (1.0 - MARGIN) * times[0].forward();
    Ok(faster.then(|| times[1].seconds()))
}

/// The algorithms that give right results in a variant; without direct convolution, none does.
fn right_algorithms(source: &mut impl Source, variant: &Variant, tried: &mut Vec<Tried>) -> Result<Vec<Algorithm>> {
    let mut right = Vec::new();
    for algorithm in Algorithm::ALL {
        if algorithm.pure() != algorithm {
            right.extend(right.contains(&algorithm.pure()).then_some(algorithm));
            continue;
        }
        match source.prove(variant, algorithm)? {
            None => right.push(algorithm),
            Some(fault) => {
                let name = variant.with(Convolutions::All(algorithm)).to_string();
                tried.push(Tried { name, outcome: Err(fault) });
            }
        }
        if !right.contains(&Algorithm::Direct) {
            break;
        }
    }
    Ok(right)
}

/// The counted choice, restricted to those algorithms.
fn counted_among(right: &[Algorithm], layers: &[Layer], core: Core) -> Convolutions {
    if right == Algorithm::ALL {
        return Convolutions::Counted;
    }
    let chosen = layers.iter().map(|Layer { problem, .. }| (problem.geometry(), problem.cheapest(right, core)));
    Convolutions::Measured(chosen.collect())
}

/// Seconds of each operation of a candidate; none where its results are wrong.
#[derive(Clone, Debug, Default)]
struct Times(Vec<(String, f64)>);

impl Times {
    /// The median of each operation over several rounds.
    fn median(rounds: &[Vec<(String, f64)>]) -> Times {
        let Some(first) = rounds.first() else { return Times::default() };
        let of = |index: usize| median(&rounds.iter().map(|round| round[index].1).collect::<Vec<_>>());
        Times(first.iter().enumerate().map(|(index, (name, _))| (name.clone(), of(index))).collect())
    }

    fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Seconds of the whole step; NaN, which is faster than nothing, without any times.
    fn seconds(&self) -> f64 {
        if self.any() { self.0.iter().map(|(_, seconds)| seconds).sum() } else { f64::NAN }
    }

    /// Of the forward passes, with the statistics of batch norms; NaN without any.
    fn forward(&self) -> f64 {
        let of = |name: &str| name.ends_with(" forward") || name.ends_with(" statistics");
        let passes: Vec<f64> = self.0.iter().filter(|(name, _)| of(name)).map(|(_, seconds)| *seconds).collect();
        if passes.is_empty() { f64::NAN } else { passes.iter().sum() }
    }

    /// Of all passes of a layer.
    fn of_layer(&self, layer: &str) -> f64 {
        let passes = self.0.iter().filter(|(name, _)| name.split(' ').next() == Some(layer));
        passes.map(|(_, seconds)| seconds).sum()
    }
}

/// Times the candidates in interleaved rounds. With `hopeless`, who takes so many times as long as the fastest in the
/// first round is left with that.
fn time(
    source: &mut impl Source,
    variants: &[Variant],
    hopeless: Option<f64>,
    tried: &mut Vec<Tried>,
) -> Result<Vec<Times>> {
    let faults = source.load(variants)?;
    let mut rounds = vec![Vec::new(); variants.len()];
    let mut left: Vec<usize> = (0..variants.len()).filter(|&index| faults[index].is_none()).collect();
    for round in 0..ROUNDS {
        for &index in &left {
            rounds[index].push(source.time(index)?);
        }
        if let (0, Some(hopeless)) = (round, hopeless) {
            let seconds = |&index: &usize| Times::median(&rounds[index]).seconds();
            let least = left.iter().map(seconds).fold(f64::INFINITY, f64::min);
            left.retain(|index| seconds(index) <= hopeless * least);
        }
    }
    let times: Vec<Times> = rounds.iter().map(|rounds| Times::median(rounds)).collect();
    for ((variant, fault), times) in variants.iter().zip(faults).zip(&times) {
        let outcome = fault.map_or(Ok(times.seconds()), Err);
        tried.push(Tried { name: variant.to_string(), outcome });
    }
    Ok(times)
}

/// The fastest candidate, or the first unless one is faster by more than the margin; `None` without
/// candidates.
fn fastest(times: &[Times], margin: f64) -> Option<usize> {
    let seconds: Vec<f64> = times.iter().map(Times::seconds).collect();
    let timed = || (0..seconds.len()).filter(|&index| !seconds[index].is_nan());
    let (first, least) = (timed().next()?, timed().min_by(|&a, &b| seconds[a].total_cmp(&seconds[b]))?);
    Some(if seconds[least] < (1.0 - margin) * seconds[first] { least } else { first })
}

fn choose_algorithm(Layer { name, problem }: &Layer, timed: &[(Algorithm, &Times)], core: Core) -> LayerTimes {
    let usable = timed.iter().filter(|(algorithm, _)| problem.allows(*algorithm));
    let seconds: Vec<(Algorithm, f64)> = usable.map(|(one, times)| (*one, times.of_layer(name))).collect();
    let algorithms: Vec<Algorithm> = seconds.iter().map(|(algorithm, _)| *algorithm).collect();
    let counted = problem.cheapest(&algorithms, core);
    let of = |wanted| seconds.iter().find(|(algorithm, _)| *algorithm == wanted).map_or(f64::INFINITY, |(_, s)| *s);
    let least = seconds.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let faster = least.filter(|(_, least)| *least < (1.0 - MARGIN) * of(counted));
    let chosen = faster.map_or(counted, |(algorithm, _)| *algorithm);
    LayerTimes { name: name.clone(), geometry: problem.geometry(), seconds, counted, chosen }
}

fn nothing_right(tried: &[Tried]) -> Error {
    let faults = tried.iter().filter_map(|one| Some(format!("\n  {}: {}", one.name, one.outcome.as_ref().err()?)));
    Error::Check(format!("no variant gives correct results:{}", faults.collect::<String>()))
}

/// Has an engine compute in the way that a run recorded, else in the one that was remembered for its device and this
/// workload, else in the best guess for its kind; says which, and returns what the run should record.
pub fn settle(engine: &mut Engine, recorded: Option<Variant>, workload: Option<&Workload>) -> Result<Option<Variant>> {
    let Engine::Gpu(session) = &engine else { return Ok(recorded) };
    let runnable = session.device.variants();
    let sizes = session.device.variant.sizes;
    let can = |variant: &Variant| {
        let plain = Variant { sizes, fused_statistics: false, ..variant.with(Convolutions::Counted) };
        runnable.contains(&plain)
    };
    let remembered = || {
        // `tune` measures without matrix units.
        if session.device.options.matrix_units {
            return None;
        }
        let found = Place::of_user(&session.device)?.find(workload?);
        found.unwrap_or_else(|why| {
            note!("warning: what `ocellus tune` found is ignored: {why}");
            None
        })
    };
    let (variant, why) = match recorded {
        Some(recorded) if can(&recorded) => (Some(recorded), "as the run began"),
        Some(recorded) => {
            note!("warning: the run began with {recorded}, which this device cannot do: rounding will differ");
            (None, "")
        }
        None => (remembered().filter(can), "found by `ocellus tune`"),
    };
    let (variant, why) = match variant {
        Some(variant) => (variant, why),
        None => (session.device.variant.clone(), "the best guess for this kind of device; `ocellus tune` measures"),
    };
    open::choose(engine, variant)?;
    let variant = engine.target().variant;
    note!("Kernels: {variant} ({why})");
    Ok(Some(variant))
}
