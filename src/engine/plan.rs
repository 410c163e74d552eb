//! The plan: everything a run will do, worked out once. A flat list of steps over named tensors, with constants,
//! bindings, grid and cost, before any device is touched. The order never changes, so lifetimes, memory, FLOPs and
//! bytes are known, and a step of training replays the list with no allocation.

pub mod arena;
pub mod budget;
mod exchange;
pub mod memory;
pub mod names;
mod shares;
mod slices;
mod target;
mod textures;

use std::fmt;
use std::ops::Range;

pub use crate::engine::tensor::{Element, Layout, Lifetime, Place, Slice, Tensor, TensorId, View, Window};
pub use exchange::{Dealt, Exchange, Gathered, Run};
pub use shares::{Shares, Unfinished};
pub use target::{Cut, Recompute, Target};

use crate::engine::bound::{Given, Uncertainties};
use crate::engine::shader::{self, Access, Binding, Constants, Kernel, Module, Stored, Work};
use crate::engine::tensor::{Twin, Values};
use crate::engine::variant::{COOPERATIVE, Core};

/// Cost of a step: floating-point operations (two per multiply-add) and the fewest bytes that must
/// move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub flops: u64,
    pub bytes: u64,
}

/// Views that a step reads and writes, by the names that its kernel declares.
pub type Bindings = Vec<(&'static str, View)>;

/// One dispatch.
#[derive(Clone, Debug)]
pub struct Step {
    pub name: String,
    pub kernel: Kernel,
    pub constants: Constants,
    pub bindings: Bindings,
    pub work: Work,
    pub flops: u64,
}

impl Step {
    /// Whether matrix units run it.
    pub fn is_on_units(&self) -> bool {
        self.kernel.chosen == Some(COOPERATIVE)
    }
}

/// One operation on whole tensors: the steps that compute it on a GPU, the twin that computes it in f64, and how far the
/// two may be apart.
pub struct Node {
    pub name: String,
    pub steps: Range<usize>,
    /// Floating-point operations as the plain computation counts them, however the steps do it.
    pub flops: u64,
    /// Tensors that the twin reads and no step binds.
    pub reads: Vec<TensorId>,
    pub twin: Box<Twin>,
    /// Bound of the rounding error of each output.
    pub bound: Box<dyn Fn(&Given) -> Uncertainties + Send + Sync>,
    /// The exchange that it stands for, which has no steps.
    pub exchange: Option<usize>,
}

impl Node {
    /// Has the plan count so many operations: those of the plain computation, where the steps take fewer.
    pub fn counted(&mut self, flops: u64) -> &mut Node {
        self.flops = flops;
        self
    }

    /// Has the twin read a tensor that no step may bind.
    pub fn reading(&mut self, id: TensorId) -> &mut Node {
        self.reads.push(id);
        self
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.name, self.steps)
    }
}

/// Largest cost of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageCost {
    /// Memory of a windowed tensor.
    pub bytes: u64,
    /// Operations of a dispatch.
    pub flops: u64,
}

impl From<u64> for ImageCost {
    /// The bytes alone.
    fn from(bytes: u64) -> ImageCost {
        ImageCost { bytes, flops: 0 }
    }
}

#[derive(Debug)]
pub struct Plan {
    pub target: Target,
    /// Images of the whole batch, whoever holds them.
    pub batch: usize,
    /// How the batch is cut into shares, and which of them this plan computes.
    pub shares: Shares,
    /// Windows of the images that the plan holds.
    pub windows: Vec<Window>,
    pub tensors: Vec<Tensor>,
    pub steps: Vec<Step>,
    pub nodes: Vec<Node>,
    /// Where the ranks meet, in order; empty where all shares are here.
    pub exchanges: Vec<Exchange>,
    /// Sums over the batch whose other parts come with the next exchange.
    pub unfinished: Vec<Unfinished>,
    /// Sums whose other parts were dealt in the last exchange, and are there at the next.
    pub on_their_way: Vec<Unfinished>,
    /// Whether ranks share out the updates of large parameters.
    slices: bool,
    /// Tensors that the guard's flags stand for, in order; empty without a guard.
    pub guarded: Vec<TensorId>,
    keep_everything: bool,
}

impl Plan {
    /// An empty plan for `batch` images. What an image takes decides how many windows the batch is cut into.
    pub fn new(target: Target, batch: usize, image: impl Into<ImageCost>) -> Plan {
        assert!(batch > 0, "a batch has an image");
        let image = image.into();
        let shares = target.shares.for_batch(batch);
        let share = batch / shares.count;
        let fitting = (target.binding_bytes / image.bytes.max(1)).min(target.dispatch_flops / image.flops.max(1));
        let images = (fitting.clamp(1, share as u64) as usize).min(target.window_images);
        // As equal as possible: 32 images of which 20 fit are 16 + 16, not 20 + 12, so that kernels are shared.
        let size = share.div_ceil(share.div_ceil(images));
        let in_share = share.div_ceil(size);
        let window = |index: usize| {
            let first = index % in_share * size;
            Window { index, first: index / in_share * share + first, images: size.min(share - first) }
        };
        let windows = (0..in_share * shares.held.len()).map(window).collect();
        let (tensors, steps, nodes, exchanges, unfinished, on_their_way, guarded) = Default::default();
        let (slices, keep_everything) = (true, false);
        Plan {
            target,
            batch,
            shares,
            windows,
            tensors,
            steps,
            nodes,
            exchanges,
            unfinished,
            on_their_way,
            slices,
            guarded,
            keep_everything,
        }
    }

    /// Every tensor added from here on gets a buffer of its own, so that a test can read it afterwards.
    pub fn keep_everything(mut self) -> Plan {
        self.keep_everything = true;
        self
    }

    pub fn add(&mut self, tensor: Tensor) -> TensorId {
        let keep = self.keep_everything && tensor.lifetime == Lifetime::Temporary;
        let lifetime = if keep { Lifetime::Kept } else { tensor.lifetime };
        self.tensors.push(Tensor { lifetime, ..tensor });
        TensorId(self.tensors.len() - 1)
    }

    fn add_f32(&mut self, name: &str, shape: &[usize], layout: Layout, lifetime: Lifetime, windowed: bool) -> TensorId {
        self.add(Tensor { lifetime, windowed, ..Tensor::new(name, shape, Element::F32, layout) })
    }

    /// Adds the output of a layer: an activation, in half precision if the target wants that.
    pub fn output(&mut self, name: &str, shape: &[usize]) -> TensorId {
        let id = self.activation(name, shape);
        if self.target.half_activations {
            self.tensors[id.0].element = Element::F16;
        }
        id
    }

    /// An activation or its gradient: `[images, ..., channels]`, cut into windows.
    pub fn activation(&mut self, name: &str, shape: &[usize]) -> TensorId {
        assert_eq!(shape[0], self.images(), "{name}: the first axis of an activation is the images");
        self.add_f32(name, shape, Layout::Rows, Lifetime::Temporary, true)
    }

    /// A temporary tensor that is not cut into windows.
    pub fn temporary(&mut self, name: &str, shape: &[usize], layout: Layout) -> TensorId {
        self.add_f32(name, shape, layout, Lifetime::Temporary, false)
    }

    /// A tensor that stays between runs and is shared by name between plans.
    pub fn persistent(&mut self, name: &str, shape: &[usize], layout: Layout) -> TensorId {
        self.add_f32(name, shape, layout, Lifetime::Persistent, false)
    }

    /// A tensor that the host writes before a run or reads after it.
    pub fn kept(&mut self, name: &str, shape: &[usize], layout: Layout) -> TensorId {
        self.add_f32(name, shape, layout, Lifetime::Kept, false)
    }

    /// Adds an activation that is kept, so that a test can feed or read it.
    pub fn kept_activation(&mut self, name: &str, shape: &[usize]) -> TensorId {
        self.add_f32(name, shape, Layout::Rows, Lifetime::Kept, true)
    }

    /// Gives a tensor that is there a buffer of its own and the name by which the host reads it.
    pub fn keep(&mut self, id: TensorId, name: &str) {
        let tensor = &mut self.tensors[id.0];
        tensor.lifetime = Lifetime::Kept;
        tensor.name = name.into();
    }

    /// Unsigned integers that the host writes: labels, packed pixels.
    pub fn integers(&mut self, name: &str, shape: &[usize]) -> TensorId {
        self.add(Tensor { lifetime: Lifetime::Kept, ..Tensor::new(name, shape, Element::U32, Layout::Packed) })
    }

    /// Adds one operation: its steps for the GPU, its twin, and its bound.
    pub fn node(
        &mut self,
        name: &str,
        steps: Vec<Step>,
        twin: impl Fn(&mut Values) + Send + Sync + 'static,
        bound: impl Fn(&Given) -> Uncertainties + Send + Sync + 'static,
    ) -> &mut Node {
        let flops = steps.iter().map(|step| step.flops).sum();
        let first = self.steps.len();
        self.steps.extend(steps);
        let (name, steps) = (name.into(), first..self.steps.len());
        let (reads, twin, bound) = (Vec::new(), Box::new(twin), Box::new(bound));
        self.nodes.push(Node { name, steps, flops, reads, twin, bound, exchange: None });
        self.nodes.last_mut().expect("one was added")
    }

    /// The plan with nothing but the steps that run a shader file, in the same order, for timing: what they read is not
    /// computed.
    ///
    /// # Errors
    /// As [`Plan::files`].
    pub fn only(mut self, shader: &str) -> Result<Plan, String> {
        let runs: Vec<bool> = self.files()?.iter().map(|files| files.contains(&shader)).collect();
        let before = |step: usize| runs[..step].iter().filter(|runs| **runs).count();
        for node in &mut self.nodes {
            node.steps = before(node.steps.start)..before(node.steps.end);
        }
        self.nodes.retain(|node| !node.steps.is_empty());
        self.exchanges.clear();
        let mut each = runs.iter();
        self.steps.retain(|_| *each.next().expect("one for each step"));
        Ok(self)
    }

    /// The tensors that a node's steps bind and its twin reads.
    pub fn tensors_of(&self, node: &Node) -> Vec<TensorId> {
        let bound = self.steps[node.steps.clone()].iter().flat_map(|step| &step.bindings).map(|(_, view)| view.tensor);
        let bound = bound.flat_map(|id| self.held_by(id));
        bound.chain(node.reads.iter().copied()).collect()
    }

    /// The tensors that a node's steps write, each once.
    pub fn written(&self, node: &Node) -> Vec<TensorId> {
        let mut tensors = Vec::new();
        for step in &self.steps[node.steps.clone()] {
            let declared = self.declared(step);
            let written = |name: &str| declared.iter().any(|b| b.access == Access::Write && b.name == name);
            let views = step.bindings.iter().filter(|(name, _)| written(name));
            for id in views.flat_map(|(_, view)| self.held_by(view.tensor)) {
                if !tensors.contains(&id) {
                    tensors.push(id);
                }
            }
        }
        tensors
    }

    /// How its matrix products are computed.
    pub fn core(&self) -> Core {
        self.target.variant.core
    }

    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }

    /// The tensor of that name.
    pub fn find(&self, name: &str) -> Option<TensorId> {
        self.tensors.iter().position(|tensor| tensor.name == name).map(TensorId)
    }

    pub fn tensor_ids(&self) -> impl Iterator<Item = TensorId> {
        (0..self.tensors.len()).map(TensorId)
    }

    /// How many buffers a tensor lies in.
    pub fn windows_of(&self, id: TensorId) -> usize {
        if self.tensor(id).windowed { self.windows.len() } else { 1 }
    }

    pub fn bytes_of(&self, view: View) -> u64 {
        let tensor = self.tensor(view.tensor);
        let rows = if tensor.windowed { self.windows[view.window].images } else { tensor.stored_shape()[0] };
        tensor.bytes_of(rows)
    }

    /// Elements in memory of a view, padding included.
    pub fn count_of(&self, view: View) -> usize {
        self.bytes_of(view) as usize / self.tensor(view.tensor).element.bytes()
    }

    /// The complete shader of each step.
    pub fn modules(&self) -> Result<Vec<Module>, String> {
        let shaders = &self.target.shaders;
        let assemble = |(step, stored): (&Step, Stored)| {
            shader::assemble(shaders, step.kernel, &step.constants, step.work, &stored)
        };
        self.steps.iter().zip(self.stored()).map(assemble).collect()
    }

    /// The shader files of each step, the kernel's own last.
    ///
    /// # Errors When a step's shader does not fit its constants.
    pub fn files(&self) -> Result<Vec<Vec<&'static str>>, String> {
        let of = |(step, stored): (&Step, Stored)| {
            let mut files: Vec<&str> = stored.libraries().collect();
            files.extend(self.target.shaders.files(step.kernel)?);
            Ok(files)
        };
        self.steps.iter().zip(self.stored()).map(of).collect()
    }

    /// Bindings that a step's kernel declares; empty if its file is not valid, which `modules`
    /// reports.
    pub fn declared(&self, step: &Step) -> Vec<Binding> {
        self.target.shaders.reflect(step.kernel).map_or_else(|_| Vec::new(), |reflected| reflected.bindings.clone())
    }

    /// The workgroups of a step's dispatch; `None` if its file is not valid, which `modules` reports.
    pub fn groups(&self, step: &Step) -> Option<u64> {
        self.target.shaders.reflect(step.kernel).ok().map(|reflected| step.work.groups(reflected.threads))
    }

    /// Element types and texture reads that each step's kernel must be made for.
    pub fn stored(&self) -> Vec<Stored> {
        let half = |view: View| self.tensor(view.tensor).element == Element::F16;
        let halves =
            |step: &Step| step.bindings.iter().filter(|(_, view)| half(*view)).map(|(name, _)| *name).collect();
        self.steps.iter().zip(self.texels()).map(|(step, texels)| Stored { texels, halves: halves(step) }).collect()
    }

    pub fn cost(&self, step: &Step) -> Cost {
        let bytes = step.bindings.iter().map(|(_, view)| self.bytes_of(*view)).sum();
        Cost { flops: step.flops, bytes }
    }

    /// The first tensor that does not fit a binding of the target, even cut into windows of one image.
    pub fn too_large(&self) -> Option<(&Tensor, u64)> {
        let views = self.steps.iter().flat_map(|step| &step.bindings).map(|(_, view)| *view);
        views
            .map(|view| (self.tensor(view.tensor), self.bytes_of(view)))
            .find(|(_, bytes)| *bytes > self.target.binding_bytes)
    }
}
