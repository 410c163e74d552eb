//! Weights into and out of other programs.

#[cfg(feature = "keras")]
pub mod keras;
pub mod onnx;
pub mod web;
#[cfg(any(test, not(feature = "keras")))]
pub mod without_keras;

#[cfg(not(feature = "keras"))]
pub use without_keras as keras;
