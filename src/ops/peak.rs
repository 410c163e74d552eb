//! What a device can do at the most: the measures that `profile` holds every step to.

pub mod cpu;
pub mod gpu;

/// Chains of numbers, and how many a vec4 has: what a thread of the arithmetic probe keeps going.
const CHAINS: usize = 3;
