//! ocellus trains a convolutional image classifier with hand-written WGSL compute kernels.
//!
//! The modules in the order in which they are best read:

pub mod network;
pub mod shape;

pub mod plan;

pub mod ops;

pub mod cpu;
pub mod engine;
pub mod gpu;

pub mod error;
