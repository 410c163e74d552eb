//! Plans on a device. Pipelines, bind groups and buffers are made once, when a plan is loaded; a run encodes the same
//! list of dispatches, submits it, and copies a few numbers back.

mod exchange;
mod transfer;

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;

use super::Device;
use super::ahead::compile_ahead;
use super::compile::compile;
use super::dispatch::{self, Dispatch, ToTexture, texture};
use crate::engine::collective::Collective;
use crate::engine::plan::memory::{self, Memory};
use crate::engine::plan::names;
use crate::engine::plan::{Lifetime, Place, Plan, Step, TensorId, View};
use crate::engine::receipt;
use crate::engine::shader::{self, Access, Module, Parameters, TEXEL_BYTES};
use crate::error::{Error, Result};
use exchange::{Behind, Copies};
use transfer::ToHost;

/// Runs may be started before earlier ones end, but no more than this many.
const IN_FLIGHT: usize = 2;
/// Bytes from one step's parameters to the next one's: every adapter can bind a uniform at multiples of these.
const PARAMETERS_BYTES: u64 = 256;

/// A device with the plans loaded on it and the tensors that they share.
#[derive(Debug)]
pub struct Session {
    pub device: Device,
    programs: Vec<Program>,
    pipelines: HashMap<String, wgpu::ComputePipeline>,
    /// Persistent tensors by name.
    shared: HashMap<String, (Vec<usize>, Piece)>,
    /// Slots of all programs: they never run at the same time.
    slots: Vec<wgpu::Buffer>,
    /// Their textures, with a row of `TEXEL_WIDTH` texels or more.
    textures: Vec<wgpu::Texture>,
    /// Runs with a receipt that were started, of all programs.
    started: usize,
}

/// Memory of a tensor's window: a buffer of its own, or its place in an arena's.
#[derive(Clone, Debug)]
struct Piece {
    buffer: wgpu::Buffer,
    offset: u64,
}

#[derive(Debug)]
struct Program {
    plan: Plan,
    /// Memory of each tensor, one piece per window; empty for temporaries.
    pieces: Vec<Vec<Piece>>,
    dispatches: Vec<Dispatch>,
    /// The dispatches of each submission, and the exchange that comes after it.
    submissions: Vec<Range<usize>>,
    exchanges: Vec<(usize, Copies)>,
    /// Metrics and receipt, if the plan has them.
    outcome: Option<[TensorId; 2]>,
    ring: Vec<wgpu::Buffer>,
    runs: usize,
}

/// A run that was started: its metrics and its receipt, when the device is done.
#[derive(Debug)]
pub struct Running {
    /// The number in its receipt, and the marks that must be there.
    run: f32,
    marks: usize,
    copy: ToHost,
}

impl Session {
    pub fn new(device: Device) -> Session {
        let (programs, pipelines, shared, slots, textures, started) = Default::default();
        Session { device, programs, pipelines, shared, slots, textures, started }
    }

    /// Makes everything that runs of this plan need, and returns the plan's number. Persistent tensors that no earlier
    /// plan has start as zeros.
    pub fn load(&mut self, plan: Plan) -> Result<usize> {
        if let Some((tensor, bytes)) = plan.too_large() {
            return Err(Error::Device(format!(
                "{} needs a binding of {bytes} bytes, and {} binds {} at most: lower --image-size or --width",
                tensor.name,
                self.device.listed.describe(),
                plan.target.binding_bytes,
            )));
        }
        let device = self.device.clone();
        let program = device.scoped(|| self.build(plan))??;
        device.check()?;
        self.programs.push(program);
        Ok(self.programs.len() - 1)
    }

    pub fn plan(&self, program: usize) -> &Plan {
        &self.programs[program].plan
    }

    fn build(&mut self, plan: Plan) -> Result<Program> {
        let modules = plan.modules().map_err(Error::Device)?;
        self.compile(&plan.steps, &modules)?;
        let parameters = self.parameters(&modules);
        let pieces = self.allocate(&plan);
        let memory = memory::assign(&plan);
        self.reserve_slots(&memory);
        let mut dispatches = Vec::new();
        for (index, (step, module)) in plan.steps.iter().zip(&modules).enumerate() {
            let pipeline = self.pipelines[&module.source].clone();
            let memory_of = |view: View| match memory.buffers.place.get(&view) {
                Some(&slot) => (&self.slots[slot], 0),
                None => {
                    let Piece { buffer, offset } = &pieces[view.tensor.0][view.window];
                    (buffer, *offset)
                }
            };
            let texture = |view: View| &self.textures[memory.texture(index, view)];
            let bound =
                |buffer, offset, bytes| wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(bytes) };
            let numbers = |view| {
                let (buffer, offset) = memory_of(view);
                bound(buffer, offset, plan.bytes_of(view))
            };
            let own_parameters = bound(&parameters, index as u64 * PARAMETERS_BYTES, PARAMETERS_BYTES);
            let bind_group = self.bind(step, module, &pipeline, own_parameters, numbers, texture)?;
            let copy = |&view: &View| {
                let texels = (plan.bytes_of(view) / TEXEL_BYTES) as u32;
                let (buffer, first_byte) = memory_of(view);
                ToTexture { buffer: buffer.clone(), first_byte, texture: texture(view).clone(), texels }
            };
            let copies = memory.copies[index].iter().map(copy).collect();
            let grid = shader::fold(module.groups, plan.target.groups_per_dimension).ok_or_else(|| {
                Error::Device(format!("{}: {} workgroups do not fit one dispatch", step.name, module.groups))
            })?;
            dispatches.push(Dispatch { copies, pipeline, bind_group, grid });
        }
        let (submissions, before_exchanges) = exchange::submissions(&plan, self.device.pace.as_ref());
        let memory_of = |id: TensorId| match memory.buffers.place.get(&id.into()) {
            Some(&slot) => Piece { buffer: self.slots[slot].clone(), offset: 0 },
            None => pieces[id.0][0].clone(),
        };
        let copies = plan.exchanges.iter().map(|exchange| Copies::new(&self.device, &plan, exchange, memory_of));
        let exchanges = before_exchanges.into_iter().zip(copies).collect();
        let outcome =
            plan.find(names::METRICS).zip(plan.find(names::RECEIPT)).map(|(metrics, receipt)| [metrics, receipt]);
        let ring = match outcome {
            Some(ids) => {
                let bytes = ids.iter().map(|&id| plan.bytes_of(id.into())).sum();
                (0..IN_FLIGHT).map(|_| self.staging(bytes)).collect()
            }
            None => Vec::new(),
        };
        Ok(Program { plan, pieces, dispatches, submissions, exchanges, outcome, ring, runs: 0 })
    }

    /// Compiles, in parallel, the modules that no earlier plan had.
    fn compile(&mut self, steps: &[Step], modules: &[Module]) -> Result<()> {
        let mut fresh: HashMap<&str, (&Module, &str)> = HashMap::new();
        for (step, module) in steps.iter().zip(modules) {
            if !self.pipelines.contains_key(&module.source) {
                fresh.insert(&module.source, (module, &step.name));
            }
        }
        let device = &self.device;
        let compiled: Vec<(String, wgpu::ComputePipeline)> = fresh
            .par_iter()
            .map(|(source, (module, name))| {
                let explained = |error| match module.fault() {
                    Some(fault) if matches!(error, Error::Device(_)) => Error::Device(format!("{name}: {fault}")),
                    _ => error,
                };
                Ok((source.to_string(), compile(device, name, source).map_err(explained)?))
            })
            .collect::<Result<_>>()?;
        self.pipelines.extend(compiled);
        compile_ahead(device, &fresh.values().map(|(module, _)| *module).collect::<Vec<_>>());
        Ok(())
    }

    /// The parameters of each step, [`PARAMETERS_BYTES`] apart.
    fn parameters(&self, modules: &[Module]) -> wgpu::Buffer {
        let slot_bytes = PARAMETERS_BYTES as usize;
        let mut bytes = vec![0; modules.len() * slot_bytes];
        for (slot, module) in bytes.chunks_exact_mut(slot_bytes).zip(modules) {
            let values = module.parameters.as_ref().map_or(&[][..], |parameters| &parameters.values);
            slot[..4 * values.len()].copy_from_slice(bytemuck::cast_slice(values));
        }
        let buffer = self.device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: bytes.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.device.queue.write_buffer(&buffer, 0, &bytes);
        buffer
    }

    /// Memory of the tensors that no slot holds: arenas before what they hold.
    fn allocate(&mut self, plan: &Plan) -> Vec<Vec<Piece>> {
        let mut pieces: Vec<Vec<Piece>> = vec![Vec::new(); plan.tensors.len()];
        let (placed, own): (Vec<_>, Vec<_>) = plan.tensor_ids().partition(|id| plan.tensor(*id).place.is_some());
        for id in own.into_iter().chain(placed) {
            let tensor = plan.tensor(id);
            let new = |window| match tensor.place {
                Some(Place { arena, offset }) => Piece { offset, ..pieces[arena.0][0].clone() },
                None => {
                    let bytes = plan.bytes_of(View { tensor: id, window });
                    Piece { buffer: self.buffer(&tensor.name, bytes), offset: 0 }
                }
            };
            pieces[id.0] = match tensor.lifetime {
                Lifetime::Temporary => Vec::new(),
                Lifetime::Kept => (0..plan.windows_of(id)).map(new).collect(),
                Lifetime::Persistent => {
                    let known = self.shared.get(&tensor.name).cloned();
                    let (shape, piece) = known.unwrap_or_else(|| (tensor.shape.clone(), new(0)));
                    let offset = tensor.place.map_or(0, |place| place.offset);
                    let one = (&shape, piece.offset) == (&tensor.shape, offset);
                    assert!(one, "{} has one shape and one place in every plan", tensor.name);
                    self.shared.insert(tensor.name.clone(), (shape, piece.clone()));
                    vec![piece]
                }
            };
        }
        pieces
    }

    /// Makes room for plans that will be loaded: a slot that has to grow for a later plan is there twice.
    pub fn reserve(&mut self, plans: &[Plan]) -> Result<()> {
        let all: Vec<Memory> = plans.iter().map(memory::assign).collect();
        let device = self.device.clone();
        device.scoped(|| self.reserve_slots(&memory::together(&all)))
    }

    /// Makes the session's slots at least as many and as large as a plan's.
    fn reserve_slots(&mut self, memory: &Memory) {
        for (slot, &bytes) in memory.textures.slots.iter().enumerate() {
            let rows = memory::texture_rows(bytes) as u32;
            if self.textures.get(slot).is_none_or(|texture| texture.height() < rows) {
                let texture = texture(&self.device, rows);
                match self.textures.get_mut(slot) {
                    Some(smaller) => *smaller = texture,
                    None => self.textures.push(texture),
                }
            }
        }
        for (slot, &bytes) in memory.buffers.slots.iter().enumerate() {
            if self.slots.get(slot).is_none_or(|buffer| buffer.size() < bytes) {
                let buffer = self.buffer(&format!("slot {slot}"), bytes);
                match self.slots.get_mut(slot) {
                    Some(smaller) => *smaller = buffer,
                    None => self.slots.push(buffer),
                }
            }
        }
    }

    fn buffer(&self, name: &str, bytes: u64) -> wgpu::Buffer {
        use wgpu::BufferUsages as Usage;
        self.device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(name),
            size: bytes,
            usage: Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC,
            mapped_at_creation: false,
        })
    }

    /// Binds by the names that the shader declares: one that the step does not name, or the other way round, is an error.
    fn bind<'a>(
        &self,
        step: &Step,
        module: &Module,
        pipeline: &wgpu::ComputePipeline,
        parameters: wgpu::BufferBinding,
        numbers: impl Fn(View) -> wgpu::BufferBinding<'a>,
        texture: impl Fn(View) -> &'a wgpu::Texture,
    ) -> Result<wgpu::BindGroup> {
        let fault = |problem: String| Error::Device(format!("{} ({:?}): {problem}", step.name, step.kernel));
        if step.bindings.len() != module.bindings.len() {
            return Err(fault(format!("{} bindings given, {} declared", step.bindings.len(), module.bindings.len())));
        }
        let mut texture_views = Vec::new();
        let mut entries = Vec::new();
        for binding in &module.bindings {
            let (_, view) = *step
                .bindings
                .iter()
                .find(|(name, _)| *name == binding.name)
                .ok_or_else(|| fault(format!("nothing is bound to {}", binding.name)))?;
            if binding.access == Access::Texels {
                texture_views.push((binding.index, texture(view).create_view(&Default::default())));
                continue;
            }
            let resource = wgpu::BindingResource::Buffer(numbers(view));
            entries.push(wgpu::BindGroupEntry { binding: binding.index, resource });
        }
        entries.extend(texture_views.iter().map(|(index, view)| wgpu::BindGroupEntry {
            binding: *index,
            resource: wgpu::BindingResource::TextureView(view),
        }));
        entries.extend(module.parameters.as_ref().map(|Parameters { index, .. }| wgpu::BindGroupEntry {
            binding: *index,
            resource: wgpu::BindingResource::Buffer(parameters),
        }));
        Ok(self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&step.name),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        }))
    }

    /// Starts one run of a plan. There is something to wait for if the plan has metrics and a receipt.
    pub fn start(&mut self, program: usize) -> Option<Running> {
        self.start_with(program, None).expect("only an exchange can fail")
    }

    /// Starts one run of a plan with exchanges, and returns after the last of them.
    ///
    /// # Errors
    /// When this device fails, or another rank does.
    pub fn start_with(
        &mut self,
        program: usize,
        mut collective: Option<&mut dyn Collective>,
    ) -> Result<Option<Running>> {
        let program = &mut self.programs[program];
        let (device, queue) = (&self.device.device, &self.device.queue);
        // Whole numbers up to this one are f32.
        let run = (program.runs % (1 << 24)) as f32;
        let piece = |id: TensorId| &program.pieces[id.0][0];
        if let Some([_, receipt]) = program.outcome {
            if self.device.options.lose_after.first() == Some(&self.started) {
                device.destroy();
            }
            self.started += 1;
            let Piece { buffer, offset } = piece(receipt);
            queue.write_buffer(buffer, *offset, bytemuck::cast_slice(&receipt::fresh(run)));
        }
        let (mut copied, mut submitted) = (None, None);
        let mut exchanges = program.exchanges.iter().peekable();
        let mut behind = None;
        for (number, submission) in program.submissions.iter().enumerate() {
            let mut encoder = device.create_command_encoder(&Default::default());
            let last = submission.end == program.dispatches.len();
            dispatch::encode(&program.dispatches[submission.clone()], &mut encoder);
            // The last step of a plan with a receipt is its mark, with which each submission ends.
            if let (false, Some(_), [.., mark]) = (last, program.outcome, &program.dispatches[..]) {
                dispatch::encode(std::slice::from_ref(mark), &mut encoder);
            }
            if let (true, Some(ids)) = (last, program.outcome) {
                let staging = program.ring[program.runs % IN_FLIGHT].clone();
                let mut end = 0;
                for id in ids {
                    let Piece { buffer, offset } = piece(id);
                    let bytes = program.plan.bytes_of(id.into());
                    encoder.copy_buffer_to_buffer(buffer, *offset, &staging, end, bytes);
                    end += bytes;
                }
                copied = Some(staging);
            }
            submitted = Some(queue.submit([encoder.finish()]));
            if let Some((_, copies)) = exchanges.next_if(|(after, _)| *after == number) {
                let collective = collective.as_deref_mut().expect("a plan with exchanges is run with other ranks");
                if let Some(behind) = behind.take() {
                    Behind::finish(behind, &self.device, collective)?;
                }
                behind = copies.run(&self.device, collective)?;
            }
        }
        program.runs += 1;
        let marks = program.submissions.len();
        let running = |(staging, after)| Running { run, marks, copy: ToHost::start(staging, after) };
        Ok(copied.zip(submitted).map(running))
    }

    /// The steps of a plan, ready to run.
    pub(super) fn dispatches(&self, program: usize) -> &[Dispatch] {
        &self.programs[program].dispatches
    }

    /// Waits until the device has done everything that was submitted.
    pub fn wait(&self) -> Result<()> {
        self.device.wait(None)
    }

    /// Waits for a run and returns its metrics, then its receipt. Work that was reported as done and was not is a lost
    /// device.
    pub fn finish(&self, running: &Running) -> Result<Vec<f32>> {
        let numbers: Vec<f32> = running.copy.wait(&self.device)?;
        let receipt = &numbers[numbers.len() - receipt::LENGTH..];
        let (run, marks) = (receipt[receipt::RUN], receipt[receipt::MARKS]);
        if run != running.run || marks != running.marks as f32 {
            return Err(Error::DeviceLost(format!(
                "{} did not do its work: run {} in {} submissions has the receipt of run {run} in {marks}",
                self.device.listed.describe(),
                running.run,
                running.marks,
            )));
        }
        Ok(numbers)
    }
}
