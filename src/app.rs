//! The program: from photographs and tables to weights, curves and reports.

pub mod bars;

// From photographs to batches.
pub mod data;

// The training loop, and what it leaves behind.
pub mod atlas;
pub mod cam;
pub mod card;
pub mod checkpoint;
pub mod config;
pub mod exchange;
pub mod metrics;
pub mod page;
pub mod plot;
pub mod predict;
pub mod predictions;
pub mod report;
pub mod train;

// Every part against Keras.
pub mod golden;

pub mod cli;
