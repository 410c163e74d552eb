//! Signals that ask a run to stop: Ctrl-C, and what schedulers (SIGTERM) and closed terminals
//! (SIGHUP) send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::error::{Error, Result};
use crate::notes::note;

/// Signal of Ctrl-C, on every system.
const SIGINT: i32 = 2;

/// Whether a run was asked to stop while it has something to save.
pub struct Interrupt {
    pub asked: Arc<AtomicBool>,
    /// The first signal that came.
    signal: AtomicI32,
    /// Nothing is left to save.
    over: AtomicBool,
}

impl Interrupt {
    /// The first signal is remembered. A second Ctrl-C ends the program at once; so does any signal
    /// after `over`. Other signals are often sent twice, as by a shell whose terminal was closed,
    /// and do not.
    pub fn watch() -> Result<Arc<Interrupt>> {
        let interrupt =
            Arc::new(Interrupt { asked: Arc::default(), signal: AtomicI32::new(SIGINT), over: AtomicBool::new(false) });
        let shared = Arc::clone(&interrupt);
        on_signal(move |signal| shared.receive(signal))
            .map_err(|error| Error::Input(format!("cannot watch for Ctrl-C: {error}")))?;
        Ok(interrupt)
    }

    fn receive(&self, signal: i32) {
        let first = !self.asked.load(Ordering::Relaxed);
        if first {
            self.signal.store(signal, Ordering::Relaxed);
        }
        self.asked.store(true, Ordering::Relaxed);
        if self.over.load(Ordering::Relaxed) || !first && signal == SIGINT {
            std::process::exit(self.error().exit_status());
        }
        if first {
            note!("\nStopping after this step and saving the state (Ctrl-C again: at once)");
        }
    }

    fn error(&self) -> Error {
        match self.signal.load(Ordering::Relaxed) {
            SIGINT => Error::Interrupted,
            signal => Error::Stopped(signal),
        }
    }

    /// Names the signal in an error that an interruption caused; returns other errors unchanged.
    pub fn named(&self, error: Error) -> Error {
        if let Error::Interrupted = error { self.error() } else { error }
    }

    /// From here on a signal ends the program at once; one that came before does so now.
    pub fn over(&self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        if self.asked.load(Ordering::Relaxed) { Err(self.error()) } else { Ok(()) }
    }
}

/// Calls `receive` with the number of each signal, on a thread of its own.
#[cfg(unix)]
fn on_signal(receive: impl Fn(i32) + Send + 'static) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGTERM};
    use signal_hook::iterator::Signals;

    let others = [SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal));
    let mut signals = Signals::new([SIGINT].into_iter().chain(others))?;
    std::thread::Builder::new().name("signals".into()).spawn(move || signals.forever().for_each(receive))?;
    Ok(())
}

/// Whether the program was started with this signal ignored, as `nohup` starts it.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes the present one, and zeros are a valid one.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Calls `receive` for Ctrl-C and for a console that is closed.
#[cfg(not(unix))]
fn on_signal(receive: impl Fn(i32) + Send + 'static) -> std::result::Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || receive(SIGINT))
}
