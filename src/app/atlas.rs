//! The atlas: a training step as one page, without network. Its steps as a flow of layers, each with its module, its twin, its
//! bound, the cases that prove it and the faults that they must notice.

mod sources;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::engine::plan::{Plan, Target};
use crate::engine::shader::Shaders;
use crate::engine::variant::Variant;
use crate::error::{Error, Result};
use crate::network::{Network, print};
use crate::ops;

const TEMPLATE: &str = include_str!("atlas/atlas.html");
/// Place of the data in the template.
const DATA: &str = "DATA_OF_THE_ATLAS";

/// The page of a plan; `profile`, as `profile --json` prints it, gives steps their times.
///
/// # Errors
/// `Error::Input` for a profile of another plan.
pub fn page(network: &Network, plan: &Plan, title: &str, profile: Option<&Value>) -> Result<String> {
    let mut data = print::to_json(network, plan);
    data["title"] = title.into();
    data["types"] = network.layers.iter().map(|layer| layer.layer.type_name()).collect();
    let (modules, of_steps) = modules(plan)?;
    data["modules"] = modules;
    let steps = data["steps"].as_array_mut().expect("a plan has steps");
    for (step, module) in steps.iter_mut().zip(of_steps) {
        step["module"] = module.into();
    }
    if let Some(profile) = profile {
        add_times(steps, profile)?;
        data["peaks"] = profile["peaks"].clone();
        data["device"] = profile["device"].clone();
    }
    data["nodes"] = nodes(plan);
    data["kernels"] = kernels(plan);
    // An end tag within the data would end the element that holds it.
    let data = data.to_string().replace("</", "<\\/");
    Ok(TEMPLATE.replace(DATA, &data))
}

/// The target that a profile was taken on, as far as it says.
///
/// # Errors
/// `Error::Input` when it says so in words that this version does not know.
pub fn target(profile: Option<&Value>) -> Result<Target> {
    let Some(variant) = profile.and_then(|profile| profile.get("variant")) else { return Ok(Target::default()) };
    let variant: Variant = serde_json::from_value(variant.clone())
        .map_err(|error| Error::Input(format!("the profile's variant: {error}")))?;
    let defaults = Target::default();
    let binding_bytes = profile.and_then(|profile| profile["binding_bytes"].as_u64());
    Ok(Target { variant, binding_bytes: binding_bytes.unwrap_or(defaults.binding_bytes), ..defaults })
}

/// Every module once, and the number of each step's.
fn modules(plan: &Plan) -> Result<(Value, Vec<usize>)> {
    let (mut distinct, mut numbers) = (Vec::new(), BTreeMap::new());
    let mut of_steps = Vec::new();
    for module in plan.modules().map_err(Error::Input)? {
        let number = *numbers.entry(module.source.clone()).or_insert_with(|| {
            let file = |(name, range): &(String, std::ops::Range<usize>)| json!([name, module.source[range.clone()]]);
            distinct.push(module.files.iter().map(file).collect::<Value>());
            distinct.len() - 1
        });
        of_steps.push(number);
    }
    Ok((distinct.into(), of_steps))
}

/// The operations, with their layers and the part of a step that they belong to.
fn nodes(plan: &Plan) -> Value {
    let mut phase = "forward";
    let node = |node: &crate::engine::plan::Node| {
        let layer = node.name.split(' ').next().unwrap_or_default();
        phase = match layer {
            "loss" => "loss",
            "guard" | "adam" | "receipt" => "update",
            _ if phase == "loss" || phase == "backward" => "backward",
            _ => phase,
        };
        json!({ "name": node.name, "layer": layer, "phase": phase, "steps": [node.steps.start, node.steps.end], "flops": node.flops })
    };
    plan.nodes.iter().map(node).collect()
}

/// Each kernel that a plan runs: head, host, twin, bound, cases and mutants.
fn kernels(plan: &Plan) -> Value {
    let mut kernels = serde_json::Map::new();
    let cases = ops::cases();
    // Some kernels are proved with those that they serve.
    let runs = |case: &ops::case::Case| -> Vec<&str> {
        case.plan(&Target::default()).steps.iter().map(|step| step.kernel.path).collect()
    };
    let proves: Vec<Vec<&str>> = cases.iter().map(runs).collect();
    for step in &plan.steps {
        let path = step.kernel.path;
        if kernels.contains_key(path) {
            continue;
        }
        let head = head(&plan.target.shaders, path);
        let about = |case: &ops::case::Case| {
            let rounds: Vec<&str> = case.rounds.iter().map(|round| round.numbers).collect();
            format!("{}: {}", case.about, rounds.join(", "))
        };
        let proving = cases.iter().zip(&proves).filter(|(_, kernels)| kernels.contains(&path));
        let cases: Vec<String> = proving.map(|(case, _)| about(case)).collect();
        kernels.insert(
            path.into(),
            json!({
                "head": head,
                "host": sources::linked(&head, "Host"),
                "twin": sources::twin(&head),
                "bound": sources::bound(path),
                "cases": cases,
                "mutants": sources::mutants(path),
            }),
        );
    }
    kernels.into()
}

/// The comment that opens a shader.
fn head(shaders: &Shaders, path: &str) -> String {
    let source = shaders.source(path).unwrap_or_default();
    let lines = source.lines().map_while(|line| line.strip_prefix("//"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn add_times(steps: &mut [Value], profile: &Value) -> Result<()> {
    let Some(timed) = profile["steps"].as_array() else {
        return Err(Error::Input("no steps: `ocellus profile --json` prints them".into()));
    };
    let name = |step: &Value| format!("{}, {}", step["name"], step["kernel"]);
    let differs = timed.iter().zip(steps.iter()).find(|(timed, step)| name(timed) != name(step));
    if let Some((timed, step)) = differs {
        return Err(Error::Input(format!("of another plan: it has {}, and this {}", name(timed), name(step))));
    }
    if timed.len() != steps.len() {
        return Err(Error::Input(format!("of another plan: it has {} steps, and this {}", timed.len(), steps.len())));
    }
    for (timed, step) in timed.iter().zip(steps) {
        step["seconds"] = timed["seconds"].clone();
    }
    Ok(())
}
