//! From shader files to complete WGSL: libraries first, the host's constants in place, bindings found by name.
//!
//! Each file under `shaders/` is plain WGSL with its tunables as `const`s. Its head names its
//! libraries; the file itself says what it binds and how large its workgroups are (`reflect`). The
//! host replaces initialisers by name, so shapes are constants to the driver's compiler and can
//! size arrays (which `override` cannot). Module-scope order is free in WGSL, so library + kernel
//! put one after the other is a valid module: no preprocessor.
//!
//! A size that no array and no inner loop needs as a constant can be a member of the kernel's `struct Parameters`, all
//! `u32`, in a uniform buffer: then layers share a module, which drivers compile once. A host names both kinds alike.
//!
//! Three rewrites go further: a buffer that is only read can be read through a texture instead ([`TEXELS`]), one of vec4s
//! can hold them in half precision ([`HALVES`]), and the matrices of matrix units get the size that the constant MATRIX says.

mod disk;
mod fault;
mod files;
mod reflect;
mod specialise;

use std::fmt::{self, Display};
use std::ops::Range;

pub use disk::Replaced;
pub use files::Shaders;
pub use reflect::{Access, Binding, Reflected};
pub use specialise::assemble;

/// A shader file with an entry point, and the library it takes where its head leaves a choice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Below `shaders/`, without the ending.
    pub path: &'static str,
    /// The library taken of those between which the head, or that of a library, leaves a choice: `lib/a.wgsl or lib/b.wgsl`.
    pub chosen: Option<&'static str>,
}

impl Kernel {
    /// The kernel with that library, where its head leaves a choice.
    pub fn with(self, library: &'static str) -> Kernel {
        Kernel { chosen: Some(library), ..self }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shaders/{}.wgsl", self.path)
    }
}

/// `shader!("lib/gemm")` is the name of `shaders/lib/gemm.wgsl`, which has to be there when this is compiled.
#[macro_export]
macro_rules! shader {
    ($path:literal) => {{
        const _: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path, ".wgsl"));
        $path
    }};
}

/// `kernel!("conv2d/forward")` is the kernel in `shaders/conv2d/forward.wgsl`.
#[macro_export]
macro_rules! kernel {
    ($path:literal) => {
        $crate::engine::shader::Kernel { path: $crate::shader!($path), chosen: None }
    };
}

/// Where a vec4 of a buffer lies in its texture of [`TEXEL_WIDTH`] columns: what reads through textures need.
pub const TEXELS: &str = shader!("lib/texels");
/// Conversions: what buffers of half precision need.
pub const HALVES: &str = shader!("lib/halves");

/// Columns of a texture that stands for a buffer; every adapter has textures of 8,192.
pub const TEXEL_WIDTH: usize = 4096;
/// Bytes of one vec4, one texel.
pub const TEXEL_BYTES: u64 = 16;
/// The most that a texture stands for, at 8,191 rows: their number is odd (`plan::memory`).
pub const MOST_TEXEL_BYTES: u64 = 8191 * TEXEL_WIDTH as u64 * TEXEL_BYTES;
/// The main of kernels whose work is [`Work::Each`].
pub const EACH: &str = shader!("lib/each");

/// The most storage textures that a shader may have by WebGPU's default limits.
pub const MOST_TEXTURES: usize = 4;

/// The value of a WGSL `const`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
    Unsigned(u32),
    Float(f32),
    Bool(bool),
}

impl Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constant::Unsigned(value) => write!(f, "{value}u"),
            Constant::Float(value) => write!(f, "{value:?}f"), // the shortest text that gives the same bits back
            Constant::Bool(value) => write!(f, "{value}"),
        }
    }
}

impl From<usize> for Constant {
    /// Panics past 2^32: the planner keeps every window far smaller.
    fn from(value: usize) -> Constant {
        Constant::Unsigned(u32::try_from(value).expect("sizes of a window fit 32 bits"))
    }
}

impl From<f64> for Constant {
    fn from(value: f64) -> Constant {
        Constant::Float(value as f32)
    }
}

impl From<bool> for Constant {
    fn from(value: bool) -> Constant {
        Constant::Bool(value)
    }
}

pub type Constants = Vec<(&'static str, Constant)>;

/// How much a dispatch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Workgroups.
    Groups(u64),
    /// Threads, in workgroups of the size that the file says.
    Threads(u64),
    /// `each(i)` for every i below that (`lib/each.wgsl`).
    Each(u64),
}

impl Work {
    /// `each(i)` for every i below `count`.
    pub fn each(count: usize) -> Work {
        Work::Each(count as u64)
    }

    /// That many threads.
    pub fn threads(count: usize) -> Work {
        Work::Threads(count as u64)
    }

    /// The workgroups that it takes, of `threads` threads each.
    pub fn groups(self, threads: u64) -> u64 {
        match self {
            Work::Groups(groups) => groups,
            Work::Threads(count) | Work::Each(count) => count.div_ceil(threads),
        }
    }
}

/// The values of a kernel's `@group(0) @binding(index) var<uniform> parameters: Parameters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    pub index: u32,
    /// In the order of the struct's members.
    pub values: Vec<u32>,
}

/// A complete shader for one dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    pub source: String,
    pub bindings: Vec<Binding>,
    pub parameters: Option<Parameters>,
    /// Workgroups.
    pub groups: u64,
    /// Its files in order, as messages name them, with the bytes of the source that each makes up.
    pub files: Vec<(String, Range<usize>)>,
}

/// Tensors that lie elsewhere or otherwise than in a buffer of `vec4<f32>`, by the names of a kernel's bindings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Read through textures.
    pub texels: Vec<&'static str>,
    /// In half precision.
    pub halves: Vec<&'static str>,
}

impl Stored {
    /// The libraries that the kernel then needs, and the loader adds by itself.
    pub fn libraries(&self) -> impl Iterator<Item = &'static str> {
        let needed = [(!self.texels.is_empty(), TEXELS), (!self.halves.is_empty(), HALVES)];
        needed.into_iter().filter_map(|(needed, library)| needed.then_some(library))
    }
}

/// A dispatch of `groups` workgroups folded into two dimensions of at most `limit` each; `lib/grid.wgsl` unfolds it.
pub fn fold(groups: u64, limit: u32) -> Option<[u32; 2]> {
    let rows = groups.div_ceil(limit as u64).max(1);
    let columns = groups.div_ceil(rows);
    Some([u32::try_from(columns).ok()?, u32::try_from(rows).ok().filter(|rows| *rows <= limit)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_keep_their_bits() {
        assert_eq!(Constant::Float(1.0 / 3.0).to_string().trim_end_matches('f').parse::<f32>().unwrap(), 1.0 / 3.0);
    }

    #[test]
    fn folding_covers_every_group() {
        assert_eq!(fold(0, 65_535), Some([0, 1]));
        assert_eq!(fold(65_535, 65_535), Some([65_535, 1]));
        let [columns, rows] = fold(65_536, 65_535).unwrap();
        assert!(columns as u64 * rows as u64 >= 65_536 && columns <= 65_535);
        assert_eq!(fold(17, 4), None);
    }
}
