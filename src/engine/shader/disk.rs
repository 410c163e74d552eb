//! Shader files that are read from a folder and stand in for built-in ones, so that a kernel is changed without a build.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kernel, Reflected, Shaders};
use crate::error::{Error, Result};

/// The folder that shader files were read from; a run records which they were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replaced {
    /// The folder of the files.
    pub folder: PathBuf,
    /// Names of the files below the folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Hash of the files; without it, they are taken as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

impl Replaced {
    /// Reads the folder, and notes what was read.
    ///
    /// # Errors
    /// As [`Shaders::read`]; and when the files are not those of the hash that is noted already.
    pub fn read(&mut self) -> Result<Shaders> {
        let shaders = Shaders::read(&self.folder)?;
        let (files, hash) = shaders.replaced();
        if let Some(before) = self.hash.as_ref().filter(|before| **before != hash) {
            let folder = self.folder.display();
            return Err(Error::Input(format!(
                "{folder}: the run began with shaders of hash {before}; these are {hash}"
            )));
        }
        (self.files, self.hash) = (files.iter().map(|file| format!("{file}.wgsl")).collect(), Some(hash));
        Ok(shaders)
    }
}

impl Shaders {
    /// The built-in files, but for those whose path below the folder has a file there. A rung is added to its ladder.
    ///
    /// # Errors
    /// `Error::Input` for a folder without .wgsl files, for one that replaces nothing, for text that is not valid WGSL, by
    /// file, line and column, and for a kernel whose bindings or parameters are not those of the built-in one.
    pub fn read(folder: &Path) -> Result<Shaders> {
        let mut found = Vec::new();
        collect(folder, &mut found)?;
        found.sort();
        if found.is_empty() {
            return Err(Error::Input(format!("{}: no .wgsl file is below it", folder.display())));
        }
        let mut shaders = Shaders::default();
        for path in found {
            let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
            let fault = |problem: &str| Error::Input(format!("{}: {problem}", path.display()));
            let source = String::from_utf8(bytes).map_err(|_| fault("not UTF-8 text"))?;
            let below = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
            let name = below.to_string_lossy().replace('\\', "/");
            if shaders.source(&name).is_err() && shaders.ladders().iter().any(|ladder| name.starts_with(ladder)) {
                shaders = shaders.add(&name, source, path.clone());
                continue;
            }
            shaders = shaders.replace(&name, source, path.clone()).ok_or_else(|| {
                let end = name.rsplit('/').next();
                let like: Vec<_> = Shaders::default().names().filter(|known| known.rsplit('/').next() == end).collect();
                let like = if like.is_empty() { String::new() } else { format!(" (there is {})", like.join(", ")) };
                fault(&format!("replaces nothing: no shader is called {name}{like}"))
            })?;
        }
        shaders.check().map_err(Error::Input)?;
        Ok(shaders)
    }

    /// Every kernel that has a replaced file is valid, and takes what the built-in one takes.
    fn check(&self) -> std::result::Result<(), String> {
        let (replaced, _) = self.replaced();
        for kernel in self.kernels()? {
            if !self.files(kernel)?.iter().any(|file| replaced.contains(file)) {
                continue;
            }
            let (now, before) = (self.reflect(kernel)?, Shaders::default().reflect(kernel));
            // A rung that was added has no built-in one, and binds what its ladder has.
            let Ok(before) = before else { continue };
            if let Some(difference) = difference(&now, &before) {
                return Err(format!("{}: {difference}", self.shown(kernel.path)));
            }
        }
        Ok(())
    }

    /// Every kernel, with each library that it may take.
    ///
    /// # Errors
    /// As [`Shaders::files`].
    pub fn kernels(&self) -> std::result::Result<Vec<Kernel>, String> {
        let mut kernels = Vec::new();
        for path in self.names().filter(|name| !name.starts_with("lib/")) {
            let choices = self.choices(path)?;
            let plain = Kernel { path, chosen: None };
            kernels.extend(choices.iter().map(|library| plain.with(library)));
            kernels.extend(choices.is_empty().then_some(plain));
        }
        Ok(kernels)
    }
}

/// In what a kernel takes other things than another; the indices of bindings are its own affair.
fn difference(now: &Reflected, before: &Reflected) -> Option<String> {
    for binding in &before.bindings {
        let Some(same) = now.bindings.iter().find(|other| other.name == binding.name) else {
            return Some(format!("the binding {} is missing", binding.name));
        };
        if (same.access, same.vec4) != (binding.access, binding.vec4) {
            return Some(format!("the binding {} has another type or access than the built-in kernel's", binding.name));
        }
    }
    let unknown = |name: &String| !before.bindings.iter().any(|binding| binding.name == *name);
    if let Some(more) = now.bindings.iter().find(|binding| unknown(&binding.name)) {
        return Some(format!("nothing is bound to {}", more.name));
    }
    let names = |kernel: &Reflected| kernel.parameters.as_ref().map_or(Vec::new(), |(_, names)| names.clone());
    let (now, before) = (names(now), names(before));
    let only = |some: &[String], others: &[String]| some.iter().find(|name| !others.contains(name)).cloned();
    only(&before, &now)
        .map(|name| format!("the parameter {name} is missing"))
        .or_else(|| only(&now, &before).map(|name| format!("no value for the parameter {name}")))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "wgsl") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Shaders>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let shaders = Shaders::read(folder.path());
        (folder, shaders)
    }

    fn refused(name: &str, old: &str, new: &str) -> String {
        let (built_in, path) = (Shaders::default(), name.strip_suffix(".wgsl").unwrap());
        let source = built_in.source(path).unwrap();
        assert!(source.contains(old), "{name} has no {old}");
        let (folder, shaders) = read(&[(name, &source.replace(old, new))]);
        let error = shaders.unwrap_err();
        assert_eq!(error.exit_status(), 2);
        error.to_string().replace(folder.path().to_str().unwrap(), "DIR")
    }

    #[test]
    fn the_built_in_kernels_are_valid_as_they_stand() {
        let shaders = Shaders::default();
        let kernels = shaders.kernels().unwrap();
        assert!(kernels.len() > 40, "{} kernels", kernels.len());
        for kernel in kernels {
            shaders.reflect(kernel).unwrap_or_else(|fault| panic!("{kernel:?}: {fault}"));
        }
    }

    #[test]
    fn files_of_a_folder_replace_those_of_their_names() {
        let source = Shaders::default().source("relu/forward").unwrap().replace("256u", "64u");
        let (folder, shaders) = read(&[("relu/forward.wgsl", &source), ("notes.txt", "")]);
        let shaders = shaders.unwrap();
        assert_eq!(shaders.source("relu/forward"), Ok(&source[..]));
        assert_eq!(shaders.threads(crate::kernel!("relu/forward")), 64);
        assert_eq!(shaders.replaced().0, ["relu/forward"]);
        let mut recorded = Replaced { folder: folder.path().into(), ..Replaced::default() };
        assert_eq!(recorded.read().unwrap(), shaders);
        assert_eq!(recorded.files, ["relu/forward.wgsl"]);
        let before = recorded.hash.clone().unwrap();
        recorded.read().unwrap();
        std::fs::write(folder.path().join("relu/forward.wgsl"), source + "\n").unwrap();
        let error = recorded.read().unwrap_err().to_string();
        assert!(error.contains(&before) && error.contains("the run began with"), "{error}");
    }

    #[test]
    fn a_file_that_replaces_nothing_is_refused_by_name() {
        let (_, shaders) = read(&[("conv2d/foward.wgsl", "")]);
        let error = shaders.unwrap_err().to_string();
        assert!(error.contains("foward.wgsl: replaces nothing: no shader is called conv2d/foward"), "{error}");
        let (_, shaders) = read(&[("gemm.wgsl", "")]);
        assert!(shaders.unwrap_err().to_string().ends_with("no shader is called gemm (there is lib/gemm)"));
        assert!(read(&[("a/notes.txt", "")]).1.unwrap_err().to_string().ends_with("no .wgsl file is below it"));
        assert_eq!(Shaders::read(Path::new("/no/such/folder")).unwrap_err().exit_status(), 2);
    }

    #[test]
    fn faults_are_in_the_files_own_lines() {
        let unknown = refused("lib/cells.wgsl", "at.row * WINDOW_HEIGHT", "at.row * WINDOW_HIGH");
        assert!(unknown.contains("DIR/lib/cells.wgsl:30:24") && unknown.contains("^^^^^^^^^^^"), "{unknown}");
        let invalid = refused("conv2d/forward.wgsl", "bias[n4]", "bias[0.5]");
        let built_in = Shaders::default();
        let source = built_in.source("conv2d/forward").unwrap();
        let line = 1 + source.lines().position(|line| line.starts_with("fn start(")).unwrap();
        assert!(invalid.contains(&format!("DIR/conv2d/forward.wgsl:{line}:")), "{invalid}");
    }

    #[test]
    fn kernels_take_what_the_host_gives() {
        let missing = refused("relu/backward.wgsl", "y: array", "z: array").replace("y[", "z[");
        assert!(missing.contains("no definition in scope"), "{missing}");
        let (_, shaders) = read(&[("peak/copy.wgsl", "@compute @workgroup_size(1) fn main() {}")]);
        assert!(shaders.unwrap_err().to_string().ends_with("peak/copy.wgsl: the binding x is missing"));
        let parameter = refused("sum/merge.wgsl", "    count4: u32,", "    count4: u32,\n    more: u32,");
        assert_eq!(parameter, "DIR/sum/merge.wgsl: no value for the parameter more");
        let access = refused("bias/gradient.wgsl", "<storage, read> grad_y", "<storage, read_write> grad_y");
        assert!(access.contains("the binding grad_y has another type or access"), "{access}");
        let library = refused("relu/forward.wgsl", "Uses: lib/", "Uses: libs/");
        assert!(library.contains("DIR/relu/forward.wgsl: `Uses:` names no library"), "{library}");
    }
}
