//! Properties that a kernel's file declares, as naga reads them.

use std::collections::BTreeMap;

use naga::{AddressSpace, ArraySize, Expression, Literal, Module, Scalar, StorageAccess, TypeInner, VectorSize};

use super::specialise::{join, located};
use super::{Kernel, Shaders, fault};

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

/// A kernel's account of itself, with the constants that stand in its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reflected {
    /// By their indices.
    pub bindings: Vec<Binding>,
    /// The binding of `var<uniform> parameters`, and the names of its members.
    pub parameters: Option<(u32, Vec<String>)>,
    /// Threads of a workgroup.
    pub threads: u64,
}

/// Reads a kernel with its libraries.
pub fn reflect(shaders: &Shaders, kernel: Kernel) -> Result<Reflected, String> {
    let files = shaders.files(kernel)?;
    let texts = files.iter().map(|name| shaders.source(name)).collect::<Result<Vec<_>, _>>()?;
    let (source, files) = join(shaders, &files, &texts);
    let module = fault::check(&source, &files)?;
    read(&module).map_err(|problem| located(shaders, kernel, &problem))
}

fn read(module: &Module) -> Result<Reflected, String> {
    let (mut bindings, mut parameters) = (Vec::new(), None);
    for (_, variable) in module.global_variables.iter() {
        let Some(resource) = variable.binding else { continue };
        let name = variable.name.clone().unwrap_or_default();
        if resource.group != 0 {
            return Err(format!("{name} is in group {}, and the host binds group 0 alone", resource.group));
        }
        let index = resource.binding;
        match variable.space {
            AddressSpace::Storage { access } => {
                let access = if access.contains(StorageAccess::STORE) { Access::Write } else { Access::Read };
                bindings.push(Binding { name, index, access, vec4: is_vec4s(module, variable.ty) });
            }
            AddressSpace::Uniform => parameters = Some((index, members(module, &name, variable.ty)?)),
            other => return Err(format!("{name} is bound in {other:?}: kernels bind storage and parameters")),
        }
    }
    bindings.sort_by_key(|binding: &Binding| binding.index);
    let [entry] = &module.entry_points[..] else {
        return Err(format!("{} entry points, and there is one in a kernel", module.entry_points.len()));
    };
    if entry.name != "main" {
        return Err(format!("its entry point is {}, not main", entry.name));
    }
    let threads = entry.workgroup_size.iter().map(|&size| u64::from(size)).product();
    Ok(Reflected { bindings, parameters, threads })
}

impl super::Module {
    /// The value of each constant at module scope that is a `u32`.
    ///
    /// # Errors
    /// When it is not valid WGSL, by file, line and column.
    pub fn unsigned_constants(&self) -> Result<BTreeMap<String, u32>, String> {
        let module = fault::check(&self.source, &self.files)?;
        let value = |constant: &naga::Constant| match module.global_expressions[constant.init] {
            Expression::Literal(Literal::U32(value)) => Some((constant.name.clone()?, value)),
            _ => None,
        };
        Ok(module.constants.iter().filter_map(|(_, constant)| value(constant)).collect())
    }
}

fn is_vec4s(module: &Module, ty: naga::Handle<naga::Type>) -> bool {
    let TypeInner::Array { base, size: ArraySize::Dynamic, .. } = module.types[ty].inner else { return false };
    module.types[base].inner == TypeInner::Vector { size: VectorSize::Quad, scalar: Scalar::F32 }
}

/// Names of the members of `struct Parameters`.
fn members(module: &Module, name: &str, ty: naga::Handle<naga::Type>) -> Result<Vec<String>, String> {
    let TypeInner::Struct { members, .. } = &module.types[ty].inner else {
        return Err(format!("{name} is a uniform, and no struct"));
    };
    let unsigned = |ty| module.types[ty].inner == TypeInner::Scalar(Scalar::U32);
    let name = |member: &naga::StructMember| {
        let name = member.name.clone().unwrap_or_default();
        if unsigned(member.ty) { Ok(name) } else { Err(format!("the parameter {name} is no u32")) }
    };
    members.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel;

    const HEAD: &str = "@compute @workgroup_size(4, TWO)\nfn main() {}\nconst TWO: u32 = 2u;\n";

    fn of(source: &str) -> Result<Reflected, String> {
        Shaders::default()
            .with("peak/copy", format!("{source}\n{HEAD}"))
            .reflect(kernel!("peak/copy"))
            .map(|found| (*found).clone())
    }

    #[test]
    fn bindings_and_workgroups_are_what_the_file_says() {
        let found = of("alias Four = vec4<f32>;\n\
            @binding(2) @group(0)\nvar<storage, read_write> y: array<Four>;\n\
            @group(0) @binding(0) var<storage> x: array<f32>;\n\
            var<workgroup> shared_sum: array<f32, 4>;");
        let binding = |name: &str, index, access, vec4| Binding { name: name.into(), index, access, vec4 };
        let bindings = vec![binding("x", 0, Access::Read, false), binding("y", 2, Access::Write, true)];
        assert_eq!(found.unwrap(), Reflected { bindings, parameters: None, threads: 8 });
    }

    #[test]
    fn constants_are_what_their_expressions_come_to() {
        let source = "const A: u32 = 7u;\nconst B: u32 = clamp(100u / A, 1u, 9u);\nconst F: f32 = 1.0;\n\
                      const C: u32 = select(B, array(A, A + 1u)[1], A == 7u);\n@compute @workgroup_size(1) fn main() {}\n";
        let files = vec![("a".to_string(), 0..source.len())];
        let module = crate::engine::shader::Module {
            source: source.into(),
            bindings: vec![],
            parameters: None,
            groups: 1,
            files,
        };
        let found: Vec<_> = module.unsigned_constants().unwrap().into_iter().collect();
        assert_eq!(found, [("A".to_string(), 7), ("B".to_string(), 9), ("C".to_string(), 8)]);
    }

    #[test]
    fn parameters_are_unsigned_members() {
        let declared = |ty: &str| {
            of(&format!("struct P {{ count: u32, first: {ty}, }}\n@group(0) @binding(3) var<uniform> parameters: P;"))
        };
        assert_eq!(declared("u32").unwrap().parameters, Some((3, vec!["count".into(), "first".into()])));
        assert_eq!(declared("f32").unwrap_err(), "shaders/peak/copy.wgsl: the parameter first is no u32");
    }

    #[test]
    fn faults_name_the_file_and_its_own_line() {
        let shaders = Shaders::default();
        let broken = shaders.source("lib/grid").unwrap().replace("groups.x +", "groops.x +");
        let line = 1 + broken.lines().position(|line| line.contains("groops")).unwrap();
        let fault = shaders.with("lib/grid", broken).reflect(kernel!("peak/copy")).unwrap_err();
        assert!(fault.contains(&format!("shaders/lib/grid.wgsl:{line}:22")), "{fault}");
        assert!(fault.contains("no definition in scope") && fault.contains("^^^^^^"), "{fault}");
        let other = of("@group(1) @binding(0) var<storage> x: array<f32>;").unwrap_err();
        assert!(other.contains("x is in group 1"), "{other}");
    }
}
