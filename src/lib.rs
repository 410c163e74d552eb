//! ocellus trains a convolutional image classifier with hand-written WGSL compute kernels.
//!
//! The modules in the order in which they are best read:

// They panic where nobody can read what they print; `notes` and `cli::output` do not.
#![deny(clippy::print_stderr, clippy::print_stdout)]

// What to compute, and how: a network becomes a plan.
pub mod image_size;
pub mod network;
pub mod plan;
pub mod shader;
pub mod shape;
pub mod variant;

// The operations: kernels' steps, and their f64 twins.
pub mod ops;

// Where plans run.
pub mod cpu;
pub mod engine;
pub mod gpu;

// From photographs to batches.
pub mod data;

// The training loop, and what it leaves behind.
pub mod cam;
pub mod checkpoint;
pub mod config;
pub mod exchange;
pub mod page;
pub mod plot;
pub mod predict;
pub mod profile;
pub mod report;
pub mod train;
pub mod tune;
pub mod weights;

// Proof on the user's own device.
pub mod doctor;

pub mod cli;

pub mod error;
pub mod files;
pub mod notes;
