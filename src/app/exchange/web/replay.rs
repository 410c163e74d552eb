//! A plan of inference as a browser replays it: modules, buffers, and the dispatches over them.

use std::collections::{BTreeMap, BTreeSet};

use half::f16;
use serde::Serialize;

use crate::engine::gpu::layout;
use crate::engine::plan::memory;
use crate::engine::plan::{Plan, Step, Target, Tensor, TensorId, View, names};
use crate::engine::shader::{self, Access, Module, Parameters};
use crate::engine::variant::{Core, Variant};
use crate::error::{Error, Result};
use crate::network::compile as plans;
use crate::network::{Network, weights};
use crate::ops::augment;

/// The forward pass over one photograph, within WebGPU's default limits.
#[derive(Debug, Serialize)]
pub struct Replay {
    /// Complete WGSL, each module once.
    pub modules: Vec<String>,
    /// Bytes of each buffer.
    pub buffers: Vec<u64>,
    /// Numbers that are there before the first dispatch, in the order in which the page has them.
    pub weights: Vec<Stored>,
    /// Dispatches that read nothing but weights, such as the transforms of Winograd's convolution.
    pub once: Vec<Dispatch>,
    /// Dispatches of every photograph.
    pub each: Vec<Dispatch>,
    /// The buffer of the photograph: an unsigned integer per pixel, red in its lowest byte.
    pub pixels: usize,
    /// The buffer of the probabilities.
    pub probabilities: usize,
    /// The buffer of the features that maps are made of; `None` where no map is exact.
    pub features: Option<usize>,
}

/// A buffer full of weights.
#[derive(Debug, Serialize)]
pub struct Stored {
    pub buffer: usize,
    /// In half precision, which holds each of these numbers exactly.
    pub half: bool,
}

/// One step.
#[derive(Debug, Serialize)]
pub struct Dispatch {
    pub name: String,
    /// Its position among the modules.
    pub module: usize,
    /// Workgroups in two dimensions.
    pub grid: [u32; 2],
    /// Pairs of a binding's index and a buffer.
    pub buffers: Vec<(u32, usize)>,
    /// The index and the values of a uniform of unsigned integers.
    pub parameters: Option<(u32, Vec<u32>)>,
}

/// Rounds the kernels of convolutions and dense layers, nearly all of the weights, to half precision. Those with a number
/// that half precision does not reach stay as they are.
pub fn rounded(tensors: &[weights::Tensor]) -> Vec<weights::Tensor> {
    let round = |tensor: &weights::Tensor| {
        let mut tensor = tensor.clone();
        let reached = |value: &f32| f16::from_f32(*value).is_finite();
        if tensor.shape.len() > 1 && tensor.data.iter().all(reached) {
            tensor.data.iter_mut().for_each(|value| *value = f16::from_f32(*value).to_f32());
        }
        tensor
    };
    tensors.iter().map(round).collect()
}

/// The replay of a network, and its weights as bytes, one buffer after the other.
///
/// # Errors
/// `Error::Input` for a network that needs more than WebGPU's default limits.
pub fn replay(network: &Network, tensors: &[weights::Tensor]) -> Result<(Replay, Vec<u8>)> {
    let mut plan = plans::inference(network, 1, &target());
    if let Some((Tensor { name, .. }, bytes)) = plan.too_large() {
        let most = plan.target.binding_bytes;
        return Err(Error::Input(format!("{name} takes {bytes} bytes, and a browser may bind no more than {most}")));
    }
    let modules = plan.modules().map_err(Error::Device)?;
    let mut given: BTreeMap<String, Vec<f32>> = weights::by_tensor(network, tensors).into_iter().collect();
    given.insert(names::MAPS.into(), augment::IDENTITY.to_vec());

    let needed = needed(&plan);
    let fixed = fixed(&plan, |name| given.contains_key(name));
    // Their results outlive the dispatches of a photograph, so they share no buffer with what these write.
    for (step, _) in plan.steps.clone().iter().zip(&fixed).filter(|(_, fixed)| **fixed) {
        for id in written(&plan, step) {
            let name = plan.tensor(id).name.clone();
            plan.keep(id, &name);
        }
    }
    let mut places = Places { slots: memory::assign(&plan).buffers.place, ..Places::default() };
    let (mut once, mut each, mut sources) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (step, module)) in plan.steps.iter().zip(&modules).enumerate().filter(|(index, _)| needed[*index]) {
        let source = position(&mut sources, &module.source);
        let dispatch = dispatch(&plan, step, module, source, &mut places)?;
        if fixed[index] { once.push(dispatch) } else { each.push(dispatch) }
    }
    let (mut stored, mut bytes) = (Vec::new(), Vec::new());
    for (name, numbers) in &given {
        let id = plan.find(name).expect("the plan has every weight");
        let numbers = layout::pad(plan.tensor(id), numbers);
        let half = numbers.iter().all(|&number| f16::from_f32(number).to_f32() == number);
        stored.push(Stored { buffer: places.of(&plan, id.into()), half });
        match half {
            true => bytes.extend(numbers.iter().flat_map(|&number| f16::from_f32(number).to_le_bytes())),
            false => bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
        }
    }
    let mut find = |name: &str| plan.find(name).map(|id| places.of(&plan, id.into()));
    let (pixels, probabilities) = (find(names::PIXELS), find(names::PROBABILITIES));
    let features = find(names::FEATURES);
    let replay = Replay {
        modules: sources,
        buffers: places.bytes,
        weights: stored,
        once,
        each,
        pixels: pixels.expect("a plan takes pixels"),
        probabilities: probabilities.expect("a plan makes probabilities"),
        features,
    };
    Ok((replay, bytes))
}

/// WebGPU's default limits. Layers of one photograph have few rows, and a page is waited for while its kernels are compiled:
/// tiles are as small as fill a row of 32 lanes, and shallow (docs/dropped.md).
fn target() -> Target {
    let core = Core::Workgroup { threads_m: 4, threads_n: 8 };
    Target { tile_depth: 4, variant: Variant { core, ..Variant::default() }, ..Target::default() }
}

fn dispatch(plan: &Plan, step: &Step, module: &Module, source: usize, places: &mut Places) -> Result<Dispatch> {
    let grid = shader::fold(module.groups, plan.target.groups_per_dimension)
        .ok_or_else(|| Error::Input(format!("{}: too many workgroups for a browser's dispatch", step.name)))?;
    let mut buffers = Vec::new();
    for binding in &module.bindings {
        let bound = step.bindings.iter().find(|(name, _)| *name == binding.name);
        let (_, view) = bound.ok_or_else(|| Error::Device(format!("{}: {} is not bound", step.name, binding.name)))?;
        buffers.push((binding.index, places.of(plan, *view)));
    }
    let parameters = module.parameters.as_ref().map(|Parameters { index, values }| (*index, values.clone()));
    Ok(Dispatch { name: step.name.clone(), module: source, grid, buffers, parameters })
}

/// Which steps the probabilities and the features come from: not the loss, nor the receipt.
fn needed(plan: &Plan) -> Vec<bool> {
    let results = [names::PROBABILITIES, names::FEATURES];
    let mut wanted: BTreeSet<TensorId> = results.into_iter().filter_map(|name| plan.find(name)).collect();
    let mut needed = vec![false; plan.steps.len()];
    for (step, needed) in plan.steps.iter().zip(&mut needed).rev() {
        *needed = written(plan, step).iter().any(|id| wanted.contains(id));
        if *needed {
            wanted.extend(step.bindings.iter().map(|(_, view)| view.tensor));
        }
    }
    needed
}

/// Which steps compute the same for every photograph: from tensors that are given, and from each other's results.
fn fixed(plan: &Plan, given: impl Fn(&str) -> bool) -> Vec<bool> {
    let mut known: BTreeSet<TensorId> = plan.tensor_ids().filter(|id| given(&plan.tensor(*id).name)).collect();
    let mut fixed = Vec::new();
    for step in &plan.steps {
        let written = written(plan, step);
        let mut read = step.bindings.iter().map(|(_, view)| view.tensor).filter(|id| !written.contains(id));
        fixed.push(read.all(|id| known.contains(&id)));
        if fixed.ends_with(&[true]) {
            known.extend(written);
        }
    }
    fixed
}

fn written(plan: &Plan, step: &Step) -> Vec<TensorId> {
    let declared = plan.declared(step);
    let is_written = |name: &str| declared.iter().any(|b| b.access == Access::Write && b.name == name);
    step.bindings.iter().filter(|(name, _)| is_written(name)).map(|(_, view)| view.tensor).collect()
}

/// The position of a module, which is added if it is new.
fn position(sources: &mut Vec<String>, source: &str) -> usize {
    sources.iter().position(|known| known == source).unwrap_or_else(|| {
        sources.push(source.into());
        sources.len() - 1
    })
}

/// A buffer of its own, or a slot that tensors share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Own(TensorId),
    Slot(usize),
}

/// Buffers by what lies in them, made at their first use.
#[derive(Debug, Default)]
struct Places {
    slots: BTreeMap<View, usize>,
    buffers: BTreeMap<Place, usize>,
    /// Of each buffer: those of its largest tensor.
    bytes: Vec<u64>,
}

impl Places {
    fn of(&mut self, plan: &Plan, view: View) -> usize {
        let place = self.slots.get(&view).map_or(Place::Own(view.tensor), |slot| Place::Slot(*slot));
        let next = self.bytes.len();
        let buffer = *self.buffers.entry(place).or_insert(next);
        if buffer == next {
            self.bytes.push(0);
        }
        self.bytes[buffer] = self.bytes[buffer].max(plan.bytes_of(view));
        buffer
    }
}
