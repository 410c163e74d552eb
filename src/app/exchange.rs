//! Weights into and out of other programs.

pub mod keras;
pub mod onnx;
pub mod web;
