//! Target of a plan: a device, or WebGPU's default limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Shares;
use crate::engine::shader::Shaders;
use crate::engine::variant::{TILE_W, Variant};

/// Properties of a device that the planner needs.
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
    /// The most terms of a tile of a product in workgroup memory, [`TILE_W`] or less: shallow tiles wait more often, and compile
    /// faster where drivers unroll the loop over them.
    pub tile_depth: usize,
    /// A texture that the next step does not read gives up its slot, and is copied anew when it is needed again.
    pub brief_textures: bool,
    pub recompute: Recompute,
    /// How a batch of training is cut into shares, and which of them this target computes.
    pub shares: Shares,
    /// Outputs of layers are stored in half precision; sums, gradients and weights are not.
    pub half_activations: bool,
    /// Kernels are compiled with bounds checks.
    pub checked: bool,
    /// How products and convolutions are computed.
    pub variant: Variant,
    /// The files that kernels are made of.
    pub shaders: Shaders,
}

/// Tensors that the backward pass recomputes instead of keeping them from the forward pass. Every
/// choice gives the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recompute {
    #[default]
    Nothing,
    /// Weights as the products of Winograd's convolution take them.
    Weights,
    /// Weights, and the outputs of batch norms with the ReLUs and max pools in their passes.
    Activations,
    /// Weights and activations, and the first convolution's output: the largest of all, of sums
    /// with few terms.
    FirstLayer,
}

impl Recompute {
    /// Ever less memory and ever more time.
    pub const ALL: [Recompute; 4] =
        [Recompute::Nothing, Recompute::Weights, Recompute::Activations, Recompute::FirstLayer];
}

/// Limits that cut a plan into windows and chunks, and so decide how its sums are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// The largest storage binding, in bytes.
    pub binding_bytes: u64,
    /// The most operations of one dispatch; without it, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatch_flops: Option<u64>,
    /// The shares of a batch, each of which one device computes; none means one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<usize>,
}

impl Cut {
    /// How many shares a batch has.
    pub fn share_count(&self) -> usize {
        self.shares.unwrap_or(1)
    }
}

impl Target {
    pub fn cut(&self) -> Cut {
        let dispatch_flops = (self.dispatch_flops != u64::MAX).then_some(self.dispatch_flops);
        let shares = Some(self.shares.count).filter(|count| *count > 1);
        Cut { binding_bytes: self.binding_bytes, dispatch_flops, shares }
    }

    /// Cut as another target was, but for bindings that would be too large for this one. All shares are held.
    pub fn cut_as(self, cut: Cut) -> Target {
        let binding_bytes = self.binding_bytes.min(cut.binding_bytes);
        let (dispatch_flops, shares) = (cut.dispatch_flops.unwrap_or(u64::MAX), Shares::all(cut.share_count()));
        Target { binding_bytes, dispatch_flops, shares, ..self }
    }

    /// Target of one of several ranks, which hold equally many of the shares.
    pub fn of_rank(&self, rank: usize, ranks: usize) -> Target {
        Target { shares: Shares::of_rank(self.shares.count, rank, ranks), ..self.clone() }
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
            tile_depth: TILE_W,
            brief_textures: false,
            recompute: Recompute::default(),
            shares: Shares::default(),
            half_activations: false,
            checked: false,
            variant: Variant::default(),
            shaders: Shaders::default(),
        }
    }
}
