//! One error type. Every message names the thing at fault and what to do about it.

use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's input is at fault; nothing was started and nothing was written.
    #[error("{0}")]
    Input(String),
    /// No usable adapter, or one that lacks something this run needs.
    #[error("{0}")]
    Device(String),
    /// The device was lost or did not answer while work was under way.
    #[error("{0}")]
    DeviceLost(String),
    /// The numbers stopped being numbers.
    #[error("{0}")]
    NotFinite(String),
    /// A check of the device or of files found faults.
    #[error("{0}")]
    Check(String),
    /// The run was stopped by Ctrl-C after its state was saved.
    #[error("interrupted")]
    Interrupted,
    /// The run was stopped by the signal of this number, after its state was saved.
    #[error("stopped by signal {0}")]
    Stopped(i32),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}

impl Error {
    /// `file:line: message`, the form that editors and terminals make clickable.
    pub fn at(path: &Path, line: u64, message: impl std::fmt::Display) -> Error {
        Error::Input(format!("{}:{line}: {message}", path.display()))
    }

    /// `file:line: column: message`, for one cell of a table.
    pub fn at_column(path: &Path, line: u64, column: &str, message: impl std::fmt::Display) -> Error {
        Error::at(path, line, format!("column `{column}`: {message}"))
    }

    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
        move |source| Error::Io { path: path.to_path_buf(), source }
    }

    /// The exit status of the program: 2 for bad input or no device, 128 and the number of the
    /// signal that stopped it (130 for Ctrl-C), 1 otherwise.
    pub fn exit_status(&self) -> i32 {
        match self {
            Error::Input(_) | Error::Device(_) | Error::Io { .. } => 2,
            Error::Interrupted => 130,
            Error::Stopped(signal) => 128 + signal,
            Error::DeviceLost(_) | Error::NotFinite(_) | Error::Check(_) => 1,
        }
    }
}
