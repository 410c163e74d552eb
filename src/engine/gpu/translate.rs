//! From WGSL to the languages that drivers take, for other compilers and for curious eyes: what wgpu hands on, by the same
//! translator with the same settings as `compile` asks for without checks.

use clap::ValueEnum;
use naga::back::{hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// A language that shaders are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// As the kernels are written
    Wgsl,
    /// SPIR-V 1.3, for Vulkan
    Spirv,
    /// Metal Shading Language 3.1
    Msl,
    /// HLSL of shader model 6.0, for Microsoft's DXC
    Hlsl,
    /// HLSL of shader model 5.1, for Microsoft's FXC; it has no subgroups
    Hlsl5,
}

impl Language {
    pub const ALL: [Language; 5] = [Language::Wgsl, Language::Spirv, Language::Msl, Language::Hlsl, Language::Hlsl5];

    /// The ending of a file in it.
    pub fn ending(self) -> &'static str {
        match self {
            Language::Wgsl => "wgsl",
            Language::Spirv => "spv",
            Language::Msl => "metal",
            Language::Hlsl | Language::Hlsl5 => "hlsl",
        }
    }
}

/// A module in another language; an error says where it is not valid, or what the language lacks.
pub fn translate(source: &str, language: Language) -> Result<Vec<u8>, String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    // naga has no HLSL for matrix units.
    let units = matches!(language, Language::Wgsl | Language::Spirv | Language::Msl);
    capabilities.set(Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX, units);
    // They came with shader model 6.
    capabilities.set(Capabilities::SUBGROUP, language != Language::Hlsl5);
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .map_err(|error| error.emit_to_string(source))?;
    match language {
        Language::Wgsl => Ok(source.as_bytes().to_vec()),
        Language::Spirv => {
            let words = spv::write_vec(&module, &info, &spirv(), None).map_err(|error| error.to_string())?;
            Ok(words.into_iter().flat_map(u32::to_le_bytes).collect())
        }
        Language::Msl => {
            let written = msl::write_string(&module, &info, &metal(), &msl::PipelineOptions::default());
            written.map(|(text, _)| text.into_bytes()).map_err(|error| error.to_string())
        }
        Language::Hlsl => direct3d(&module, &info, hlsl::ShaderModel::V6_0),
        Language::Hlsl5 => direct3d(&module, &info, hlsl::ShaderModel::V5_1),
    }
}

const UNCHECKED: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Unchecked,
    buffer: BoundsCheckPolicy::Unchecked,
    image_load: BoundsCheckPolicy::Unchecked,
    binding_array: BoundsCheckPolicy::Unchecked,
};

fn spirv() -> spv::Options<'static> {
    spv::Options {
        lang_version: (1, 3),
        flags: spv::WriterFlags::empty(),
        bounds_check_policies: UNCHECKED,
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    }
}

fn metal() -> msl::Options {
    msl::Options {
        lang_version: (3, 1),
        bounds_check_policies: UNCHECKED,
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    }
}

fn direct3d(
    module: &naga::Module,
    info: &naga::valid::ModuleInfo,
    shader_model: hlsl::ShaderModel,
) -> Result<Vec<u8>, String> {
    let options = hlsl::Options {
        shader_model,
        zero_initialize_workgroup_memory: false,
        restrict_indexing: false,
        force_loop_bounding: false,
        ..Default::default()
    };
    let pipeline = hlsl::PipelineOptions::default();
    let mut text = String::new();
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
    written.map(|_| text.into_bytes()).map_err(|error| error.to_string())
}
