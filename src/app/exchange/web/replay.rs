//! A plan of inference as a browser replays it: modules, buffers, and the dispatches over them.

use std::collections::{BTreeMap, BTreeSet};

use half::f16;
use serde::Serialize;

use crate::engine::layout;
use crate::engine::plan::memory;
use crate::engine::plan::{Place, Plan, Step, Target, Tensor, TensorId, View, names};
use crate::engine::shader::{self, Access, Module, Parameters};
use crate::engine::variant::{Core, Variant};
use crate::error::{Error, Result};
use crate::network::compile as plans;
use crate::network::{Network, weights};
use crate::ops::augment;

/// Dispatches over buffers.
#[derive(Debug, Default, Serialize)]
pub struct Program {
    /// Complete WGSL, each module once.
    pub modules: Vec<String>,
    /// Bytes of each buffer.
    pub buffers: Vec<u64>,
    /// Dispatches that read nothing but weights, such as the transforms of Winograd's convolution.
    pub once: Vec<Dispatch>,
    /// Dispatches of every run.
    pub each: Vec<Dispatch>,
}

/// The forward pass over one photograph, within WebGPU's default limits.
#[derive(Debug, Serialize)]
pub struct Replay {
    #[serde(flatten)]
    pub program: Program,
    /// Numbers that are there before the first dispatch, in the order in which the page has them.
    pub weights: Vec<Stored>,
    /// The buffer of the photograph: an unsigned integer per pixel, red in its lowest byte.
    pub pixels: usize,
    /// The buffer of the probabilities.
    pub probabilities: usize,
    /// The buffer of the features that maps are made of; `None` where no map is exact.
    pub features: Option<usize>,
}

/// A buffer full of numbers, in the smallest form that holds each of them exactly.
#[derive(Debug, Serialize)]
pub struct Stored {
    pub buffer: usize,
    /// Bytes of each number: 4 for f32 or integers, 2 for half precision, 1 for whole multiples of `scale`.
    pub size: usize,
    pub scale: f32,
}

impl Stored {
    /// Numbers of 4 bytes.
    pub fn whole(buffer: usize) -> Stored {
        Stored { buffer, size: 4, scale: 1.0 }
    }
}

/// The power of two of which all numbers are multiples by -127 to 127, if they are.
fn levels(numbers: &[f32]) -> Option<f32> {
    let scale = scale(numbers)?;
    // NaN and the sign of zero would be lost.
    let is_level = |number: &f32| (f32::from((number / scale) as i8) * scale).to_bits() == number.to_bits();
    numbers.iter().all(is_level).then_some(scale)
}

/// The least power of two of which no number is more than 127 times; `None` where it is not a normal number.
fn scale(numbers: &[f32]) -> Option<f32> {
    let largest = numbers.iter().fold(0.0, |largest: f32, number| largest.max(number.abs()));
    let scale = if largest == 0.0 { 1.0 } else { (largest / 127.0).log2().ceil().exp2() };
    // The logarithm is rounded.
    let scale = if largest / scale > 127.0 { 2.0 * scale } else { scale };
    scale.is_normal().then_some(scale)
}

/// Rounds kernels to 255 levels: whole multiples of a power of two.
pub fn leveled(tensors: &[weights::Tensor]) -> Vec<weights::Tensor> {
    let round = |tensor: &weights::Tensor| {
        let mut tensor = tensor.clone();
        if let Some(scale) = scale(&tensor.data).filter(|_| tensor.shape.len() > 1) {
            // The sum makes zeros of negative zeros.
            tensor.data.iter_mut().for_each(|value| *value = (*value / scale).round() * scale + 0.0);
        }
        tensor
    };
    tensors.iter().map(round).collect()
}

/// One step.
#[derive(Debug, Serialize)]
pub struct Dispatch {
    pub name: String,
    /// Its position among the modules.
    pub module: usize,
    /// Workgroups in two dimensions.
    pub grid: [u32; 2],
    pub buffers: Vec<Bound>,
    /// The index and the values of a uniform of unsigned integers.
    pub parameters: Option<(u32, Vec<u32>)>,
}

/// The index of a binding and its buffer; of a part of one, its first byte and its bytes too.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Bound {
    Whole(u32, usize),
    Part(u32, usize, u64, u64),
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
    let mut lister = Lister::new(&plan);
    for (index, (step, module)) in plan.steps.iter().zip(&modules).enumerate().filter(|(index, _)| needed[*index]) {
        lister.add(step, module, fixed[index])?;
    }
    let (stored, bytes) = lister.store_all(given);
    let mut find = |name: &str| plan.find(name).map(|id| lister.buffer(id.into()));
    let (pixels, probabilities) = (find(names::PIXELS), find(names::PROBABILITIES));
    let features = find(names::FEATURES);
    let replay = Replay {
        program: lister.program,
        weights: stored,
        pixels: pixels.expect("a plan takes pixels"),
        probabilities: probabilities.expect("a plan makes probabilities"),
        features,
    };
    Ok((replay, bytes))
}

/// WebGPU's default limits. Layers of one photograph have few rows, and a page is waited for while its kernels are compiled:
/// tiles are as small as fill a row of 32 lanes, and shallow (docs/dropped.md).
pub fn target() -> Target {
    let core = Core::Workgroup { threads_m: 4, threads_n: 8, prefetch: false };
    Target { tile_depth: 4, variant: Variant { core, ..Variant::default() }, ..Target::default() }
}

/// Which steps the probabilities and the features come from: not the loss, nor the receipt.
pub fn needed(plan: &Plan) -> Vec<bool> {
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

/// A buffer of its own, or a slot that tensors share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Memory {
    Own(View),
    Slot(usize),
}

/// A program in the making. Buffers are made at their first use, and as large as their largest tensor.
pub struct Lister<'a> {
    plan: &'a Plan,
    /// Arenas that some step binds whole; what others hold has buffers of its own.
    arenas: BTreeSet<TensorId>,
    slots: BTreeMap<View, usize>,
    places: BTreeMap<Memory, usize>,
    pub program: Program,
}

impl<'a> Lister<'a> {
    pub fn new(plan: &'a Plan) -> Lister<'a> {
        let (places, program) = Default::default();
        let bound = plan.steps.iter().flat_map(|step| &step.bindings).map(|(_, view)| view.tensor);
        let arenas = bound.filter(|id| plan.tensor(*id).is_arena()).collect();
        Lister { plan, arenas, slots: memory::assign(plan).buffers.place, places, program }
    }

    /// Adds a step to those that run once, or to those of every run.
    ///
    /// # Errors
    /// `Error::Input` when it does not fit WebGPU's default limits.
    pub fn add(&mut self, step: &Step, module: &Module, once: bool) -> Result<()> {
        let Step { name, bindings, .. } = step;
        let grid = shader::fold(module.groups, self.plan.target.groups_per_dimension)
            .ok_or_else(|| Error::Input(format!("{name}: too many workgroups for a browser's dispatch")))?;
        let mut buffers = Vec::new();
        for binding in &module.bindings {
            let bound = bindings.iter().find(|(name, _)| *name == binding.name);
            let (_, view) = bound.ok_or_else(|| Error::Device(format!("{name}: {} is not bound", binding.name)))?;
            buffers.push(self.bound(binding.index, *view));
        }
        let parameters = module.parameters.as_ref().map(|Parameters { index, values }| (*index, values.clone()));
        let Program { modules, once: first, each, .. } = &mut self.program;
        let known = modules.iter().position(|known| *known == module.source);
        let position = known.unwrap_or_else(|| {
            modules.push(module.source.clone());
            modules.len() - 1
        });
        let dispatch = Dispatch { name: name.clone(), module: position, grid, buffers, parameters };
        if once {
            first.push(dispatch)
        } else {
            each.push(dispatch)
        }
        Ok(())
    }

    /// A view where a binding needs it.
    pub fn bound(&mut self, binding: u32, view: View) -> Bound {
        match self.place(view.tensor) {
            Some(Place { arena, offset }) => {
                Bound::Part(binding, self.buffer(arena.into()), offset, self.plan.bytes_of(view))
            }
            None => Bound::Whole(binding, self.buffer(view)),
        }
    }

    /// The place of a tensor in an arena that is bound whole.
    fn place(&self, tensor: TensorId) -> Option<Place> {
        self.plan.tensor(tensor).place.filter(|place| self.arenas.contains(&place.arena))
    }

    /// Buffers that are full from the start, and their bytes one after the other. `given` are the names and the numbers of
    /// tensors.
    pub fn store_all(&mut self, given: impl IntoIterator<Item = (String, Vec<f32>)>) -> (Vec<Stored>, Vec<u8>) {
        let (mut stored, mut bytes) = (Vec::new(), Vec::new());
        let mut arenas: BTreeMap<TensorId, Vec<f32>> = BTreeMap::new();
        for (name, numbers) in given {
            let id = self.plan.find(&name).expect("the plan has every tensor that is given");
            let Some(Place { arena, offset }) = self.place(id) else {
                self.store(id, &numbers, &mut stored, &mut bytes);
                continue;
            };
            let count = self.plan.count_of(arena.into());
            let padded = layout::pad(self.plan.tensor(id), &numbers);
            let first = offset as usize / size_of::<f32>();
            arenas.entry(arena).or_insert_with(|| vec![0.0; count])[first..first + padded.len()]
                .copy_from_slice(&padded);
        }
        for (arena, numbers) in arenas {
            self.store(arena, &numbers, &mut stored, &mut bytes);
        }
        (stored, bytes)
    }

    /// The buffer of a view.
    pub fn buffer(&mut self, view: View) -> usize {
        let place = self.slots.get(&view).map_or(Memory::Own(view), |slot| Memory::Slot(*slot));
        let buffers = &mut self.program.buffers;
        let buffer = *self.places.entry(place).or_insert(buffers.len());
        if buffer == buffers.len() {
            buffers.push(0);
        }
        buffers[buffer] = buffers[buffer].max(self.plan.bytes_of(view));
        buffer
    }

    /// The views of a tensor, a window each.
    pub fn views(&self, tensor: TensorId) -> impl Iterator<Item = View> + use<> {
        (0..self.plan.windows_of(tensor)).map(move |window| View { tensor, window })
    }

    /// Adds the numbers of a tensor, as they lie in memory, to `bytes`, and its buffers to `stored`.
    pub fn store(&mut self, tensor: TensorId, numbers: &[f32], stored: &mut Vec<Stored>, bytes: &mut Vec<u8>) {
        let padded = layout::pad(self.plan.tensor(tensor), numbers);
        let mut rest = &padded[..];
        for view in self.views(tensor) {
            let (numbers, others) = rest.split_at(self.plan.count_of(view));
            rest = others;
            let whole = Stored::whole(self.buffer(view));
            let half = |number: f32| f16::from_f32(number);
            stored.push(if let Some(scale) = levels(numbers) {
                bytes.extend(numbers.iter().map(|number| (number / scale) as i8 as u8));
                Stored { size: 1, scale, ..whole }
            } else if numbers.iter().all(|&number| half(number).to_f32() == number) {
                bytes.extend(numbers.iter().flat_map(|&number| half(number).to_le_bytes()));
                Stored { size: 2, ..whole }
            } else {
                bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
                whole
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_of_a_power_of_two_are_found() {
        assert_eq!(levels(&[0.0, 0.0]), Some(1.0));
        assert_eq!(levels(&[0.25, -31.75, 0.0]), Some(0.25));
        assert_eq!(levels(&[127.0, 1.0]), Some(1.0));
        assert_eq!(levels(&[128.0, 1.0]), None);
        for lost in [0.1, -0.0, f32::NAN, f32::INFINITY] {
            assert_eq!(levels(&[100.0, lost]), None, "{lost}");
        }
    }

    #[test]
    fn rounded_kernels_are_levels_and_biases_stay() {
        let data: Vec<f32> = (-50..50).map(|number| number as f32 * 0.0137).collect();
        let tensor = |name: &str, shape: &[usize]| weights::Tensor {
            name: name.into(),
            shape: shape.into(),
            data: data.clone(),
        };
        let rounded = leveled(&[tensor("kernel", &[10, 10]), tensor("bias", &[100])]);
        let scale = levels(&rounded[0].data).expect("levels");
        let apart = rounded[0].data.iter().zip(&data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart > 0.0 && apart <= scale / 2.0, "{apart} at a scale of {scale}");
        assert_eq!(rounded[1].data, data);
    }
}
