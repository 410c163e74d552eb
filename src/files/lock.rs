//! Locks by which one process at a time writes to a folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::notes::note;

/// The file by which a process holds a folder. It stays, unless the folder goes, too.
pub const LOCK: &str = ".lock";

/// The file by which a process holds a folder of tables while it makes some. Apart from `LOCK`: a
/// run may have its data in its own folder.
const PREPARING: &str = ".prepare-lock";

/// Held while one process writes to a folder; let go by its end, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Lets go, and leaves no file behind, for a folder that is given up.
    pub fn remove(self) {
        // One that stays does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Held while one process makes what is missing in a folder; let go by its end, however it ends.
#[derive(Debug)]
pub struct ShortLock {
    _file: File,
    path: PathBuf,
}

/// Waits until no other process makes anything in a folder. Whoever gets the lock has to look at
/// what is there now.
pub fn wait_for_lock(folder: &Path) -> Result<ShortLock> {
    let path = folder.join(PREPARING);
    let file = lock_file(&path)?;
    match file.lock() {
        Err(error) if has_no_locks(&error) => warn_of_no_locks(folder, &error),
        locked => locked.map_err(Error::io(&path))?,
    }
    Ok(ShortLock { _file: file, path })
}

impl ShortLock {
    /// Lets go, and leaves no file behind. A process that has waited for it finds everything made,
    /// or makes it itself.
    pub fn remove(self) {
        // One that stays does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Answer to a question for a lock that is not waited for.
#[derive(Debug)]
pub enum Asked {
    /// Held until the file is closed.
    Taken(File),
    /// Another process has it.
    Held,
    /// The drive has no locks.
    NoLocks,
}

/// Asks for the lock of the file at `path`, which is made if it is not there.
pub fn ask(path: &Path) -> io::Result<Asked> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        // A file that was removed meanwhile locks nothing.
        Ok(()) if is_at(&file, path) => Ok(Asked::Taken(file)),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(Asked::Held),
        Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(Asked::NoLocks),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn lock_file(path: &Path) -> Result<File> {
    File::options().create(true).truncate(false).write(true).open(path).map_err(Error::io(path))
}

/// Locks a folder for this process. `Error::Input` when another one holds it.
pub fn lock(folder: &Path) -> Result<Lock> {
    let path = folder.join(LOCK);
    let file = lock_file(&path)?;
    match file.try_lock() {
        // A file that was removed meanwhile locks nothing.
        Ok(()) if is_at(&file, &path) => {}
        Err(TryLockError::Error(error)) if has_no_locks(&error) => warn_of_no_locks(folder, &error),
        Err(TryLockError::Error(error)) => return Err(Error::io(&path)(error)),
        Ok(()) | Err(TryLockError::WouldBlock) => {
            return Err(Error::Input(format!(
                "{}: another process is writing to this folder; wait for it, or name another folder",
                folder.display()
            )));
        }
    }
    Ok(Lock { _file: file, path })
}

/// Whether an open file is still the one that its path names.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let [open, named] = [file.metadata(), std::fs::metadata(path)];
    matches!((open, named), (Ok(open), Ok(named)) if (open.dev(), open.ino()) == (named.dev(), named.ino()))
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Whether a lock failed because the drive has no locks: on NFS without its lock service, on
/// Lustre, on some FUSE drives.
fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    let listed =
        [libc::ENOLCK, libc::ENOSYS, libc::EOPNOTSUPP, libc::ENOTSUP].map(Some).contains(&error.raw_os_error());
    #[cfg(not(unix))]
    let listed = false;
    listed || error.kind() == io::ErrorKind::Unsupported
}

fn warn_of_no_locks(folder: &Path, error: &io::Error) {
    let folder = folder.display();
    note!("warning: {folder}: no locks here ({error}); let no two programs write to this folder at once");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        let refused = lock(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("another process is writing"), "{refused}");
        drop(held);
        lock(folder.path()).unwrap();
    }
}
