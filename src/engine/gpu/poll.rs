//! Waiting for a device that may be lost. `wgpu::Device::poll` returns time-outs only: when a driver says, while it is
//! waited for, that the device is lost, wgpu panics. Here that is a result like any other.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::time::Duration;

thread_local! {
    /// A panic in here is expected, and nobody wants to read of it.
    static POLLING: Cell<bool> = const { Cell::new(false) };
}

/// A wait for the device ends with an error after this long. A GPU is never given more than half a second of work. A
/// software adapter takes seconds for a step, and compiles its kernels when they first run, which can take minutes on a
/// busy machine.
pub fn patience(software: bool) -> Duration {
    Duration::from_secs(if software { 900 } else { 30 })
}

/// Reason why a poll did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// The device did not answer in time.
    TimedOut,
    /// The driver's words.
    Lost(String),
}

/// Polls, without a panic.
pub fn poll(device: &wgpu::Device, how: wgpu::PollType) -> Result<(), Unfinished> {
    quietly(|| device.poll(how).map(drop)).map_or_else(
        |panic| Err(Unfinished::Lost(panic)),
        |polled| {
            polled.map_err(|error| match error {
                wgpu::PollError::Timeout => Unfinished::TimedOut,
                other => Unfinished::Lost(other.to_string()),
            })
        },
    )
}

/// Whether a device has done everything that was submitted; one that is lost has nothing to do.
pub fn is_idle(device: &wgpu::Device) -> bool {
    match quietly(|| device.poll(wgpu::PollType::Poll)) {
        Ok(Ok(status)) => status.is_queue_empty(),
        _ => true,
    }
}

/// Returns the result of `work`, or the text with which it panicked, which is not printed.
fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !POLLING.get() {
                usual(panic);
            }
        }));
    });
    POLLING.set(true);
    // wgpu holds no lock when it panics, and the device is not used for work any more.
    let done = catch_unwind(AssertUnwindSafe(work));
    POLLING.set(false);
    done.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
        // wgpu's own text has the causes on lines of their own.
        text.unwrap_or("wgpu gave up")
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(": ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_result() {
        assert_eq!(quietly(|| 3), Ok(3));
        assert_eq!(
            quietly(|| -> u32 { panic!("Error in Device::poll:\n  lost\n    {}", "gone") }),
            Err("Error in Device::poll:: lost: gone".into())
        );
        assert_eq!(quietly(|| -> u32 { panic!("plain") }), Err("plain".into()));
        assert!(!POLLING.get());
    }
}
