//! The plan: everything a run will do, worked out once. A flat list of steps over named tensors, with constants,
//! bindings, grid and cost, before any device is touched. The order never changes, so lifetimes, memory, FLOPs and
//! bytes are known, and a step of training replays the list with no allocation.

pub mod budget;
pub mod memory;
pub mod network;
pub mod print;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::cpu::Values;
use crate::ops::gemm::Core;
use crate::shader::{
    self, Access, Binding, Constants, Kernel, MOST_TEXEL_BYTES, MOST_TEXTURES, Module, Shaders, Stored, Work,
};
use crate::shape::padded;
use crate::variant::Variant;

/// What the planner must know of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The largest storage binding.
    pub binding_bytes: u64,
    /// The most operations of one dispatch; what goes image by image is cut into windows that are small enough.
    pub dispatch_flops: u64,
    /// The most images of a window, whatever else would fit: `plan::budget` lowers it.
    pub window_images: usize,
    /// The most workgroups along one dimension of a dispatch.
    pub groups_per_dimension: u32,
    /// Reductions are cut into about this many workgroups, so that the device is busy.
    pub parallel_groups: usize,
    /// A texture that the next step does not read gives up its slot, and is copied anew when it is needed again.
    pub brief_textures: bool,
    pub recompute: Recompute,
    /// What layers put out is stored in half precision; sums, gradients and weights are not.
    pub half_activations: bool,
    /// Kernels are compiled with bounds checks.
    pub checked: bool,
    /// How products and convolutions are computed.
    pub variant: Variant,
    /// The files that kernels are made of.
    pub shaders: Shaders,
}

/// What the backward pass computes again, instead of keeping it since the forward pass. That gives the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recompute {
    #[default]
    Nothing,
    /// Weights as the products of Winograd's convolution take them.
    Weights,
    /// These, and what batch norms and the ReLUs and max pools in their passes put out.
    Activations,
    /// These, and what the first convolution puts out: the largest of all, of sums that have few terms.
    FirstLayer,
}

impl Recompute {
    /// Ever less memory and ever more time.
    pub const ALL: [Recompute; 4] =
        [Recompute::Nothing, Recompute::Weights, Recompute::Activations, Recompute::FirstLayer];
}

/// What cuts a plan into windows and chunks, and so decides how its sums are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// The largest storage binding.
    pub binding_bytes: u64,
    /// The most operations of one dispatch; none means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatch_flops: Option<u64>,
}

impl Target {
    pub fn cut(&self) -> Cut {
        let dispatch_flops = (self.dispatch_flops != u64::MAX).then_some(self.dispatch_flops);
        Cut { binding_bytes: self.binding_bytes, dispatch_flops }
    }

    /// Cut as another target was, but for bindings that would be too large for this one.
    pub fn cut_as(self, Cut { binding_bytes, dispatch_flops }: Cut) -> Target {
        let binding_bytes = self.binding_bytes.min(binding_bytes);
        Target { binding_bytes, dispatch_flops: dispatch_flops.unwrap_or(u64::MAX), ..self }
    }
}

impl Default for Target {
    /// WebGPU's default limits, which every adapter has.
    fn default() -> Target {
        Target {
            binding_bytes: 128 << 20,
            dispatch_flops: u64::MAX,
            window_images: usize::MAX,
            groups_per_dimension: 65_535,
            parallel_groups: 256,
            brief_textures: false,
            recompute: Recompute::default(),
            half_activations: false,
            checked: false,
            variant: Variant::default(),
            shaders: Shaders::default(),
        }
    }
}

/// Copying a tensor into a texture costs more than it saves when the tensor is read once.
const LEAST_READS: usize = 2;

/// Index of a tensor in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// How long a tensor's numbers must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Between runs and between plans, which share it by its name: parameters, moving statistics, Adam's moments.
    Persistent,
    /// In a buffer of its own: what the host writes or reads.
    Kept,
    /// From its first step to its last; its slot is used again.
    Temporary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F32,
    /// IEEE 754's binary16 in memory, f32 to every kernel and to the host.
    F16,
    U32,
}

impl Element {
    fn bytes(self) -> usize {
        match self {
            Element::F32 | Element::U32 => 4,
            Element::F16 => 2,
        }
    }
}

/// How a tensor lies in memory beyond its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As its shape says: whatever no kernel reads as vec4.
    Packed,
    /// The last axis is padded with zeros to a multiple of four: activations, biases.
    Rows,
    /// The last two axes are: weights, whose rows are channels too.
    Matrix,
}

#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub element: Element,
    pub layout: Layout,
    pub lifetime: Lifetime,
    /// Its first axis is the batch and is cut into the plan's windows, each in a buffer of its own.
    pub windowed: bool,
}

impl Tensor {
    /// The shape in memory, padding included.
    pub fn stored_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        let axes = shape.len();
        let padded_axes = match self.layout {
            Layout::Packed => 0,
            Layout::Rows => 1,
            Layout::Matrix => 2,
        };
        for size in &mut shape[axes - padded_axes..] {
            *size = padded(*size);
        }
        shape
    }

    /// Bytes of memory for `rows` entries of the first axis.
    fn bytes_of(&self, rows: usize) -> u64 {
        (self.element.bytes() * rows * self.stored_shape()[1..].iter().product::<usize>()) as u64
    }
}

/// One window of a tensor, or the whole of one that is not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct View {
    pub tensor: TensorId,
    pub window: usize,
}

impl From<TensorId> for View {
    fn from(tensor: TensorId) -> View {
        View { tensor, window: 0 }
    }
}

impl TensorId {
    pub fn window(self, window: &Window) -> View {
        View { tensor: self, window: window.index }
    }
}

/// A run of images of the batch that is small enough for one binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub index: usize,
    pub first: usize,
    pub images: usize,
}

/// What a step costs: floating-point operations (two per multiply-add) and bytes that must move at the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub flops: u64,
    pub bytes: u64,
}

/// What a step reads and writes, by the names that its kernel declares.
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

/// One operation on whole tensors: the steps that compute it on a GPU, and the twin that computes it in f64.
pub struct Node {
    pub name: String,
    pub steps: Range<usize>,
    /// Floating-point operations as the plain computation counts them, however the steps do it.
    pub flops: u64,
    /// What the twin needs that no step binds.
    pub reads: Vec<TensorId>,
    pub twin: Box<dyn Fn(&mut Values) + Send + Sync>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.name, self.steps)
    }
}

/// What one image takes at the most.
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
    pub batch: usize,
    pub windows: Vec<Window>,
    pub tensors: Vec<Tensor>,
    pub steps: Vec<Step>,
    pub nodes: Vec<Node>,
    /// What the guard's flags stand for, in order; empty without a guard.
    pub guarded: Vec<TensorId>,
    keep_everything: bool,
}

impl Plan {
    /// An empty plan for `batch` images. What an image takes decides how many windows the batch is cut into.
    pub fn new(target: Target, batch: usize, image: impl Into<ImageCost>) -> Plan {
        assert!(batch > 0, "a batch has an image");
        let image = image.into();
        let fitting = (target.binding_bytes / image.bytes.max(1)).min(target.dispatch_flops / image.flops.max(1));
        let images = (fitting.clamp(1, batch as u64) as usize).min(target.window_images);
        // As equal as possible: 32 images of which 20 fit are 16 + 16, not 20 + 12, so that kernels are shared.
        let count = batch.div_ceil(images);
        let size = batch.div_ceil(count);
        let windows = (0..batch.div_ceil(size))
            .map(|index| Window { index, first: index * size, images: size.min(batch - index * size) })
            .collect();
        let (tensors, steps, nodes, guarded) = Default::default();
        Plan { target, batch, windows, tensors, steps, nodes, guarded, keep_everything: false }
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
        self.add(Tensor { name: name.into(), shape: shape.into(), element: Element::F32, layout, lifetime, windowed })
    }

    /// What a layer puts out: an activation, in half precision if the target wants that.
    pub fn output(&mut self, name: &str, shape: &[usize]) -> TensorId {
        let id = self.activation(name, shape);
        if self.target.half_activations {
            self.tensors[id.0].element = Element::F16;
        }
        id
    }

    /// An activation or its gradient: `[batch, ..., channels]`, cut into windows.
    pub fn activation(&mut self, name: &str, shape: &[usize]) -> TensorId {
        assert_eq!(shape[0], self.batch, "{name}: the first axis of an activation is the batch");
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

    /// The same for an activation, so that a test can feed or read one.
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
        self.add(Tensor {
            name: name.into(),
            shape: shape.into(),
            element: Element::U32,
            layout: Layout::Packed,
            lifetime: Lifetime::Kept,
            windowed: false,
        })
    }

    /// Adds one operation: its steps for the GPU and its twin.
    pub fn node(&mut self, name: &str, steps: Vec<Step>, twin: impl Fn(&mut Values) + Send + Sync + 'static) {
        let flops = steps.iter().map(|step| step.flops).sum();
        self.node_of(name, flops, steps, twin);
    }

    /// The same for one whose steps take fewer operations than the plain computation.
    pub fn node_of(
        &mut self,
        name: &str,
        flops: u64,
        steps: Vec<Step>,
        twin: impl Fn(&mut Values) + Send + Sync + 'static,
    ) {
        let first = self.steps.len();
        self.steps.extend(steps);
        let (name, steps) = (name.into(), first..self.steps.len());
        self.nodes.push(Node { name, steps, flops, reads: Vec::new(), twin: Box::new(twin) });
    }

    /// The twin of the last node needs a tensor that its steps may not bind.
    pub fn reads(&mut self, id: TensorId) {
        self.nodes.last_mut().expect("a node was added").reads.push(id);
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

    /// The bindings that each step reads through textures: the largest, as many as a shader may have, of those that are
    /// read often enough. A matrix product reads its factors again and again.
    pub fn texels(&self) -> Vec<Vec<&'static str>> {
        let Some(least_bytes) = self.target.variant.texel_reads else {
            return vec![Vec::new(); self.steps.len()];
        };
        let readable = self.steps.iter().map(|step| {
            let declared = self.declared(step);
            let reads = |name: &str| declared.iter().any(|b| b.name == name && b.access == Access::Read && b.vec4);
            // The textures hold whole f32.
            let large = |view: View| {
                self.tensor(view.tensor).element == Element::F32
                    && (least_bytes..=MOST_TEXEL_BYTES).contains(&self.bytes_of(view))
            };
            step.bindings.iter().copied().filter(|&(name, view)| reads(name) && large(view)).collect()
        });
        let mut readable: Vec<Vec<(&'static str, View)>> = readable.collect();
        let mut reads: BTreeMap<View, usize> = BTreeMap::new();
        for (step, readable) in self.steps.iter().zip(&readable) {
            let again = if step.kernel.chosen == Some(self.core().library()) { LEAST_READS } else { 1 };
            readable.iter().for_each(|&(_, view)| *reads.entry(view).or_default() += again);
        }
        for step in &mut readable {
            step.retain(|(_, view)| reads[view] >= LEAST_READS);
            step.sort_by_key(|&(_, view)| std::cmp::Reverse(self.bytes_of(view)));
            step.truncate(MOST_TEXTURES);
        }
        readable.into_iter().map(|step| step.into_iter().map(|(name, _)| name).collect()).collect()
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
    /// # Errors
    /// As [`Shaders::files`].
    pub fn files(&self) -> Result<Vec<Vec<&'static str>>, String> {
        let of = |(step, stored): (&Step, Stored)| {
            let mut files: Vec<&str> = stored.libraries().collect();
            files.extend(self.target.shaders.files(step.kernel)?);
            Ok(files)
        };
        self.steps.iter().zip(self.stored()).map(of).collect()
    }

    /// What a step's kernel declares; empty if its file is not valid, which `modules` reports.
    pub fn declared(&self, step: &Step) -> Vec<Binding> {
        self.target.shaders.reflect(step.kernel).map_or_else(|_| Vec::new(), |reflected| reflected.bindings.clone())
    }

    /// The workgroups of a step's dispatch; `None` if its file is not valid, which `modules` reports.
    pub fn groups(&self, step: &Step) -> Option<u64> {
        self.target.shaders.reflect(step.kernel).ok().map(|reflected| step.work.groups(reflected.threads))
    }

    /// What each step's kernel must be made for.
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
