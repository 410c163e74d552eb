//! ocellus trains a convolutional image classifier with hand-written WGSL compute kernels.
//!
//! Its rooms, each of which uses only those above it here:

// They panic where nobody can read what they print; `notes` and `cli::output` do not.
#![deny(clippy::print_stderr, clippy::print_stdout)]

// What all of them need.
pub mod error;
pub mod files;
pub mod nearest;
pub mod notes;

// Plans of steps over tensors, and what runs them: a GPU, or the f64 twins.
pub mod engine;

// The operations, a chapter each: problem, steps, twin, proof.
pub mod ops;

// Layers with inputs, and how they become a plan.
pub mod network;

// Kernels against their twins, twins against finite differences; times, and the choice of variants by them.
pub mod proof;

// The program: data, training, files of results, commands.
pub mod app;
