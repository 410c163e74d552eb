//! Peaks of a device, with which `profile` compares every step.

mod bound;
mod halves;
pub mod proof;
pub mod steps;
pub mod twin;

/// Chains of numbers, and how many a vec4 has: what a thread of the arithmetic probe keeps going.
const CHAINS: usize = 3;
