//! From a shader file to complete WGSL: libraries in front, the host's constants in place, bindings found by name.
//!
//! Each file under `shaders/` is plain WGSL with its tunables as `const`s. The host replaces initialisers by name, so
//! shapes are constants to the driver's compiler and can size arrays (which `override` cannot). Module-scope order is
//! free in WGSL, so library + kernel put one after the other is a valid module: no preprocessor.
//!
//! A size that no array and no inner loop needs as a constant can be a member of the kernel's `struct Parameters`, all
//! `u32`, in a uniform buffer: then layers share a module, which drivers compile once. A host names both kinds alike.
//!
//! Two rewrites go further: a buffer that is only read can be read through a texture instead ([`TEXELS`]), and one of
//! vec4s can hold them in half precision ([`HALVES`]).

use std::fmt::{self, Display};

/// One shader file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Below `shaders/`, without the ending.
    pub path: &'static str,
    pub source: &'static str,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shaders/{}.wgsl", self.path)
    }
}

/// `kernel!("conv2d/forward")` is `shaders/conv2d/forward.wgsl`, built into the program.
#[macro_export]
macro_rules! kernel {
    ($path:literal) => {
        $crate::gpu::kernel::Kernel {
            path: $path,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path, ".wgsl")),
        }
    };
}

pub const GRID: Kernel = kernel!("lib/grid");
pub const COLUMNS: Kernel = kernel!("lib/columns");
pub const CELLS: Kernel = kernel!("lib/cells");
pub const MOMENTS: Kernel = kernel!("lib/moments");
pub const SLIDING: Kernel = kernel!("lib/sliding");
pub const USABLE: Kernel = kernel!("lib/usable");
/// What reads through textures need: where a vec4 of a buffer lies in its texture of [`TEXEL_WIDTH`] columns.
pub const TEXELS: Kernel = kernel!("lib/texels");
/// What buffers of half precision need.
pub const HALVES: Kernel = kernel!("lib/halves");

/// Columns of a texture that stands for a buffer; every adapter has textures of 8,192.
pub const TEXEL_WIDTH: usize = 4096;
/// Bytes of one vec4, one texel.
pub const TEXEL_BYTES: u64 = 16;
/// The most that a texture stands for, at 8,191 rows: their number is odd (`plan::memory`).
pub const MOST_TEXEL_BYTES: u64 = 8191 * TEXEL_WIDTH as u64 * TEXEL_BYTES;
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

/// How a shader sees what is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    /// Read through a texture.
    Texels,
}

/// One `@group(0) @binding(index) var<storage, ...> name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub name: String,
    pub index: u32,
    pub access: Access,
    /// Its elements are vec4s of floats, which a texture can hold.
    pub vec4: bool,
}

/// The numbers of a kernel's `@group(0) @binding(index) var<uniform> parameters: Parameters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    pub index: u32,
    /// In the order of the struct's members.
    pub values: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    pub source: String,
    pub bindings: Vec<Binding>,
    pub parameters: Option<Parameters>,
}

impl Kernel {
    pub fn bindings(&self) -> Vec<Binding> {
        self.source.lines().filter_map(binding).collect()
    }

    /// The binding of the parameters, if the kernel has some.
    fn parameters_index(&self) -> Option<u32> {
        let end = ") var<uniform> parameters: Parameters;";
        let mut lines = self.source.lines().filter_map(|line| line.strip_prefix(BINDING)?.strip_suffix(end));
        lines.next()?.parse().ok()
    }

    /// Names of the members of `struct Parameters`.
    fn parameter_names(&self) -> Vec<&'static str> {
        let lines = self.source.lines().skip_while(|line| *line != "struct Parameters {").skip(1);
        let members = lines.take_while(|line| *line != "}");
        members.filter_map(|line| Some(line.split_once(": u32,")?.0.trim())).collect()
    }
}

/// Sorts out which of the host's constants are parameters of the kernel.
fn parameters(kernel: Kernel, constants: &Constants) -> Result<(Option<Parameters>, Constants), String> {
    let Some(index) = kernel.parameters_index() else {
        return Ok((None, constants.clone()));
    };
    let names = kernel.parameter_names();
    let (given, constants) = constants.iter().copied().partition::<Constants, _>(|(name, _)| names.contains(name));
    let value = |name: &&str| match given.iter().find(|(given, _)| given == name) {
        Some((_, Constant::Unsigned(value))) => Ok(*value),
        Some((_, other)) => Err(format!("{other} for {name}, a u32")),
        None => Err(format!("no value for {name}")),
    };
    let values = names.iter().map(value).collect::<Result<_, _>>()?;
    Ok((Some(Parameters { index, values }), constants))
}

/// What lies elsewhere or otherwise than in a buffer of `vec4<f32>`, by the names of a kernel's bindings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Read through textures.
    pub texels: Vec<&'static str>,
    /// In half precision.
    pub halves: Vec<&'static str>,
}

impl Stored {
    /// What the kernel then needs, and the loader adds by itself.
    pub fn libraries(&self) -> impl Iterator<Item = Kernel> {
        let needed = [(!self.texels.is_empty(), TEXELS), (!self.halves.is_empty(), HALVES)];
        needed.into_iter().filter_map(|(needed, library)| needed.then_some(library))
    }
}

/// Puts a module together. Naming a constant that no file declares, or that two declare, is an error, and so is a parameter
/// without a value, and half precision for what no vec4s are.
pub fn assemble(
    kernel: Kernel,
    libraries: &[Kernel],
    constants: &Constants,
    stored: &Stored,
) -> Result<Module, String> {
    let located = |problem| format!("{kernel:?}: {problem}");
    let mut bindings = kernel.bindings();
    let mut own = kernel.source.to_string(); // no library has bindings
    for binding in bindings.iter_mut().filter(|binding| stored.texels.contains(&&binding.name[..])) {
        own = read_texels(&own, binding);
        binding.access = Access::Texels;
    }
    for binding in bindings.iter().filter(|binding| stored.halves.contains(&&binding.name[..])) {
        if !binding.vec4 {
            return Err(located(format!("{} holds no vec4s, so no halves", binding.name)));
        }
        own = use_halves(&own, binding);
    }
    // Unless the caller brings its own, as the tests do that break it.
    let brought = |library: &Kernel| libraries.iter().any(|brought| brought.path == library.path);
    let further = stored.libraries().filter(|library| !brought(library));
    let libraries = libraries.iter().copied().chain(further).map(|library| library.source);
    let mut source = libraries.chain([&*own]).collect::<Vec<_>>().join("\n");
    let (parameters, constants) = parameters(kernel, constants).map_err(located)?;
    for (name, value) in constants {
        source = set_constant(&source, name, value).map_err(located)?;
    }
    Ok(Module { source, bindings, parameters })
}

/// Makes a read-only array of vec4s a texture, and every `name[index]` a `textureLoad(name, texel(index))`.
fn read_texels(source: &str, Binding { name, index, .. }: &Binding) -> String {
    let buffer = format!("@group(0) @binding({index}) var<storage, read> {name}: array<vec4<f32>>;");
    let texture = format!("@group(0) @binding({index}) var {name}: texture_storage_2d<rgba32float, read>;");
    let lines = source.lines().map(|line| match line {
        _ if line.starts_with(&buffer) => texture.clone(),
        _ if line.trim_start().starts_with("//") => line.to_string(),
        _ => replace_reads(line, name, &|index| format!("textureLoad({name}, texel({index}))")),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Makes an array of vec4s one of halves, and converts what is read from it and written to it.
fn use_halves(source: &str, Binding { name, index, .. }: &Binding) -> String {
    let declaration = format!("@group(0) @binding({index}) ");
    let written = format!("{name}[");
    let read = |text: &str| replace_reads(text, name, &|index| format!("from_halves({name}[{index}])"));
    let lines = source.lines().map(|line| {
        let own = line.trim_start();
        if line.starts_with(&declaration) {
            return line.replace("array<vec4<f32>>", "array<vec2<u32>>");
        }
        match own.split_once("] = ").zip(own.split_once(';')) {
            _ if own.starts_with("//") => line.to_string(),
            Some(((to, _), (statement, rest))) if own.starts_with(&written) => {
                let indent = &line[..line.len() - own.len()];
                let value = &statement[to.len() + "] = ".len()..];
                format!("{indent}{name}[{}] = to_halves({});{rest}", read(&to[written.len()..]), read(value))
            }
            _ => read(line),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Every `name[index]` as `read` has it, the outer one first.
fn replace_reads(text: &str, name: &str, read: &dyn Fn(&str) -> String) -> String {
    let opening = format!("{name}[");
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(&opening) {
        let (before, from) = rest.split_at(at);
        out += before;
        rest = &from[opening.len()..];
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.') {
            out += &opening; // the end of a longer name
            continue;
        }
        let mut depth = 1;
        let closing = rest.find(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            depth == 0
        });
        let closing = closing.expect("brackets close in their line");
        out += &read(&replace_reads(&rest[..closing], name, read));
        rest = &rest[closing + 1..];
    }
    out + rest
}

fn set_constant(source: &str, name: &str, value: Constant) -> Result<String, String> {
    let start = format!("const {name}: ");
    let mut found = 0;
    let lines = source.lines().map(|line| {
        if !line.starts_with(&start) {
            return line.to_string();
        }
        found += 1;
        let declaration = line.split('=').next().unwrap_or(line).trim_end();
        format!("{declaration} = {value};")
    });
    let replaced = lines.collect::<Vec<_>>().join("\n");
    match found {
        1 => Ok(replaced),
        0 => Err(format!("no constant {name}")),
        _ => Err(format!("{found} constants named {name}")),
    }
}

/// How the line of a binding begins.
const BINDING: &str = "@group(0) @binding(";

fn binding(line: &str) -> Option<Binding> {
    let rest = line.strip_prefix(BINDING)?;
    let (index, rest) = rest.split_once(") var<storage, ")?;
    let (access, rest) = rest.split_once("> ")?;
    let (name, element) = rest.split_once(": ")?;
    let access = if access == "read_write" { Access::Write } else { Access::Read };
    let vec4 = element.starts_with("array<vec4<f32>>");
    Some(Binding { name: name.to_string(), index: index.parse().ok()?, access, vec4 })
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

    const SAMPLE: Kernel = Kernel {
        path: "sample",
        source: "@group(0) @binding(2) var<storage, read_write> y: array<f32>;\nconst COUNT: u32 = 1u; // how many\n",
    };

    #[test]
    fn constants_are_replaced_by_name() {
        let module = assemble(SAMPLE, &[], &vec![("COUNT", 7usize.into())], &Stored::default()).unwrap();
        assert!(module.source.contains("const COUNT: u32 = 7u;"));
        assert_eq!(module.bindings, [Binding { name: "y".into(), index: 2, access: Access::Write, vec4: false }]);
    }

    #[test]
    fn an_unknown_constant_is_an_error() {
        let problem = assemble(SAMPLE, &[], &vec![("COUNTS", 7usize.into())], &Stored::default()).unwrap_err();
        assert!(problem.contains("no constant COUNTS"), "{problem}");
    }

    #[test]
    fn a_constant_declared_twice_is_an_error() {
        assert!(assemble(SAMPLE, &[SAMPLE], &vec![("COUNT", 7usize.into())], &Stored::default()).is_err());
    }

    const SHARED: Kernel = Kernel {
        path: "shared",
        source: "struct Parameters {\n    count: u32, // how many\n    first: u32,\n}\n\
                 @group(0) @binding(3) var<uniform> parameters: Parameters;\nconst STEP: u32 = 1u;\n",
    };

    #[test]
    fn parameters_stay_out_of_the_source() {
        let module = |count: usize| {
            let constants = vec![("first", 5usize.into()), ("STEP", 2usize.into()), ("count", count.into())];
            assemble(SHARED, &[], &constants, &Stored::default()).unwrap()
        };
        let (one, other) = (module(7), module(8));
        assert_eq!(one.source, other.source);
        assert!(one.source.contains("const STEP: u32 = 2u;") && one.bindings.is_empty(), "{one:?}");
        assert_eq!(one.parameters, Some(Parameters { index: 3, values: vec![7, 5] }));
        assert_eq!(other.parameters, Some(Parameters { index: 3, values: vec![8, 5] }));
    }

    #[test]
    fn a_parameter_wants_a_whole_number() {
        let problem = |constants| assemble(SHARED, &[], &constants, &Stored::default()).unwrap_err();
        let missing = problem(vec![("count", 7usize.into())]);
        assert!(missing.ends_with("no value for first"), "{missing}");
        let float = problem(vec![("count", 7usize.into()), ("first", 0.5.into())]);
        assert!(float.ends_with("0.5f for first, a u32"), "{float}");
    }

    #[test]
    fn reads_go_through_a_texture() {
        let kernel = Kernel {
            path: "sample",
            source: "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;\nlet a = x[i[2] + 1u] + max[x[0]]; // x[0]\n",
        };
        let stored = Stored { texels: vec!["x"], ..Stored::default() };
        let module = assemble(kernel, &[], &vec![], &stored).unwrap();
        assert!(module.source.contains("var x: texture_storage_2d<rgba32float, read>;"), "{}", module.source);
        let line = "let a = textureLoad(x, texel(i[2] + 1u)) + max[textureLoad(x, texel(0))];";
        assert!(module.source.contains(line), "{}", module.source);
        assert_eq!(module.bindings[0].access, Access::Texels);
    }

    #[test]
    fn halves_are_converted_where_they_are_read_and_written() {
        let kernel = Kernel {
            path: "sample",
            source: "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;\n\
                     @group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>; // [rows]\n\
                     \x20   y[at[2] + 1u] = max(x[0], x[1]); // y[0] = x[0];\n\
                     let a = y[0] + xy[1];\n",
        };
        let stored = Stored { halves: vec!["x", "y"], ..Stored::default() };
        let source = assemble(kernel, &[], &vec![], &stored).unwrap().source;
        for line in [
            "@group(0) @binding(0) var<storage, read> x: array<vec2<u32>>;",
            "@group(0) @binding(1) var<storage, read_write> y: array<vec2<u32>>; // [rows]",
            "    y[at[2] + 1u] = to_halves(max(from_halves(x[0]), from_halves(x[1])));",
            "let a = from_halves(y[0]) + xy[1];",
        ] {
            assert!(source.lines().any(|found| found.starts_with(line)), "{line}\n{source}");
        }
        let sample = Stored { halves: vec!["y"], ..Stored::default() };
        let problem = assemble(SAMPLE, &[], &vec![], &sample).unwrap_err();
        assert!(problem.contains("y holds no vec4s"), "{problem}");
    }

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
