//! Files that are either the old ones or the new ones, never half of each; and folders that one
//! process writes to.

pub mod at;
pub mod lock;

use std::fs::File;
use std::io::{self, BufWriter, Cursor, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::{ImageFormat, RgbImage};

use crate::error::{Error, Result};
use crate::notes::note;
pub use lock::{LOCK, Lock, ShortLock, lock, wait_for_lock};

/// Ending of the name of an unfinished file; the name starts with a dot.
const UNFINISHED: &str = ".ocellus-tmp";

/// How often a file is renamed over one that another program holds open, and the time between: three seconds.
const RENAMES: usize = 16;
const PAUSE: Duration = Duration::from_millis(200);

/// Writes a file beside its place, syncs it, and renames it to `path`. Whatever happens meanwhile (an error, a full
/// disk, `kill -9`, a power cut), `path` is the old file or the whole new one.
///
/// `Error::Io` names `path`; the unfinished file is then gone. A file that another program holds open on Windows is tried
/// again for some seconds.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    try_write(path, write).map_err(Error::io(path))
}

/// Writes a picture as a PNG file, atomically.
pub fn write_png(path: &Path, picture: &RgbImage) -> Result<()> {
    let bytes = png(picture);
    write_atomic(path, |file| file.write_all(&bytes))
}

/// A picture as the bytes of a PNG file.
pub fn png(picture: &RgbImage) -> Vec<u8> {
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).expect("a picture in memory can be encoded");
    png.into_inner()
}

fn try_write(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(path);
    let name = path.file_name().ok_or_else(|| io::Error::other("not the name of a file"))?;
    let prefix = format!(".{}.", name.to_string_lossy());
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(UNFINISHED);
    // Without this the renamed file would stay private to its owner, as temporary files are.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));

    let mut file = BufWriter::with_capacity(1 << 20, builder.tempfile_in(folder)?);
    write(&mut file)?;
    let file = file.into_inner().map_err(|e| e.into_error())?;
    file.as_file().sync_all()?;
    replace(file, PAUSE, is_held, |file| file.persist(path).map(drop).map_err(|failed| (failed.error, failed.file)))?;
    sync_folder(folder)
}

/// Puts a rename in the folder on disk: only then is it safe from a power cut. Windows cannot open
/// a folder, and some file systems cannot sync one (EINVAL on vboxsf, old CIFS and some FUSE
/// drives): there the rename has to do.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        synced => synced,
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Renames a file until no other program holds its new place, but no more than `RENAMES` times.
fn replace<F>(
    mut file: F,
    pause: Duration,
    is_held: impl Fn(&io::Error) -> bool,
    mut rename: impl FnMut(F) -> std::result::Result<(), (io::Error, F)>,
) -> io::Result<()> {
    for _ in 1..RENAMES {
        match rename(file) {
            Err((error, unmoved)) if is_held(&error) => file = unmoved,
            done => return done.map_err(|(error, _)| error),
        }
        std::thread::sleep(pause);
    }
    rename(file).map_err(|(error, _)| error)
}

fn is_held(error: &io::Error) -> bool {
    is_held_on(std::env::consts::OS, error)
}

/// Whether another program has a file open that was to be replaced: Windows then denies access, or calls it a violation of
/// sharing or of a lock. Other systems replace open files.
fn is_held_on(system: &str, error: &io::Error) -> bool {
    const ACCESS_DENIED: i32 = 5;
    const SHARING_VIOLATION: i32 = 32;
    const LOCK_VIOLATION: i32 = 33;
    let held = [ACCESS_DENIED, SHARING_VIOLATION, LOCK_VIOLATION].map(Some);
    system == "windows" && held.contains(&error.raw_os_error())
}

/// Makes a warning of it that another program holds a file open which the work can do without.
pub fn warn_if_held(written: Result<()>) -> Result<()> {
    match written {
        Err(Error::Io { path, source }) if is_held(&source) => {
            note!(
                "warning: {}: not written ({source}). Another program, such as a spreadsheet, may have it open: close it \
                 there. The next epoch or --resume writes it whole",
                path.display()
            );
            Ok(())
        }
        written => written,
    }
}

/// The user's folder for what may be deleted at any time: the one that the environment variable `OCELLUS_CACHE` names, else
/// `ocellus` in the system's folder for caches; none where there is neither.
pub fn user_cache() -> Option<PathBuf> {
    let named = std::env::var_os("OCELLUS_CACHE").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(dirs::cache_dir()?.join("ocellus")))
}

/// A folder under way inside `folder`, which `remove_unfinished` removes, too; rename it when it is
/// whole.
pub fn unfinished_folder(folder: &Path, name: &str) -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    let prefix = format!(".{name}.");
    builder.prefix(&prefix).suffix(UNFINISHED);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(folder).map_err(Error::io(folder))
}

/// Removes what a killed process left half-written in `folder`. Only for the owner of the folder, and before it writes.
pub fn remove_unfinished(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(UNFINISHED) {
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

/// Whether a folder refused a new file because it is not the user's to write to, as a mounted
/// archive is.
pub fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Floats as text, bit by bit the same when read back, for `#[serde(with = "exact_float")]`: JSON has no NaN and no
/// infinity, and serde_json's own parsing of numbers may be off by the last bit.
pub mod exact_float {
    use std::fmt::{Debug, Display};
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// The debug form is the shortest text that reads back as the same number.
    pub fn serialize<F: Debug, S: Serializer>(value: &F, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{value:?}"))
    }

    pub fn deserialize<'de, F: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<F, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
    }
}

/// The folder that a path is in; `.` for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaces_the_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomic(&path, |w| w.write_all(b"a long first version")).unwrap();
        write_atomic(&path, |w| w.write_all(b"second")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn an_error_halfway_keeps_the_old_file_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomic(&path, |w| w.write_all(b"old")).unwrap();
        let failed = write_atomic(&path, |w| {
            w.write_all(b"new")?;
            Err(io::Error::other("disk full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), format!("{}: disk full", path.display()));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    /// The number of attempts, and what came of them, where the first ones find the file held.
    fn attempts(held: usize, error: i32, system: &str) -> (usize, io::Result<()>) {
        let mut count = 0;
        let is_held = |error: &io::Error| is_held_on(system, error);
        let done = replace("file", Duration::ZERO, is_held, |file| {
            count += 1;
            if count > held { Ok(()) } else { Err((io::Error::from_raw_os_error(error), file)) }
        });
        (count, done)
    }

    #[test]
    fn a_file_that_another_program_holds_open_is_tried_again() {
        for error in [5, 32, 33] {
            let (count, done) = attempts(3, error, "windows");
            assert_eq!(count, 4);
            done.unwrap();
            let (count, done) = attempts(usize::MAX, error, "windows");
            assert_eq!(count, RENAMES);
            assert_eq!(done.unwrap_err().raw_os_error(), Some(error));
        }
    }

    /// 5 is a faulty disk on Linux, and 112 a full one on Windows.
    #[test]
    fn other_errors_are_not_waited_out() {
        for (error, system) in [(5, "linux"), (112, "windows"), (3, "windows")] {
            let (count, done) = attempts(3, error, system);
            assert_eq!((count, done.unwrap_err().raw_os_error()), (1, Some(error)));
        }
    }

    #[cfg(windows)]
    #[test]
    fn an_open_file_is_replaced_once_it_is_closed() {
        use std::os::windows::fs::OpenOptionsExt;
        const READ: u32 = 1; // others may read, and neither write nor replace
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        std::fs::write(&path, "old").unwrap();
        let hold = || File::options().read(true).share_mode(READ).open(&path).unwrap();

        let held = hold();
        let failed = write_atomic(&path, |file| file.write_all(b"new"));
        assert!(matches!(&failed, Err(Error::Io { source, .. }) if is_held(source)), "{failed:?}");
        warn_if_held(failed).unwrap();
        drop(held);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["history.csv"]);

        let held = hold();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(4 * PAUSE);
                drop(held);
            });
            write_atomic(&path, |file| file.write_all(b"new")).unwrap();
        });
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn removes_only_what_was_left_unfinished() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(unfinished_folder(folder.path(), "data").unwrap().keep().join("1.png"), "x").unwrap();
        for name in ["best.safetensors", ".hidden", ".state.safetensors.x1.ocellus-tmp"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_unfinished(folder.path()).unwrap();
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, [".hidden", "best.safetensors"]);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_it_as_the_umask_says() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (plain, atomic) = (folder.path().join("plain"), folder.path().join("atomic"));
        std::fs::write(&plain, "").unwrap();
        write_atomic(&atomic, |_| Ok(())).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&plain), mode(&atomic));
    }
}
