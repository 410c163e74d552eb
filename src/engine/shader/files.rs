//! The shader files: those built into the program, and those that stand in for them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use super::Kernel;
use super::reflect::{Reflected, reflect};
use crate::nearest::offer;

/// Every file below `shaders/`, by its path without the ending (build.rs).
const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// Last folder of a kernel that is there to be studied: `gemm/rungs/1_naive`.
const RUNGS: &str = "/rungs/";

/// The shader files that plans are made of. Clones are cheap and share what is known of the files.
#[derive(Clone)]
pub struct Shaders(Arc<Inner>);

struct Inner {
    files: BTreeMap<&'static str, File>,
    reflected: Mutex<HashMap<Kernel, Result<Arc<Reflected>, String>>>,
}

#[derive(Clone, PartialEq)]
struct File {
    source: Cow<'static, str>,
    /// Where it was read; `None` for one that is built in.
    read: Option<PathBuf>,
}

impl Default for Shaders {
    /// The built-in files.
    fn default() -> Shaders {
        static DEFAULT: OnceLock<Shaders> = OnceLock::new();
        let file = |source| File { source: Cow::Borrowed(source), read: None };
        let built_in = || Shaders::of(BUILT_IN.iter().map(|&(name, source)| (name, file(source))).collect());
        DEFAULT.get_or_init(built_in).clone()
    }
}

impl fmt::Debug for Shaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shader files", self.0.files.len())
    }
}

impl PartialEq for Shaders {
    fn eq(&self, other: &Shaders) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.files == other.0.files
    }
}

impl Shaders {
    fn of(files: BTreeMap<&'static str, File>) -> Shaders {
        Shaders(Arc::new(Inner { files, reflected: Mutex::default() }))
    }

    /// Replaces the text of one file. Panics if no file has that name.
    pub fn with(&self, name: &str, source: String) -> Shaders {
        let mut files = self.0.files.clone();
        let file = files.get_mut(name).unwrap_or_else(|| panic!("there is no shader {name}"));
        file.source = Cow::Owned(source);
        Shaders::of(files)
    }

    /// Replaces one file by the text read from a path; `None` if no file has that name.
    pub(super) fn replace(&self, name: &str, source: String, path: PathBuf) -> Option<Shaders> {
        let mut files = self.0.files.clone();
        *files.get_mut(name)? = File { source: Cow::Owned(source), read: Some(path) };
        Some(Shaders::of(files))
    }

    /// Adds a file that no built-in one has the name of, or replaces one that was added.
    pub(super) fn add(&self, name: &str, source: String, path: PathBuf) -> Shaders {
        let mut files = self.0.files.clone();
        // A name for as long as the program runs: there are a handful, read once.
        files.insert(
            Box::leak(name.to_string().into_boxed_str()),
            File { source: Cow::Owned(source), read: Some(path) },
        );
        Shaders::of(files)
    }

    /// The folders of rungs, `gemm/rungs/` for one.
    pub fn ladders(&self) -> BTreeSet<&'static str> {
        self.names().filter_map(|name| name.rfind(RUNGS).map(|at| &name[..at + RUNGS.len()])).collect()
    }

    /// The names of the files that were read from a folder, and a hash of them, as 16 hexadecimal digits.
    pub fn replaced(&self) -> (Vec<&'static str>, String) {
        let read = || self.0.files.iter().filter(|(_, file)| file.read.is_some());
        (read().map(|(name, _)| *name).collect(), hash(read()))
    }

    /// The names of all files, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.files.keys().copied()
    }

    /// Words for after the name of a file that nothing runs: names of those that are `run`. Empty where the file exists.
    pub fn offer<'a>(&self, name: &str, run: impl IntoIterator<Item = &'a str>) -> String {
        if self.source(name).is_ok() { String::new() } else { format!("; {}", offer(name, run)) }
    }

    /// The text of a file.
    ///
    /// # Errors
    /// When no file has that name.
    pub fn source(&self, name: &str) -> Result<&str, String> {
        let file = self.0.files.get(name).ok_or_else(|| format!("there is no shaders/{name}.wgsl"))?;
        Ok(&file.source)
    }

    /// The path by which messages name a file.
    pub fn shown(&self, name: &str) -> String {
        let read = self.0.files.get(name).and_then(|file| file.read.as_ref());
        read.map_or_else(|| format!("shaders/{name}.wgsl"), |path| path.display().to_string())
    }

    /// A hash of all files that training can run, as 16 hexadecimal digits.
    pub fn hash(&self) -> String {
        hash(self.0.files.iter().filter(|(name, _)| !name.contains(RUNGS)))
    }

    /// The libraries between which the head of a file, or of a library that it uses, leaves a choice.
    ///
    /// # Errors
    /// As [`Shaders::files`].
    pub(super) fn choices(&self, name: &str) -> Result<Vec<&'static str>, String> {
        let mut choices = Vec::new();
        for among in self.uses(name)? {
            match among[..] {
                [only] if only != name => choices.extend(self.choices(only)?),
                _ => choices.extend(among),
            }
        }
        Ok(choices)
    }

    /// The libraries that the head of a file names after `Uses:`, each as the files that can be it.
    ///
    /// # Errors
    /// When there is no such file, or the line does not name files: `lib/a.wgsl, lib/b.wgsl or lib/c.wgsl`.
    fn uses(&self, name: &str) -> Result<Vec<Vec<&'static str>>, String> {
        let comment = self.source(name)?.lines().map_while(|line| line.strip_prefix("//")).map(str::trim);
        let head = comment.collect::<Vec<_>>().join(" ");
        let Some((_, rest)) = head.split_once("Uses: ") else { return Ok(Vec::new()) };
        let list = rest.split(". ").next().unwrap_or(rest).trim_end_matches('.');
        let library = |text: &str| {
            let text = text.trim();
            let known = text.strip_suffix(".wgsl").and_then(|name| self.0.files.get_key_value(name));
            known
                .map(|(name, _)| *name)
                .ok_or_else(|| format!("{}: `Uses:` names no library: `{text}`", self.shown(name)))
        };
        list.split(',').map(|libraries| libraries.split(" or ").map(&library).collect()).collect()
    }

    /// The files of a kernel in the order of its module: each library after those that it uses itself, the kernel last.
    ///
    /// # Errors
    /// When a head does not name its libraries, or the kernel does not choose where it has to.
    pub fn files(&self, kernel: Kernel) -> Result<Vec<&'static str>, String> {
        let mut files = Vec::new();
        self.collect(kernel.path, kernel.chosen, &mut Vec::new(), &mut files)?;
        match kernel.chosen.filter(|chosen| !files.contains(chosen)) {
            None => Ok(files),
            Some(unused) => Err(format!("{}: its head leaves no choice of {unused}.wgsl", self.shown(kernel.path))),
        }
    }

    fn collect(
        &self,
        name: &'static str,
        chosen: Option<&'static str>,
        seen: &mut Vec<&'static str>,
        files: &mut Vec<&'static str>,
    ) -> Result<(), String> {
        if seen.contains(&name) {
            return Ok(());
        }
        seen.push(name);
        for among in self.uses(name)? {
            let library = match among[..] {
                [only] => only,
                _ => *among
                    .iter()
                    .find(|library| chosen == Some(library))
                    .ok_or_else(|| format!("{}: none is chosen of {}", self.shown(name), among.join(" and ")))?,
            };
            self.collect(library, chosen, seen, files)?;
        }
        files.push(name);
        Ok(())
    }

    /// The kernel's own account of itself: what it binds, its parameters, the size of its workgroups.
    ///
    /// # Errors
    /// When it is not valid WGSL, by file, line and column.
    pub fn reflect(&self, kernel: Kernel) -> Result<Arc<Reflected>, String> {
        let known = || self.0.reflected.lock().expect("nothing panics while it holds the lock");
        if let Some(found) = known().get(&kernel) {
            return found.clone();
        }
        let found = reflect(self, kernel).map(Arc::new);
        known().insert(kernel, found.clone());
        found
    }

    /// Threads of a kernel's workgroups. Panics where `reflect` has an error.
    pub fn threads(&self, kernel: Kernel) -> usize {
        self.reflect(kernel).unwrap_or_else(|fault| panic!("{fault}")).threads as usize
    }
}

fn hash<'a>(files: impl Iterator<Item = (&'a &'static str, &'a File)>) -> String {
    let mut hash = blake3::Hasher::new();
    for (name, file) in files {
        hash.update(format!("{name}\0{}\0", file.source).as_bytes());
    }
    hash.finalize().to_hex()[..16].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel;

    #[test]
    fn libraries_come_from_the_heads() {
        let shaders = Shaders::default();
        let product = kernel!("winograd/product");
        let files = shaders.files(product.with("lib/gemm")).unwrap();
        assert_eq!(files.last(), Some(&"winograd/product"));
        for library in ["lib/grid", "lib/gemm", "lib/blocks"] {
            assert_eq!(files.iter().filter(|file| **file == library).count(), 1, "{files:?}");
        }
        let at = |name| files.iter().position(|file| *file == name).unwrap();
        assert!(at("lib/grid") < at("lib/gemm"), "a library comes after those it uses: {files:?}");
        assert!(shaders.files(product).unwrap_err().contains("none is chosen of lib/gemm and lib/gemm_subgroup"));
        let unused = shaders.files(kernel!("relu/forward").with("lib/gemm")).unwrap_err();
        assert!(unused.contains("leaves no choice of lib/gemm"), "{unused}");
    }

    #[test]
    fn a_head_that_names_no_library_is_an_error() {
        let broken = |line: &str| {
            let source = format!("// Copies.\n// {line}\n\nconst A: u32 = 1u;\n");
            Shaders::default().with("peak/copy", source).files(kernel!("peak/copy")).unwrap_err()
        };
        let unknown = broken("Uses: lib/grid.wgsl, lib/gird.wgsl.");
        assert_eq!(unknown, "shaders/peak/copy.wgsl: `Uses:` names no library: `lib/gird.wgsl`");
        assert!(broken("Uses: lib/gemm.wgsl or another core.").contains("`another core`"));
    }

    #[test]
    fn files_decide_what_is_equal_and_the_hash() {
        let shaders = Shaders::default();
        assert_eq!(shaders, shaders.with("peak/copy", shaders.source("peak/copy").unwrap().into()));
        let other = shaders.with("peak/copy", "//".into());
        assert_ne!(shaders, other);
        assert_ne!(shaders.hash(), other.hash());
        assert_eq!(shaders.hash().len(), 16);
    }
}
