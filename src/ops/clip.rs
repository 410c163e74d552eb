//! Gradients scaled down together where their norm is greater than a limit (Pascanu, Mikolov & Bengio 2013; Keras's
//! `global_clipnorm`).

mod bound;
pub mod proof;
pub mod steps;
pub mod twin;
