//! A plan as a table or as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::engine::plan::budget::MIB;
use crate::engine::plan::memory::{self, Memory};
use crate::engine::plan::{Dealt, Exchange, Gathered, Lifetime, Plan, Run, Step, TensorId, View};
use crate::network::{Network, Parameter};

/// The network's summary, then every step with its grid, cost and slots, then the memory in all.
pub fn to_text(network: &Network, plan: &Plan) -> String {
    let mut out = network.summary() + "\n";
    let memory = memory::assign(plan);
    // Writing to a string cannot fail.
    let _ = write_steps(&mut out, plan, &memory);
    let _ = write_totals(&mut out, plan, &memory);
    out
}

fn write_steps(out: &mut String, plan: &Plan, memory: &Memory) -> std::fmt::Result {
    writeln!(out, "{} images a step, in {} window(s)", plan.images(), plan.windows.len())?;
    if let Some(units) = plan.target.variant.matrix_units {
        writeln!(out, "* on {units}, from factors in half precision")?;
    }
    writeln!(out)?;
    writeln!(out, "{:<30} {:<32} {:>9} {:>9} {:>9}  bindings", "step", "kernel", "groups", "GFLOP", "MiB")?;
    for (index, step) in plan.steps.iter().enumerate() {
        for exchange in plan.exchanges.iter().filter(|exchange| exchange.before == index) {
            write_exchange(out, plan, exchange)?;
        }
        let cost = plan.cost(step);
        let bindings: Vec<String> =
            step.bindings.iter().map(|&(name, view)| format!("{name}={}", place(plan, memory, view))).collect();
        writeln!(
            out,
            "{:<30} {:<32} {:>9} {:>9.3} {:>9.2}  {}",
            step.name,
            format!("{}{}", step.kernel.path, if step.is_on_units() { " *" } else { "" }),
            plan.groups(step).unwrap_or_default(),
            cost.flops as f64 / 1e9,
            cost.bytes as f64 / MIB,
            bindings.join(" ")
        )?;
    }
    Ok(())
}

/// An exchange where a step would be: the bytes that this device gives, and the numbers that it gives of each tensor.
fn write_exchange(out: &mut String, plan: &Plan, exchange: &Exchange) -> std::fmt::Result {
    let [given, _] = plan.exchanged(exchange);
    let to_all = plan.runs_of(exchange, plan.target.shares.rank());
    let mut given_of: Vec<String> = to_all
        .iter()
        .map(|Run { tensor, numbers }| format!("{}[{}..{}]", plan.tensor(*tensor).name, numbers.start, numbers.end))
        .collect();
    let dealt = exchange.dealt.iter().map(|dealt| dealt.parts[plan.target.shares.held.start]);
    given_of.extend(dealt.map(|part| format!("{} in slices", plan.tensor(part).name)));
    let mib = given as f64 / MIB;
    writeln!(out, "{:<30} {:<32} {:>9} {:>9} {mib:>9.2}  {}", exchange.name, "exchange", "", "", given_of.join(" "))
}

/// Bytes that a rank gives in a step, and those that it gets.
fn exchanged(plan: &Plan) -> [u64; 2] {
    plan.exchanges
        .iter()
        .map(|exchange| plan.exchanged(exchange))
        .fold([0, 0], |all, one| [all[0] + one[0], all[1] + one[1]])
}

/// `conv1[0]@3`: the tensor, its window if it has several, its slot if it is temporary.
fn place(plan: &Plan, memory: &Memory, view: View) -> String {
    let mut text = plan.tensor(view.tensor).name.clone();
    if plan.windows_of(view.tensor) > 1 {
        text += &format!("[{}]", view.window);
    }
    if let Some(slot) = memory.buffers.place.get(&view) {
        text += &format!("@{slot}");
    }
    text
}

fn write_totals(out: &mut String, plan: &Plan, memory: &Memory) -> std::fmt::Result {
    let total = memory::total(plan);
    let flops: u64 = plan.steps.iter().map(|step| step.flops).sum();
    let direct: u64 = plan.nodes.iter().map(|node| node.flops).sum();
    writeln!(
        out,
        "\n{} steps, {:.2} GFLOP; {:.2} as direct convolution counts them",
        plan.steps.len(),
        flops as f64 / 1e9,
        direct as f64 / 1e9
    )?;
    writeln!(
        out,
        "{:.1} MiB at the peak ({} bytes): {:.1} weights and optimiser, {:.1} inputs and outputs, {:.1} in {} slots, {:.1} in {} textures",
        total.bytes() as f64 / MIB,
        total.bytes(),
        total.persistent as f64 / MIB,
        total.kept as f64 / MIB,
        total.slots as f64 / MIB,
        memory.buffers.slots.len(),
        total.textures as f64 / MIB,
        memory.textures.slots.len(),
    )?;
    if !plan.exchanges.is_empty() {
        let [given, got] = exchanged(plan).map(|bytes| bytes as f64 / MIB);
        writeln!(
            out,
            "the first of {} devices, each with {} of {} images: {} exchanges a step, in which each gives {given:.2} MiB and gets {got:.2}",
            plan.shares.count,
            plan.images(),
            plan.batch,
            plan.exchanges.len(),
        )?;
    }
    if let Some((tensor, bytes)) = plan.too_large() {
        writeln!(out, "{} needs a binding of {:.1} MiB: more than the target's", tensor.name, bytes as f64 / MIB)?;
    }
    Ok(())
}

/// Network and plan as JSON.
pub fn to_json(network: &Network, plan: &Plan) -> Value {
    let memory = memory::assign(plan);
    let total = memory::total(plan);
    let layers: Vec<Value> = network
        .layers
        .iter()
        .map(|layer| {
            let parameters: usize = layer.parameters().iter().map(Parameter::count).sum();
            json!({ "name": layer.name, "inputs": layer.inputs, "output": layer.output, "parameters": parameters })
        })
        .collect();
    let steps: Vec<Value> = plan.steps.iter().map(|step| step_json(plan, &memory, step)).collect();
    let mut all = json!({
        "batch": plan.batch,
        "windows": plan.windows.len(),
        "layers": layers,
        "steps": steps,
        "slots": memory.buffers.slots,
        "bytes": {
            "persistent": total.persistent,
            "kept": total.kept,
            "slots": total.slots,
            "textures": total.textures,
            "total": total.bytes(),
        },
    });
    if !plan.exchanges.is_empty() {
        let [given, got] = exchanged(plan);
        let exchanges = plan.exchanges.iter().map(|exchange| exchange_json(plan, exchange)).collect();
        all["devices"] = plan.shares.count.into();
        all["images"] = plan.images().into();
        all["exchanges"] = Value::Array(exchanges);
        all["exchanged"] = json!({ "given": given, "got": got });
    }
    all
}

fn exchange_json(plan: &Plan, exchange: &Exchange) -> Value {
    let name = |id: TensorId| &plan.tensor(id).name;
    let run =
        |Run { tensor, numbers }: &Run| json!({ "tensor": name(*tensor), "numbers": [numbers.start, numbers.end] });
    let of_share = |share| {
        let runs = exchange.gathered.iter().map(|gathered: &Gathered| run(&gathered.of_share[share]));
        runs.collect::<Vec<Value>>()
    };
    let dealt = |dealt: &Dealt| {
        let parts: Vec<&String> = dealt.parts.iter().map(|part| name(*part)).collect();
        json!({ "parts": parts, "numbers": dealt.numbers })
    };
    let [given, got] = plan.exchanged(exchange);
    json!({
        "name": exchange.name,
        "before": exchange.before,
        "until": exchange.until,
        "given": given,
        "got": got,
        "gathered": (0..plan.target.shares.count).map(of_share).collect::<Vec<_>>(),
        "dealt": exchange.dealt.iter().map(dealt).collect::<Vec<_>>(),
    })
}

fn step_json(plan: &Plan, memory: &Memory, step: &Step) -> Value {
    let cost = plan.cost(step);
    let bindings: Vec<Value> = step
        .bindings
        .iter()
        .map(|&(name, view)| {
            let tensor = plan.tensor(view.tensor);
            json!({
                "name": name,
                "tensor": tensor.name,
                "shape": tensor.shape,
                "window": view.window,
                "bytes": plan.bytes_of(view),
                "temporary": tensor.lifetime == Lifetime::Temporary,
                "slot": memory.buffers.place.get(&view),
            })
        })
        .collect();
    let [columns, rows] = plan
        .groups(step)
        .and_then(|groups| crate::engine::shader::fold(groups, plan.target.groups_per_dimension))
        .unwrap_or([u32::MAX, u32::MAX]);
    json!({
        "name": step.name,
        "kernel": step.kernel.path,
        "matrix_units": step.is_on_units(),
        "grid": [columns, rows],
        "flops": cost.flops,
        "bytes": cost.bytes,
        "bindings": bindings,
    })
}
