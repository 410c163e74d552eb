//! Rungs: kernels that compute a ladder's operation, in files of their own or as training does.

use super::ladder::{Ladder, Size};
use crate::engine::plan::{Layout, Plan, Step, Target, TensorId};
use crate::engine::shader::{self, Constants, Kernel, Shaders, Stored, Work};
use crate::engine::tensor::Lifetime;
use crate::engine::variant::{Algorithm, Convolutions, LANES, Tile, Variant};
use crate::shader;

/// Most workgroups of a rung's dispatch: it is not folded into two dimensions.
const MOST_GROUPS: u32 = 65_535;

/// A way to compute a ladder's operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Rung {
    /// `1_naive`, or `training` with its algorithm.
    pub name: String,
    pub how: How,
    /// Reason for its step.
    pub why: String,
    /// Fault that it has on purpose.
    pub wrong: Option<String>,
    /// Whether it needs subgroups of one size.
    pub needs_subgroups: bool,
}

/// Its kernels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    /// One file, perhaps in several stages.
    File(Kernel),
    /// Kernels of training; by this algorithm, if it is a convolution.
    Training(Option<Algorithm>),
}

/// The rungs of a ladder: files in the order of their numbers, then training.
///
/// # Errors
/// A file without a reason, or a head that does not name its libraries.
pub fn rungs(ladder: &Ladder, shaders: &Shaders) -> Result<Vec<Rung>, String> {
    let folder = format!("{}/rungs/", ladder.op);
    let mut rungs = Vec::new();
    for kernel in shaders.kernels()?.into_iter().filter(|kernel| kernel.path.starts_with(&folder)) {
        rungs.push(of_file(shaders, kernel, &kernel.path[folder.len()..])?);
    }
    let number = |rung: &Rung| rung.name.split('_').next().and_then(|number| number.parse::<usize>().ok());
    rungs.sort_by_key(|rung| (number(rung).unwrap_or(usize::MAX), rung.name.clone()));
    let algorithms = ladder.algorithms.iter().copied().map(Some);
    let algorithms: Vec<_> = if ladder.algorithms.is_empty() { vec![None] } else { algorithms.collect() };
    rungs.extend(algorithms.into_iter().map(of_training));
    Ok(rungs)
}

fn of_training(algorithm: Option<Algorithm>) -> Rung {
    let name = algorithm.map_or("training".into(), |algorithm| format!("training, {algorithm}"));
    let why = "the kernels that training runs on this device".into();
    Rung { name, how: How::Training(algorithm), why, wrong: None, needs_subgroups: false }
}

fn of_file(shaders: &Shaders, kernel: Kernel, name: &str) -> Result<Rung, String> {
    let comment = shaders.source(kernel.path)?.lines().map_while(|line| line.strip_prefix("//"));
    let head: Vec<&str> = comment.map(str::trim).collect();
    let why = labelled(&head, "Why").ok_or_else(|| {
        format!("{}: no reason: a line of its head begins with `// Why: `", shaders.shown(kernel.path))
    })?;
    let needs_subgroups = labelled(&head, "Needs").is_some_and(|needs| needs.starts_with("subgroups"));
    let chosen = kernel.chosen.map(|library| format!(", {library}")).unwrap_or_default();
    let wrong = labelled(&head, "Wrong on purpose");
    Ok(Rung { name: format!("{name}{chosen}"), how: How::File(kernel), why, wrong, needs_subgroups })
}

/// Labels of a head's paragraphs.
const LABELS: [&str; 4] = ["Why", "Wrong on purpose", "Needs", "Uses"];

/// The paragraph of a head that begins with a label.
fn labelled(head: &[&str], label: &str) -> Option<String> {
    let begins = |line: &str, label: &str| line.strip_prefix(label).is_some_and(|rest| rest.starts_with(": "));
    let first = head.iter().position(|line| begins(line, label))?;
    let ends = |line: &&&str| line.is_empty() || LABELS.iter().any(|label| begins(line, label));
    let rest = head[first + 1..].iter().take_while(|line| !ends(line));
    let text = [&head[first][label.len() + 2..]].into_iter().chain(rest.copied()).collect::<Vec<_>>().join(" ");
    Some(text.trim().to_string())
}

impl Rung {
    /// Whether a device with subgroups of that size can run it.
    pub fn runs_with(&self, subgroup: Option<usize>) -> bool {
        !self.needs_subgroups || subgroup.is_some_and(|lanes| LANES.contains(&lanes))
    }

    /// Its plan at a size: training's, with its own steps.
    ///
    /// # Errors
    /// A file that does not fit the ladder: bindings that it does not have, workgroups that it does not say.
    pub fn plan(&self, ladder: &Ladder, size: &Size, target: &Target, subgroup: Option<usize>) -> Result<Plan, String> {
        match self.how {
            How::Training(algorithm) => Ok(size.case.plan(&in_algorithm(target, algorithm))),
            How::File(kernel) => {
                // Buffers are read as buffers, so that the files say all that happens.
                let variant = Variant { texel_reads: None, ..target.variant.clone() };
                let target = in_algorithm(&Target { variant, ..target.clone() }, Some(algorithm_of(kernel)));
                let mut plan = size.case.plan(&target);
                replace_steps(&mut plan, ladder, size, kernel, subgroup)?;
                Ok(plan)
            }
        }
    }
}

fn in_algorithm(target: &Target, algorithm: Option<Algorithm>) -> Target {
    let Some(algorithm) = algorithm else { return target.clone() };
    Target { variant: target.variant.with(Convolutions::All(algorithm)), ..target.clone() }
}

/// The algorithm whose bound holds for a file: rounding is that of its transforms.
fn algorithm_of(kernel: Kernel) -> Algorithm {
    match kernel.chosen {
        Some(library) if library == shader!("lib/winograd2") => Algorithm::Winograd(Tile::Two),
        Some(library) if library == shader!("lib/winograd4") => Algorithm::Winograd(Tile::Four),
        _ => Algorithm::Direct,
    }
}

/// Puts a file's stages in the place of the plan's steps. Its node keeps its twin and its bound.
fn replace_steps(
    plan: &mut Plan,
    ladder: &Ladder,
    size: &Size,
    kernel: Kernel,
    subgroup: Option<usize>,
) -> Result<(), String> {
    let shaders = plan.target.shaders.clone();
    let shown = shaders.shown(kernel.path);
    let assembled = |constants: &Constants| {
        let module = shader::assemble(&shaders, kernel, constants, Work::Groups(0), &Stored::default())?;
        module.unsigned_constants()
    };
    let declared = assembled(&Vec::new())?;
    let lanes = subgroup.map(|lanes| ("LANES", lanes.into()));
    let mut constants: Constants = size.constants.iter().copied().chain(lanes).collect();
    constants.retain(|(name, _)| declared.contains_key(*name));
    let first = assembled(&constants)?;
    let value = |constants: &std::collections::BTreeMap<String, u32>, name: &str| constants.get(name).copied();
    let scratch =
        value(&first, "SCRATCH").map(|vec4s| plan.temporary("scratch", &[(vec4s as usize).max(1) * 4], Layout::Rows));
    let tensor = |name: &str| match ladder.bindings.iter().find(|(bound, _)| *bound == name) {
        Some((bound, tensor)) => Ok((*bound, plan.find(tensor).expect("a ladder names tensors of its plans"))),
        None if name == "scratch" && scratch.is_some() => Ok(("scratch", scratch.expect("it was looked for"))),
        None => {
            let names: Vec<&str> = ladder.bindings.iter().map(|(bound, _)| *bound).collect();
            Err(format!(
                "{shown}: {} binds {}, and scratch where SCRATCH says its vec4s; not {name}",
                ladder.op,
                names.join(", ")
            ))
        }
    };
    let bindings =
        shaders.reflect(kernel)?.bindings.iter().map(|binding| tensor(&binding.name)).collect::<Result<Vec<_>, _>>()?;
    let stages = value(&first, "STAGES").unwrap_or(1);
    let mut steps = Vec::new();
    for stage in 0..stages {
        let mut constants = constants.clone();
        if first.contains_key("STAGE") {
            constants.push(("STAGE", (stage as usize).into()));
        }
        let groups = value(&assembled(&constants)?, "GROUPS").filter(|groups| (1..=MOST_GROUPS).contains(groups));
        let groups = groups.ok_or_else(|| {
            format!("{shown}: const GROUPS: u32 says how many workgroups run, from 1 to {MOST_GROUPS}")
        })?;
        steps.push(Step {
            name: format!("{}, stage {stage}", kernel.path),
            kernel,
            constants,
            bindings: bindings.iter().map(|&(name, id)| (name, id.into())).collect(),
            work: Work::Groups(u64::from(groups)),
            flops: size.flops,
        });
    }
    let lasting = |id: &TensorId| plan.tensor(*id).lifetime != Lifetime::Temporary;
    let reads: Vec<TensorId> = plan.tensor_ids().filter(lasting).collect();
    let [node] = &mut plan.nodes[..] else { panic!("{}: a ladder's plan is one node", ladder.op) };
    (node.steps, node.reads) = (0..steps.len(), reads);
    plan.steps = steps;
    Ok(())
}
