//! The folder of a run: one process claims it, and leaves it as it was unless the run begins.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::settings::without_a_run;
use crate::error::{Error, Result};
use crate::files as disk;

/// Where runs go that are given no folder: the first free of runs/1, runs/2, ...
const RUNS: &str = "runs";

/// A folder that this process alone writes to.
pub struct Claim {
    pub folder: PathBuf,
    lock: Option<disk::Lock>,
    /// The folder was made for this run.
    is_new: bool,
    /// Files and folders in it that were made for this run.
    made: Vec<PathBuf>,
    begun: bool,
}

impl Claim {
    /// Claims a fresh run's folder, or a free one where none is named. Another process may have
    /// begun a run there since the settings were read.
    pub fn fresh(named: Option<&Path>) -> Result<Claim> {
        let (folder, is_new) = match named {
            Some(folder) => (folder.to_path_buf(), !folder.exists()),
            None => (free_folder(Path::new(RUNS))?, true),
        };
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let lock = disk::lock(&folder).inspect_err(|_| {
            if is_new {
                // Without effect where another process has put something there.
                let _ = std::fs::remove_dir(&folder);
            }
        })?;
        let claim = Claim { folder, lock: Some(lock), is_new, made: Vec::new(), begun: false };
        without_a_run(&claim.folder)?;
        disk::remove_unfinished(&claim.folder)?;
        Ok(claim)
    }

    /// The run's claim: the one that there is, else a fresh one.
    pub fn of_run<'c>(claim: &'c mut Option<Claim>, named: Option<&Path>) -> Result<&'c mut Claim> {
        match claim {
            Some(claim) => Ok(claim),
            none => Ok(none.insert(Claim::fresh(named)?)),
        }
    }

    /// Claims the folder of a run that goes on.
    pub fn again(folder: &Path) -> Result<Claim> {
        let lock = disk::lock(folder)?;
        disk::remove_unfinished(folder)?;
        Ok(Claim { folder: folder.to_path_buf(), lock: Some(lock), is_new: false, made: Vec::new(), begun: true })
    }

    /// The path of something that is about to be made in the folder.
    pub fn make(&mut self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        self.made.push(path.clone());
        path
    }

    /// The run has a state: from here on everything stays.
    pub fn begun(&mut self) {
        self.begun = true;
    }
}

/// Removes what the run made. A file that cannot be removed does no harm: without a state it is no
/// run.
impl Drop for Claim {
    fn drop(&mut self) {
        if self.begun {
            return;
        }
        let _ = disk::remove_unfinished(&self.folder);
        for path in &self.made {
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
        if let Some(lock) = self.lock.take().filter(|_| self.is_new) {
            lock.remove();
            let _ = std::fs::remove_dir(&self.folder);
        }
    }
}

/// Makes the first folder that is not there. Of two processes that try at once, only one makes it.
fn free_folder(runs: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(runs).map_err(Error::io(runs))?;
    for number in 1.. {
        let folder = runs.join(number.to_string());
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(&folder)(error)),
        }
    }
    unreachable!("numbers go on")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config::TABLES;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_run_that_does_not_begin_leaves_nothing() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("deep/run");
        let mut claim = Claim::fresh(Some(&folder)).unwrap();
        std::fs::write(claim.make("config.toml"), "x").unwrap();
        std::fs::create_dir(claim.make(TABLES)).unwrap();
        std::fs::write(folder.join(TABLES).join("train.csv"), "x").unwrap();
        drop(claim);
        assert!(!folder.exists());

        // What was there before stays.
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("mine"), "x").unwrap();
        let mut claim = Claim::fresh(Some(&folder)).unwrap();
        std::fs::write(claim.make("config.toml"), "x").unwrap();
        drop(claim);
        assert_eq!(names(&folder), [disk::LOCK, "mine"]);

        let mut claim = Claim::fresh(Some(&folder)).unwrap();
        std::fs::write(claim.make("config.toml"), "x").unwrap();
        claim.begun();
        drop(claim);
        assert_eq!(names(&folder), [disk::LOCK, "config.toml", "mine"]);
    }

    #[test]
    fn runs_that_begin_at_once_find_a_free_folder_each() {
        let temporary = tempfile::tempdir().unwrap();
        const THREADS: usize = 8;
        const EACH: usize = 50;
        let many = || (0..EACH).map(|_| free_folder(temporary.path()).unwrap()).collect::<Vec<_>>();
        let mut found: Vec<PathBuf> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(many)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        found.sort();
        found.dedup();
        assert_eq!(found.len(), THREADS * EACH);
    }

    #[test]
    fn a_claimed_folder_is_not_claimed_again() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("run");
        let claim = Claim::fresh(Some(&folder)).unwrap();
        for refused in [Claim::fresh(Some(&folder)), Claim::again(&folder)] {
            assert!(refused.err().unwrap().to_string().contains("another process is writing"));
        }
        drop(claim);
        assert!(Claim::fresh(Some(&folder)).is_ok());
    }
}
