//! Kernels broken on purpose.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ocellus::engine::plan::Plan;
use serde::Deserialize;

/// One fault in one place.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    pub what: String,
    old: String,
    new: String,
}

/// Every mutant of every shader, by the shaders' paths.
pub fn list() -> BTreeMap<String, Vec<Mutant>> {
    toml::from_str(include_str!("../mutants.toml")).unwrap_or_else(|error| panic!("{error}"))
}

/// Every shader file but the rungs, named as a `Kernel` names it.
pub fn shader_paths() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let folders = std::fs::read_dir(&root).unwrap().map(|folder| folder.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()));
    let path =
        |file: PathBuf| file.strip_prefix(&root).unwrap().with_extension("").to_str().unwrap().replace('\\', "/");
    files.filter(|file| file.is_file()).map(path).collect()
}

impl Mutant {
    pub fn new(old: &str, new: &str) -> Mutant {
        Mutant { what: String::new(), old: old.into(), new: new.into() }
    }

    pub fn called(self, what: String) -> Mutant {
        Mutant { what, ..self }
    }

    /// The broken source.
    pub fn of(&self, source: &str) -> String {
        source.replace(&self.old, &self.new)
    }

    /// Breaks a shader wherever a plan uses it; whether it does.
    pub fn put_into(&self, plan: &mut Plan, path: &str) -> bool {
        let used = plan.files().unwrap().iter().flatten().any(|file| *file == path);
        if used {
            let source = plan.target.shaders.source(path).unwrap();
            assert!(source.contains(&self.old), "{path} has no `{}`", self.old);
            plan.target.shaders = plan.target.shaders.with(path, self.of(source));
        }
        used
    }
}
