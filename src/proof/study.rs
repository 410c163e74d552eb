//! Study of an operation: kernels from naive to what training runs, each proved against the f64 twin, then timed beside the
//! others in interleaved rounds.

pub mod ladder;
mod ladders;
pub mod rung;

use serde_json::{Value, json};

use crate::engine::gpu::Device;
use crate::engine::gpu::session::Session;
use crate::engine::gpu::warm::warm_up;
use crate::engine::numbers::median;
use crate::engine::plan::{Plan, Target};
use crate::engine::shader::Shaders;
use crate::error::{Error, Result};
use crate::notes::note;
use crate::ops::case::Inputs;
use crate::proof::doctor::findings::Findings;
use crate::proof::doctor::{target_in, trial};
use crate::proof::profile::{Peaks, peaks};
use ladder::{Ladder, Size};
use rung::{How, Rung, rungs};

/// Rounds whose median counts, after one that compiles and warms up. Each times every rung once.
const ROUNDS: usize = 5;

/// How one rung fared.
#[derive(Clone, Debug)]
pub struct Row {
    pub rung: Rung,
    /// Folder of its shader files, where `--against` compares two.
    pub of: Option<String>,
    /// The largest error on honest sizes, as a share of its bound.
    pub worst: f64,
    /// Loss of a rung that is wrong on purpose, on the sizes that show it.
    pub loses: Option<String>,
    /// Fault of a rung that should be right, or that of a wrong one that nothing shows.
    pub fault: Option<String>,
    /// Median; `None` for a rung with a fault.
    pub seconds: Option<f64>,
}

/// A ladder on a device.
#[derive(Clone, Debug)]
pub struct Study {
    pub op: &'static str,
    pub formula: &'static str,
    pub device: String,
    pub driver: String,
    pub size: String,
    /// Of the plain computation.
    pub gflop: f64,
    /// The least that must be read and written.
    pub gbytes: f64,
    pub peaks: Peaks,
    pub rows: Vec<Row>,
    /// Rungs that this device cannot run.
    pub left_out: Vec<String>,
}

/// Proves the rungs of a ladder, and times those without fault. With `against`, rungs whose files differ there are there
/// twice.
///
/// # Errors
/// `Error::Input` for files that do not fit the ladder; `Error::DeviceLost`.
pub fn run(device: &Device, ladder: &Ladder, against: Option<(&str, &Shaders)>) -> Result<Study> {
    let mut rows = Vec::new();
    let own = &device.options.shaders;
    let (climbed, left_out) = climb(device, ladder, own)?;
    for rung in &climbed {
        rows.push((Row { rung: explained(device, ladder, rung), ..prove(device, ladder, rung, own)? }, own));
        let Some((folder, other)) = against else { continue };
        if modules(device, ladder, rung, own) != modules(device, ladder, rung, other) {
            rows.push((Row { of: Some(folder.into()), ..prove(device, ladder, rung, other)? }, other));
        }
    }
    if let Some((folder, other)) = against {
        for rung in
            climb(device, ladder, other)?.0.into_iter().filter(|rung| !climbed.iter().any(|own| own.how == rung.how))
        {
            rows.push((Row { of: Some(folder.into()), ..prove(device, ladder, &rung, other)? }, other));
        }
    }
    let mut session = Session::new(device.clone());
    let size = timed_size(device, ladder);
    time(&mut session, ladder, size, &mut rows)?;
    let peaks = peaks(&mut session)?;
    let plan = size.case.plan(&device.target());
    let bound = ladder.bindings.iter().filter_map(|(_, tensor)| plan.find(tensor));
    let bytes: u64 = bound.map(|id| plan.bytes_of(id.into())).sum();
    let info = &device.listed.info;
    Ok(Study {
        op: ladder.op,
        formula: ladder.formula,
        device: info.name.clone(),
        driver: format!("{} {}", info.driver, info.driver_info),
        size: size.case.about.clone(),
        gflop: size.flops as f64 / 1e9,
        gbytes: bytes as f64 / 1e9,
        peaks,
        rows: rows.into_iter().map(|(row, _)| row).collect(),
        left_out,
    })
}

/// The rungs that a device can run, and the names of those that it cannot.
fn climb(device: &Device, ladder: &Ladder, shaders: &Shaders) -> Result<(Vec<Rung>, Vec<String>)> {
    let subgroup = device.listed.fixed_subgroup();
    let (able, unable): (Vec<Rung>, Vec<Rung>) =
        rungs(ladder, shaders).map_err(Error::Input)?.into_iter().partition(|rung| rung.runs_with(subgroup));
    Ok((able, unable.into_iter().map(|rung| rung.name).collect()))
}

fn timed_size<'a>(device: &Device, ladder: &'a Ladder) -> &'a Size {
    &ladder.timed[usize::from(!device.listed.is_software())]
}

/// A rung of training with its files, and whether training would choose it at the size that is timed.
fn explained(device: &Device, ladder: &Ladder, rung: &Rung) -> Rung {
    let How::Training(algorithm) = rung.how else { return rung.clone() };
    let (size, target) = (timed_size(device, ladder), device.target());
    let Ok(plan) = rung.plan(ladder, size, &target, None) else { return rung.clone() };
    let mut files: Vec<&str> = plan.files().unwrap_or_default().concat();
    files.sort();
    files.dedup();
    let files = files.iter().map(|file| format!("{file}.wgsl")).collect::<Vec<_>>().join(", ");
    let sources = |plan: &Plan| plan.modules().map(|all| all.into_iter().map(|one| one.source).collect::<Vec<_>>());
    let chosen = algorithm.is_some() && sources(&plan) == sources(&size.case.plan(&target));
    let chosen = if chosen { ", its choice at this size" } else { "" };
    Rung { why: format!("what training runs on this device{chosen}: {files}"), ..rung.clone() }
}

fn modules(device: &Device, ladder: &Ladder, rung: &Rung, shaders: &Shaders) -> Option<Vec<String>> {
    let target = Target { shaders: shaders.clone(), ..device.target() };
    let plan = rung.plan(ladder, timed_size(device, ladder), &target, device.listed.fixed_subgroup()).ok()?;
    Some(plan.modules().ok()?.into_iter().map(|module| module.source).collect())
}

/// Compares a rung with the twin at every size of its ladder.
///
/// # Errors
/// As [`run`].
pub fn prove(device: &Device, ladder: &Ladder, rung: &Rung, shaders: &Shaders) -> Result<Row> {
    let target = target_in(device, device.target().variant);
    let target = Target { shaders: shaders.clone(), ..target };
    let (mut honest, mut hard) = (Findings::default(), Findings::default());
    for size in &ladder.sizes {
        let plan = rung.plan(ladder, size, &target, device.listed.fixed_subgroup()).map_err(Error::Input)?;
        let found = match trial::run(&size.case, device, plan) {
            Err(error @ Error::DeviceLost(_)) => return Err(error),
            Err(error) => {
                let mut findings = Findings::default();
                findings.note(&size.case.about, Err(error.to_string()));
                findings
            }
            Ok(found) => found,
        };
        if size.is_hard && rung.wrong.is_some() { hard.add(found) } else { honest.add(found) }
    }
    let first = |findings: &Findings| findings.faults.first().cloned();
    let fault = match &rung.wrong {
        None if honest.passed() => None,
        None => Some(first(&honest).unwrap_or_else(|| "nothing was compared".into())),
        Some(wrong) if hard.passed() => Some(format!("wrong on purpose, and no case shows it: {wrong}")),
        Some(_) => first(&honest),
    };
    Ok(Row { rung: rung.clone(), of: None, worst: honest.worst.0, loses: first(&hard), fault, seconds: None })
}

/// Times the rows without fault in interleaved rounds.
fn time(session: &mut Session, ladder: &Ladder, size: &Size, rows: &mut [(Row, &Shaders)]) -> Result<()> {
    note!("Timing {} rungs of {}", rows.len(), ladder.op);
    let (target, listed) = (session.device.target(), &session.device.listed);
    let (subgroup, software) = (listed.fixed_subgroup(), listed.is_software());
    let mut programs = Vec::new();
    for (index, (row, shaders)) in rows.iter().enumerate().filter(|(_, (row, _))| row.fault.is_none()) {
        let target = Target { shaders: (*shaders).clone(), ..target.clone() };
        let plan = row.rung.plan(ladder, size, &target, subgroup).map_err(Error::Input)?;
        let program = session.load(plan)?;
        write(session, program, size);
        warm_up(software, || Ok(session.time_steps(program)?.iter().sum()))?;
        programs.push((index, program));
    }
    let mut rounds = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        for &(index, program) in &programs {
            rounds[index].push(session.time_steps(program)?.iter().sum::<f64>());
        }
    }
    for ((row, _), seconds) in rows.iter_mut().zip(rounds) {
        row.seconds = (!seconds.is_empty()).then(|| median(&seconds));
    }
    Ok(())
}

fn write(session: &mut Session, program: usize, size: &Size) {
    let Inputs { floats, integers, .. } = size.case.rounds[0].inputs(session.plan(program));
    floats.iter().for_each(|(id, numbers)| session.write(program, *id, numbers));
    integers.iter().for_each(|(id, integers)| session.write_integers(program, *id, integers));
}

impl Row {
    /// Name with the folder that it is of.
    pub fn label(&self) -> String {
        self.of.as_ref().map_or(self.rung.name.clone(), |of| format!("{} ({of})", self.rung.name))
    }
}

impl Study {
    /// Every right rung is right, and every wrong one is caught.
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.fault.is_none())
    }

    /// Seconds of the first rung that was timed and is right: the others are compared with it.
    fn first_seconds(&self) -> Option<f64> {
        self.rows.iter().filter(|row| row.rung.wrong.is_none()).find_map(|row| row.seconds)
    }

    /// How many times as fast as the first rung.
    pub fn factor(&self, row: &Row) -> Option<f64> {
        Some(self.first_seconds()? / row.seconds?)
    }

    /// Share of the most that the probed peaks allow: of arithmetic or of memory, whichever takes longer.
    pub fn share(&self, row: &Row) -> Option<f64> {
        let least = (self.gflop / self.peaks.gflops).max(self.gbytes / self.peaks.gbytes_per_second);
        Some(least / row.seconds?)
    }

    /// A rung per row, with its reason below.
    pub fn to_text(&self) -> String {
        let Peaks { gflops, gbytes_per_second } = self.peaks;
        let mut out = format!(
            "{}: {}\n{}: {:.3} GFLOP, {:.4} GB at the least\n{}, {}\npeaks, probed in this run: {gflops:.1} GFLOP/s, \
             {gbytes_per_second:.1} GB/s\n\n{:<32} {:>10} {:>9} {:>8} {:>8} {:>8} {:>8}\n",
            self.op,
            self.formula,
            self.size,
            self.gflop,
            self.gbytes,
            self.device,
            self.driver,
            "rung",
            "ms",
            "GFLOP/s",
            "GB/s",
            "of peak",
            "factor",
            "error",
        );
        for row in &self.rows {
            out += &match (row.seconds, self.factor(row), self.share(row)) {
                (Some(seconds), Some(factor), Some(share)) => format!(
                    "{:<32} {:>10.3} {:>9.1} {:>8.2} {:>7.1}% {:>8.1} {:>8.2}\n",
                    row.label(),
                    1e3 * seconds,
                    self.gflop / seconds,
                    self.gbytes / seconds,
                    100.0 * share,
                    factor,
                    row.worst,
                ),
                _ => format!("{:<32} {:>10}\n", row.label(), "-"),
            };
            out += &indented("Why: ", &row.rung.why);
            if let Some(wrong) = &row.rung.wrong {
                out += &indented("WRONG ON PURPOSE: ", wrong);
            }
            if let Some(loses) = &row.loses {
                out += &indented("It loses: ", loses);
            }
            if let Some(fault) = &row.fault {
                out += &indented("FAULT: ", fault);
            }
        }
        out +=
            "\nfactor: times as fast as the first rung that is right. error: the largest, as a share of its bound.\n";
        for name in &self.left_out {
            out += &format!("{name}: left out, since this device has no subgroups of one size from 4 to 8\n");
        }
        out
    }

    pub fn to_json(&self) -> Value {
        let row = |row: &Row| {
            let training = matches!(row.rung.how, How::Training(_));
            json!({
                "rung": row.rung.name,
                "of": row.of,
                "training": training,
                "why": row.rung.why,
                "wrong_on_purpose": row.rung.wrong,
                "loses": row.loses,
                "fault": row.fault,
                "seconds": row.seconds,
                "gflops": row.seconds.map(|seconds| self.gflop / seconds),
                "gbytes_per_second": row.seconds.map(|seconds| self.gbytes / seconds),
                "share_of_peak": self.share(row),
                "factor": self.factor(row),
                "worst_error": row.worst,
            })
        };
        json!({
            "operation": self.op,
            "formula": self.formula,
            "size": self.size,
            "device": self.device,
            "driver": self.driver,
            "gflop": self.gflop,
            "gbytes": self.gbytes,
            "peaks": { "gflops": self.peaks.gflops, "gbytes_per_second": self.peaks.gbytes_per_second },
            "rungs": self.rows.iter().map(row).collect::<Vec<_>>(),
            "left_out": self.left_out,
        })
    }
}

/// Columns of a reason below its row.
const WIDTH: usize = 100;

/// A text in lines of at most [`WIDTH`] columns, four of them empty.
fn indented(label: &str, text: &str) -> String {
    let mut lines = vec![format!("    {label}").trim_end().to_string()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one");
        if line.chars().count() + word.chars().count() < WIDTH {
            let gap = if line.is_empty() { "    " } else { " " };
            *line += &format!("{gap}{word}");
        } else {
            lines.push(format!("    {word}"));
        }
    }
    lines.join("\n") + "\n"
}
