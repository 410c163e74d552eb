//! The shader files, without a GPU: the links in their headers, the libraries they are given, their validity and their
//! appetite for resources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ocellus::engine::gpu::translate::{Language, translate};
use ocellus::engine::plan::{Plan, Step, Target};
use ocellus::engine::shader::{Access, MOST_TEXTURES, Module};
use ocellus::engine::shape::Padding;
use ocellus::engine::variant::Algorithm;
use ocellus::engine::variant::Core;
use ocellus::engine::variant::Tile;
use ocellus::engine::variant::{Abilities, Convolutions, MATRICES, MatrixUnits, Variant};
use ocellus::network::compile::{inference, training};
use ocellus::network::{Layer, Network, Template, tutorial};
use ocellus::ops::conv2d::Conv2d;
use ocellus::ops::dense::Dense;
use ocellus::ops::global_average_pool::GlobalAveragePool;
use ocellus::ops::max_pool::MaxPool;
use ocellus::ops::probe;
use ocellus::ops::relu::Relu;
use ocellus::proof::profile::{self, ProbeSizes};
use wgpu::naga;

/// A shader file below `shaders/`, named as a `Kernel` names it.
struct Shader {
    path: String,
    source: String,
    /// The comment that opens the file, in one line.
    header: String,
}

impl Shader {
    fn is_library(&self) -> bool {
        self.path.starts_with("lib/")
    }

    /// What follows a label of the header, up to the next full stop that ends a sentence.
    fn after(&self, label: &str) -> Option<&str> {
        let (_, rest) = self.header.split_once(&format!("{label}: "))?;
        let end = rest.find(". ").unwrap_or(rest.trim_end_matches('.').len());
        Some(&rest[..end])
    }

    /// The file and the functions of a link: `ops/relu/steps.rs::forward` or `ops/adam/twin.rs::{step, alpha}`.
    fn link(&self, label: &str) -> Option<(PathBuf, Vec<&str>)> {
        let text = self.after(label)?;
        let (file, functions) = text.split_once("::").unwrap_or((text, ""));
        let functions = functions.trim_matches(['{', '}']).split(", ").filter(|name| !name.is_empty()).collect();
        let folder = if file.starts_with("tests/") { "" } else { "src" };
        Some((root().join(folder).join(file), functions))
    }

    /// Fails unless the link is there and its file has its functions; returns the file's text.
    fn follow(&self, label: &str) -> String {
        let (file, functions) = self.link(label).unwrap_or_else(|| panic!("{}: no {label}", self.path));
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {label}: {}: {error}", self.path, file.display()));
        assert!(self.is_library() || !functions.is_empty(), "{}: {label} names a function", self.path);
        for function in functions {
            let found = text.contains(&format!("fn {function}("));
            assert!(found, "{}: {label}: {} has no {function}", self.path, file.display());
        }
        text
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shaders() -> Vec<Shader> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(root().join("shaders")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            // Folders have rungs, of which tests/study.rs takes care.
            if file.is_dir() {
                continue;
            }
            let path = file.strip_prefix(root().join("shaders")).unwrap().with_extension("");
            let source = std::fs::read_to_string(&file).unwrap();
            let comment = source.lines().map_while(|line| line.strip_prefix("//")).map(str::trim);
            let header = comment.collect::<Vec<_>>().join(" ");
            let path = path.to_str().unwrap().replace('\\', "/");
            found.push(Shader { path, source, header });
        }
    }
    assert!(found.len() > 20, "{} shaders", found.len());
    found
}

/// Every core that some device runs: subgroups of lavapipe and of SwiftShader.
fn cores() -> Vec<Core> {
    let abilities = |lanes| Abilities { software: true, fixed_subgroup: Some(lanes), ..Abilities::default() };
    let mut cores: Vec<Core> = Vec::new();
    for Variant { core, .. } in [8, 4].into_iter().flat_map(|lanes| Variant::all(&abilities(lanes))) {
        if !cores.contains(&core) {
            cores.push(core);
        }
    }
    cores
}

/// Plans that use every kernel between them: the tutorial's by each algorithm, a network without batch norm, the probes
/// of `profile`.
fn plans(core: Core) -> Vec<Plan> {
    // Read through textures where the core is one for software adapters.
    let texel_reads = matches!(core, Core::Subgroup { .. }).then_some(0);
    let variant = Variant { core, texel_reads, ..Variant::default() };
    let target = Target { variant: variant.clone(), ..Target::default() };
    let plain = [
        Layer::from(Conv2d { filters: 5, kernel: 5, stride: 2, padding: Padding::Valid }),
        Layer::from(Relu {}),
        Layer::from(MaxPool { window: 3, stride: 2 }),
        Layer::from(GlobalAveragePool {}),
        Layer::from(Dense { units: 3 }),
    ];
    let residual = Template::preset("residual").unwrap().build(67, 0.3, 5).unwrap();
    let plain = Network::chain(23, &plain);
    let networks = [tutorial(32, 0.125, 3), tutorial(67, 0.3, 8), tutorial(224, 1.0, 8), plain.clone(), residual];
    let both = |network: &Network| [training(network, 5, &target), inference(network, 5, &target)];
    let mut plans: Vec<Plan> = networks.iter().flat_map(both).collect();
    plans.push(training(&Network { clip_norm: Some(1.0), ..plain.clone() }, 5, &target));
    for tile in Tile::ALL {
        let variant = variant.with(Convolutions::All(Algorithm::Winograd(tile)));
        let target = Target { variant, ..target.clone() };
        plans.push(training(&tutorial(39, 0.3, 3), 5, &target));
        let variant = Variant { fused_statistics: true, ..target.variant.clone() };
        let fused = Target { variant, ..target };
        plans.push(training(&tutorial(39, 0.3, 3), 5, &fused));
        // So many tiles that runs of their blocks are merged first.
        plans.push(training(&tutorial(224, 1.0, 3), 5, &fused));
    }
    // Sums of so many rows that none is split.
    let direct = Variant { fused_statistics: true, ..variant.with(Convolutions::All(Algorithm::Direct)) };
    plans.push(training(&tutorial(224, 1.0, 3), 5, &Target { variant: direct, ..target.clone() }));
    let half = Target { half_activations: true, ..target.clone() };
    plans.extend([tutorial(67, 0.3, 8), plain].map(|network| training(&network, 5, &half)));
    plans.push(profile::probes(&target, ProbeSizes::of(&Abilities::default())));
    plans.push(probe::loop_limit(&target));
    plans
}

/// Plans of devices that were opened for their matrix units, of every size.
fn plans_with_units() -> Vec<Plan> {
    let target = |size| {
        let matrix_units = Some(MatrixUnits::new(size, MatrixUnits::USUAL_LANES));
        let variant = Variant::all(&Abilities { matrix_units, ..Abilities::default() }).swap_remove(0);
        Target { variant, ..Target::default() }
    };
    let networks = [tutorial(67, 0.7, 8), tutorial(224, 1.0, 8)];
    let of = |size| networks.iter().map(move |network| training(network, 32, &target(size)));
    MATRICES.into_iter().flat_map(of).collect()
}

/// The functions of that name in a formatted file, each up to the brace that closes it: a method may share a step's name.
fn bodies<'a>(file: &'a str, function: &str) -> Vec<&'a str> {
    let body = |(start, _): (usize, &str)| {
        let line = file[..start].rfind('\n').map_or(0, |end| end + 1);
        let indent = &file[line..start][..file[line..start].find(|c| c != ' ').unwrap_or(start - line)];
        let end = file[start..].find(&format!("\n{indent}}}\n")).unwrap_or(file.len() - start);
        &file[start..start + end]
    };
    let bodies: Vec<_> = file.match_indices(&format!("fn {function}(")).map(body).collect();
    assert!(!bodies.is_empty(), "no function {function}");
    bodies
}

#[test]
fn headers_link_to_host_twin_and_test() {
    for shader in shaders() {
        let host = shader.follow("Host");
        if shader.is_library() {
            continue;
        }
        let (_, functions) = shader.link("Host").unwrap();
        let named = format!("kernel!(\"{}\")", shader.path);
        for function in functions {
            let names = bodies(&host, function).iter().any(|body| body.contains(&named));
            assert!(names, "{}: {function} does not name it", shader.path);
        }
        // A step of other operations has no twin of its own, and says so.
        if shader.after("Twins").is_none_or(|text| !text.starts_with("those of ")) {
            shader.follow("Twin");
        }
        let test = shader.follow("Test");
        let (_, functions) = shader.link("Test").unwrap();
        for function in functions {
            assert!(test.contains(&format!("#[test]\nfn {function}(")), "{}: {function} is no test", shader.path);
        }
    }
}

#[test]
fn every_shader_is_used() {
    let mut unused: BTreeSet<String> = shaders().into_iter().map(|shader| shader.path).collect();
    for plan in cores().into_iter().flat_map(plans).chain(plans_with_units()) {
        for file in plan.files().unwrap().iter().flatten() {
            unused.remove(*file);
        }
    }
    assert!(unused.is_empty(), "no plan uses {unused:?}");
}

/// The loader owns such lines: Tint wants them for subgroups, and naga refuses them.
#[test]
fn shaders_enable_nothing() {
    for shader in shaders() {
        let enables = |line: &str| ["enable ", "requires "].iter().any(|word| line.trim_start().starts_with(word));
        assert!(!shader.source.lines().any(enables), "{}", shader.path);
    }
}

/// WebGPU's default limits.
const STORAGE_BUFFERS: usize = 8;
const WORKGROUP_BYTES: u32 = 16 << 10;
const INVOCATIONS: u32 = 256;

/// Words that DXC 1.10 keeps as namespaces of its own and that naga 30.0.1 passes on as they are. Found by compiling a buffer
/// under each of the 9,000 words of small letters in DXC's library; DXC 1.7 accepts both.
const RESERVED: [&str; 2] = ["dx", "std"];

/// Every name that a module declares.
fn declared(module: &naga::Module) -> BTreeSet<&str> {
    let entries = module.entry_points.iter().map(|entry| &entry.function);
    let functions = module.functions.iter().map(|(_, function)| function).chain(entries);
    let within = functions.flat_map(|function| {
        let arguments = function.arguments.iter().filter_map(|argument| argument.name.as_deref());
        let variables = function.local_variables.iter().filter_map(|(_, variable)| variable.name.as_deref());
        let constants = function.named_expressions.values().map(String::as_str);
        function.name.as_deref().into_iter().chain(arguments).chain(variables).chain(constants)
    });
    let members = module.types.iter().flat_map(|(_, kind)| match &kind.inner {
        naga::TypeInner::Struct { members, .. } => &members[..],
        _ => &[],
    });
    let variables = module.global_variables.iter().filter_map(|(_, variable)| variable.name.as_deref());
    let constants = module.constants.iter().filter_map(|(_, constant)| constant.name.as_deref());
    let types = module.types.iter().filter_map(|(_, kind)| kind.name.as_deref());
    let members = members.filter_map(|member| member.name.as_deref());
    within.chain(variables).chain(constants).chain(types).chain(members).collect()
}

/// Validates a step's module as WebGPU without optional features does, but for subgroups, and holds it to the default
/// limits; returns whether it has subgroups.
pub fn check_limits(step: &Step, Module { source, bindings, groups, .. }: &Module) -> bool {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let what = format!("{} ({:?})", step.name, step.kernel);
    let module =
        naga::front::wgsl::parse_str(source).unwrap_or_else(|error| panic!("{what}: {}", error.emit_to_string(source)));
    let units = source.contains("coop_mat");
    let subgroups = source.contains("subgroupBroadcast(") || units;
    let mut capabilities = if subgroups { Capabilities::SUBGROUP } else { Capabilities::empty() };
    if source.contains("fn from_halves(") {
        capabilities |= Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    }
    if units {
        capabilities |= Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX;
    }
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{what}: {}", error.emit_to_string(source)));

    let names = declared(&module);
    assert!(!RESERVED.iter().any(|word| names.contains(word)), "{what}: DXC reserves {RESERVED:?}, of {names:?}");
    let variables = || module.global_variables.iter().map(|(_, variable)| variable);
    let buffers = variables().filter(|variable| matches!(variable.space, naga::AddressSpace::Storage { .. })).count();
    assert!((1..=STORAGE_BUFFERS).contains(&buffers), "{what}: {buffers} storage buffers");
    let textures = bindings.iter().filter(|binding| binding.access == Access::Texels).count();
    assert!(textures <= MOST_TEXTURES, "{what}: {textures} storage textures");
    assert_eq!(buffers + textures, step.bindings.len(), "{what}");
    let workgroup = variables().filter(|variable| variable.space == naga::AddressSpace::WorkGroup);
    let bytes: u32 = workgroup.map(|variable| module.types[variable.ty].inner.size(module.to_ctx())).sum();
    assert!(bytes <= WORKGROUP_BYTES, "{what}: {bytes} bytes of workgroup memory");
    let [entry] = &module.entry_points[..] else { panic!("{what}: one entry point") };
    let threads: u32 = entry.workgroup_size.iter().product();
    assert!((1..=INVOCATIONS).contains(&threads), "{what}: {threads} invocations");
    // What the files say without the host's constants is what the driver is given with them.
    assert_eq!(*groups, step.work.groups(threads.into()), "{what}: of {threads} threads");
    subgroups
}

/// Checks a module, and translates it for every kind of driver.
fn check_module(step: &Step, module: Module, core: Core) -> String {
    let what = format!("{} ({:?}, {core:?})", step.name, step.kernel);
    let subgroups = check_limits(step, &module);
    assert_eq!(subgroups, step.kernel.chosen == Some("lib/gemm_subgroup"), "{what}");
    let source = module.source;
    for language in Language::ALL {
        let translated = translate(&source, language);
        if language == Language::Hlsl5 && subgroups {
            let fault = translated.expect_err("shader model 5 has no subgroups");
            assert!(fault.contains("ubgroup"), "{what}: {fault}");
            continue;
        }
        let text = translated.unwrap_or_else(|fault| panic!("{what}: {language:?}: {fault}"));
        assert!(text.len() > 200, "{what}: {language:?}: {} bytes", text.len());
    }
    source
}

#[test]
fn modules_are_valid_within_the_default_limits() {
    let mut modules = BTreeSet::new();
    for core in cores() {
        for plan in plans(core) {
            for (step, module) in plan.steps.iter().zip(plan.modules().unwrap()) {
                modules.insert(check_module(step, module, core));
            }
        }
    }
    println!("{} modules", modules.len());
    assert!(modules.len() > 100, "{} modules", modules.len());
}

/// There is HLSL for none: Direct3D 12 has no matrix units that wgpu knows.
#[test]
fn modules_for_matrix_units_are_valid_within_the_default_limits() {
    let mut sizes = BTreeSet::new();
    for plan in plans_with_units() {
        for (step, module) in plan.steps.iter().zip(plan.modules().unwrap()) {
            if step.kernel.chosen != Some("lib/gemm_cooperative") {
                continue;
            }
            assert!(check_limits(step, &module), "{step:?}");
            let named = |size: &usize| module.source.contains(&format!("coop_mat{size}x{size}<f32, C>"));
            sizes.extend(MATRICES.into_iter().filter(named));
            for language in [Language::Spirv, Language::Msl] {
                let text = translate(&module.source, language).unwrap_or_else(|fault| panic!("{step:?}: {fault}"));
                assert!(text.len() > 200, "{step:?}, {language:?}: {} bytes", text.len());
            }
            translate(&module.source, Language::Hlsl).expect_err("HLSL");
        }
    }
    assert_eq!(sizes, MATRICES.into());
}

/// The limits are checked: a copy of a core that wants more than there is does not pass.
#[test]
#[should_panic(expected = "bytes of workgroup memory")]
fn a_tile_that_is_too_large_is_found() {
    let core = Core::Workgroup { threads_m: 32, threads_n: 8, prefetch: false };
    let plan = &plans(core)[0];
    // The last one: the first has too few channels to fill a tile.
    let mut steps = plan.steps.iter().zip(plan.modules().unwrap());
    let (step, module) = steps.rfind(|(step, _)| step.kernel.path == "conv2d/forward").unwrap();
    check_module(step, module, core);
}

/// The names are checked: a copy of a kernel with a word of DXC's does not pass.
#[test]
#[should_panic(expected = "DXC reserves")]
fn a_word_of_dxcs_is_found() {
    let core = Core::Workgroup { threads_m: 16, threads_n: 8, prefetch: false };
    let plan = &plans(core)[0];
    let mut steps = plan.steps.iter().zip(plan.modules().unwrap());
    let (step, module) = steps.find(|(step, _)| step.kernel.path == "global_average_pool/backward").unwrap();
    let source = module.source.replace("grad_x", "dx");
    check_module(step, Module { source, ..module }, core);
}
