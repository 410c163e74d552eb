//! A kernel's module for one dispatch: its files, the host's constants, and tensors that are stored in other ways.

use std::ops::Range;

use super::{
    Access, Binding, Constant, Constants, EACH, Kernel, Module, Parameters, Reflected, Shaders, Stored, TEXEL_WIDTH,
    Work,
};

/// A problem with a kernel, by the name of its file.
pub fn located(shaders: &Shaders, kernel: Kernel, problem: &str) -> String {
    format!("{}: {problem}", shaders.shown(kernel.path))
}

/// How the types of matrix units' matrices begin, and how they are written for matrices of 8 rows and columns.
const MATRICES: &str = "coop_mat";
const MATRICES_OF_8: &str = "coop_mat8x8<";
/// The constant that says how many rows and columns they really have.
const MATRIX: &str = "MATRIX";
/// Lines that a module with such matrices begins with; no other needs any.
const ENABLED: &str = "enable f16;\nenable wgpu_cooperative_matrix;";

/// Files one after the other, with an empty line between them, and where each is.
pub fn join(shaders: &Shaders, names: &[&str], texts: &[impl AsRef<str>]) -> (String, Vec<(String, Range<usize>)>) {
    let enabled = texts.iter().any(|text| text.as_ref().contains(MATRICES));
    let (mut source, mut files) = (if enabled { ENABLED.to_string() } else { String::new() }, Vec::new());
    for (name, text) in names.iter().zip(texts) {
        if !source.is_empty() {
            source += "\n\n";
        }
        let start = source.len();
        source += text.as_ref().trim_end();
        files.push((shaders.shown(name), start..source.len()));
    }
    (source, files)
}

/// Puts a module together.
///
/// # Errors
/// A file that is not valid WGSL; a constant that no file declares, or that two declare; a parameter without a value; half
/// precision for a binding that is no `array<vec4<f32>>`. Each names the file.
pub fn assemble(
    shaders: &Shaders,
    kernel: Kernel,
    constants: &Constants,
    work: Work,
    stored: &Stored,
) -> Result<Module, String> {
    let reflected = shaders.reflect(kernel)?;
    let located = |problem: String| located(shaders, kernel, &problem);
    let mut bindings = reflected.bindings.clone();
    let mut own = shaders.source(kernel.path)?.to_string(); // no library has bindings
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
    let mut names = shaders.files(kernel)?;
    names.pop();
    let mut constants = constants.clone();
    match work {
        Work::Each(count) => constants.push(("COUNT", (count as usize).into())),
        _ if names.contains(&EACH) && reflected.parameters.is_none() => {
            return Err(located(format!("{EACH}.wgsl does as much as Work::Each says, and this is {work:?}")));
        }
        _ => {}
    }
    if !stored.texels.is_empty() {
        constants.push(("TEXEL_WIDTH", TEXEL_WIDTH.into()));
    }
    names.extend(stored.libraries());
    let libraries = names.iter().map(|name| Ok(shaders.source(name)?.to_string()));
    let mut texts = libraries.chain([Ok(own)]).collect::<Result<Vec<String>, String>>()?;
    names.push(kernel.path);
    let (parameters, constants) = parameters(&reflected, &constants).map_err(located)?;
    set_constants(&mut texts, &constants).map_err(located)?;
    size_matrices(&mut texts, &constants);
    let (source, files) = join(shaders, &names, &texts);
    Ok(Module { source, bindings, parameters, groups: work.groups(reflected.threads), files })
}

/// Sorts out which of the host's constants are parameters of the kernel.
fn parameters(reflected: &Reflected, constants: &Constants) -> Result<(Option<Parameters>, Constants), String> {
    let Some((index, names)) = &reflected.parameters else {
        return Ok((None, constants.clone()));
    };
    let is_parameter = |name: &str| names.iter().any(|parameter| parameter == name);
    let (given, constants) = constants.iter().copied().partition::<Constants, _>(|(name, _)| is_parameter(name));
    let value = |name: &String| match given.iter().find(|(given, _)| given == name) {
        Some((_, Constant::Unsigned(value))) => Ok(*value),
        Some((_, other)) => Err(format!("{other} for {name}, a u32")),
        None => Err(format!("no value for {name}")),
    };
    let values = names.iter().map(value).collect::<Result<_, _>>()?;
    Ok((Some(Parameters { index: *index, values }), constants))
}

/// Replaces initialisers at module scope, wherever in the texts they are.
fn set_constants(texts: &mut [String], constants: &Constants) -> Result<(), String> {
    let mut found = vec![0; constants.len()];
    for text in texts {
        let lines = text.lines().map(|line| match declared(line) {
            Some((declaration, name)) => match constants.iter().position(|(constant, _)| *constant == name) {
                Some(at) => {
                    found[at] += 1;
                    format!("{declaration} = {};", constants[at].1)
                }
                None => line.to_string(),
            },
            None => line.to_string(),
        });
        *text = lines.collect::<Vec<_>>().join("\n");
    }
    match found.iter().zip(constants).find(|(found, _)| **found != 1) {
        None => Ok(()),
        Some((0, (name, _))) => Err(format!("no constant {name}, which the host sets")),
        Some((count, (name, _))) => Err(format!("{count} constants named {name}")),
    }
}

/// Writes the size of the matrices into their types.
fn size_matrices(texts: &mut [String], constants: &Constants) {
    let size = constants.iter().find(|(name, _)| *name == MATRIX);
    let Some((_, Constant::Unsigned(size))) = size else { return };
    let sized = format!("{MATRICES}{size}x{size}<");
    texts.iter_mut().for_each(|text| *text = text.replace(MATRICES_OF_8, &sized));
}

/// The declaration of a constant up to its initialiser, and its name.
fn declared(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("const ")?;
    let (declaration, _) = line.split_once('=')?;
    Some((declaration.trim_end(), rest.split([':', '=']).next()?.trim()))
}

/// Makes a read-only array of vec4s a texture, and every `name[index]` a `textureLoad(name, texel(index))`.
fn read_texels(source: &str, Binding { name, index, .. }: &Binding) -> String {
    let buffer = format!("@group(0) @binding({index}) var<storage, read> {name}: array<vec4<f32>>;");
    let texture = format!("@group(0) @binding({index}) var {name}: texture_storage_2d<rgba32float, read>;");
    let read = |index: &str| format!("textureLoad({name}, texel({index}))");
    with_accesses(&source.replace(&buffer, &texture), name, &read, &|index, _| format!("{name}[{index}]"))
}

/// Makes an array of vec4s one of halves, and converts what is read from it and written to it.
fn use_halves(source: &str, Binding { name, index, .. }: &Binding) -> String {
    let declaration = format!("@group(0) @binding({index}) ");
    let stored = |line: &str| match line.starts_with(&declaration) {
        true => line.replace("array<vec4<f32>>", "array<vec2<u32>>"),
        false => line.to_string(),
    };
    let source = source.lines().map(stored).collect::<Vec<_>>().join("\n");
    let read = |index: &str| format!("from_halves({name}[{index}])");
    with_accesses(&source, name, &read, &|index, value| format!("{name}[{index}] = to_halves({value})"))
}

/// Valid WGSL with every access to an array changed: `name[index]` to `read(index)`, and `name[index] = value` to
/// `write(index, value)`. Comments stay as they are.
fn with_accesses(
    text: &str,
    name: &str,
    read: &dyn Fn(&str) -> String,
    write: &dyn Fn(&str, &str) -> String,
) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, index, after)) = first_access(rest, name) {
        out += before;
        let change = |text: &str| with_accesses(text, name, read, write);
        let value = after.trim_start().strip_prefix('=').filter(|value| !value.starts_with('='));
        match value.and_then(|value| value.split_once(';')) {
            Some((value, further)) => {
                out += &write(&change(index), &change(value.trim_start()));
                rest = &after[after.len() - further.len() - 1..];
            }
            None => {
                out += &read(&change(index));
                rest = after;
            }
        }
    }
    out + rest
}

/// The first `name[index]` outside of comments: the text before it, the index, and the text after
/// it.
fn first_access<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let longer = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
    let commented = |before: &str| before[before.rfind('\n').map_or(0, |end| end + 1)..].contains("//");
    let opening = format!("{name}[");
    let is_access = |&(at, _): &(usize, &str)| !longer(&text[..at]) && !commented(&text[..at]);
    let (at, _) = text.match_indices(&opening).find(is_access)?;
    let inside = &text[at + opening.len()..];
    let mut depth = 1;
    let end = inside.find(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        depth == 0
    })?;
    Some((&text[..at], &inside[..end], &inside[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel;

    const MAIN: &str = "@compute @workgroup_size(64)\nfn main() {}\n";
    const SAMPLE: &str =
        "@group(0) @binding(2) var<storage, read_write> y: array<f32>;\nconst COUNT: u32 = 1u; // how many\n";

    /// A kernel of that text, with these constants and 65 threads.
    fn of(source: &str, constants: &Constants, stored: &Stored) -> Result<Module, String> {
        let shaders = Shaders::default().with("peak/copy", format!("{source}{MAIN}"));
        assemble(&shaders, kernel!("peak/copy"), constants, Work::threads(65), stored)
    }

    fn plainly(source: &str, constants: &Constants) -> Result<Module, String> {
        of(source, constants, &Stored::default())
    }

    #[test]
    fn constants_are_replaced_by_name() {
        let module = plainly(SAMPLE, &vec![("COUNT", 7usize.into())]).unwrap();
        assert!(module.source.contains("const COUNT: u32 = 7u;"));
        assert_eq!(module.bindings, [Binding { name: "y".into(), index: 2, access: Access::Write, vec4: false }]);
        let spaced = plainly("const  COUNT :u32=1u;\n", &vec![("COUNT", 7usize.into())]).unwrap();
        assert!(spaced.source.contains("const  COUNT :u32 = 7u;"), "{}", spaced.source);
    }

    #[test]
    fn threads_come_in_workgroups_of_the_files_size() {
        assert_eq!(plainly(SAMPLE, &vec![]).unwrap().groups, 2);
        assert_eq!(Work::threads(65).groups(64), 2);
        assert_eq!(Work::Groups(5).groups(64), 5);
        assert_eq!(Work::each(65).groups(64), 2);
    }

    #[test]
    fn each_is_called_as_often_as_the_host_says() {
        let source = "// Uses: lib/each.wgsl\nconst WORKGROUP: u32 = 32u;\nfn each(i: u32) {}\n";
        let shaders = Shaders::default().with("peak/copy", source.into());
        let module = |work| assemble(&shaders, kernel!("peak/copy"), &vec![], work, &Stored::default());
        let each = module(Work::each(65)).unwrap();
        assert!(each.source.contains("const COUNT: u32 = 65u;") && each.groups == 3, "{each:?}");
        // Past the count it would write where nothing is.
        assert!(module(Work::threads(65)).unwrap_err().contains("Work::Each"));
    }

    #[test]
    fn an_unknown_constant_is_an_error() {
        let problem = plainly(SAMPLE, &vec![("COUNTS", 7usize.into())]).unwrap_err();
        assert_eq!(problem, "shaders/peak/copy.wgsl: no constant COUNTS, which the host sets");
    }

    #[test]
    fn a_constant_declared_twice_is_an_error() {
        let mut texts = [SAMPLE.to_string(), SAMPLE.to_string()];
        let problem = set_constants(&mut texts, &vec![("COUNT", 7usize.into())]).unwrap_err();
        assert_eq!(problem, "2 constants named COUNT");
    }

    const SHARED: &str = "struct Parameters {\n    count: u32, // how many\n    first: u32,\n}\n\
                          @group(0) @binding(3) var<uniform> parameters: Parameters;\nconst STEP: u32 = 1u;\n";

    #[test]
    fn parameters_stay_out_of_the_source() {
        let module = |count: usize| {
            let constants = vec![("first", 5usize.into()), ("STEP", 2usize.into()), ("count", count.into())];
            plainly(SHARED, &constants).unwrap()
        };
        let (one, other) = (module(7), module(8));
        assert_eq!(one.source, other.source);
        assert!(one.source.contains("const STEP: u32 = 2u;") && one.bindings.is_empty(), "{one:?}");
        assert_eq!(one.parameters, Some(Parameters { index: 3, values: vec![7, 5] }));
        assert_eq!(other.parameters, Some(Parameters { index: 3, values: vec![8, 5] }));
    }

    #[test]
    fn a_parameter_wants_a_whole_number() {
        let problem = |constants| plainly(SHARED, &constants).unwrap_err();
        let missing = problem(vec![("count", 7usize.into())]);
        assert!(missing.ends_with("no value for first"), "{missing}");
        let float = problem(vec![("count", 7usize.into()), ("first", 0.5.into())]);
        assert!(float.ends_with("0.5f for first, a u32"), "{float}");
    }

    #[test]
    fn reads_go_through_a_texture() {
        let source = "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;\n\
                      fn f(i: array<u32, 3>) -> vec4<f32> { return x[i[2] + 1u] + vec4(x[u32(x[0].y)]); } // x[0]\n";
        let module = of(source, &vec![], &Stored { texels: vec!["x"], ..Stored::default() }).unwrap();
        assert!(module.source.contains("var x: texture_storage_2d<rgba32float, read>;"), "{}", module.source);
        let read = "textureLoad(x, texel(i[2] + 1u)) + vec4(textureLoad(x, texel(u32(textureLoad(x, texel(0)).y))))";
        assert!(module.source.contains(read), "{}", module.source);
        assert_eq!(module.bindings[0].access, Access::Texels);
        assert_eq!(module.fault(), None);
    }

    #[test]
    fn halves_are_converted_where_they_are_read_and_written() {
        let source = "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;\n\
                      @group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>; // [rows]\n\
                      fn f(at: array<u32, 3>, xy: array<vec4<f32>, 3>) -> vec4<f32> {\n\
                      \x20   y[at[2] + 1u] = max(x[0], x[1]); // y[0] = x[0];\n\
                      \x20   y[\n        2\n    ] =\n        x[1];\n\
                      \x20   if xy[0].x == 1.0 { return y[0]; }\n\
                      \x20   return y[0] + xy[1];\n}\n";
        let module = of(source, &vec![], &Stored { halves: vec!["x", "y"], ..Stored::default() }).unwrap();
        for line in [
            "@group(0) @binding(0) var<storage, read> x: array<vec2<u32>>;",
            "@group(0) @binding(1) var<storage, read_write> y: array<vec2<u32>>; // [rows]",
            "    y[at[2] + 1u] = to_halves(max(from_halves(x[0]), from_halves(x[1])));",
            "    ] = to_halves(from_halves(x[1]));",
            "    return from_halves(y[0]) + xy[1];",
        ] {
            assert!(module.source.lines().any(|found| found.starts_with(line)), "{line}\n{}", module.source);
        }
        assert_eq!(module.fault(), None);
        let problem = of(SAMPLE, &vec![], &Stored { halves: vec!["y"], ..Stored::default() }).unwrap_err();
        assert!(problem.contains("y holds no vec4s"), "{problem}");
    }
}
