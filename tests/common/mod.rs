//! What the tests share: the device, the golden files, comparisons that panic.
#![allow(dead_code)] // each test program uses a part of it

pub mod both;
#[cfg(unix)]
pub mod browser;
pub mod device;
pub mod golden;
pub mod mutants;
pub mod pages;
pub mod program;
pub mod small_faults;
pub mod steps;
pub mod training;

use ocellus::proof::doctor::findings::compare;

/// Fails with the worst entry's index unless [`compare`] finds every entry in bounds; returns the worst share.
#[track_caller]
pub fn assert_close<G, W>(what: &str, got: &[G], want: &[W], bound: impl Fn(usize) -> f64) -> f64
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    compare(got, want, bound).unwrap_or_else(|message| panic!("{what}: {message}"))
}
