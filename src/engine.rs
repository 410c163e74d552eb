//! Plans of steps over tensors, and what runs them. Knows no files of users, no photographs and no command line.

// What to do, and where: worked out before anything runs.
pub mod bound;
pub mod plan;
pub mod receipt;
pub mod shader;
pub mod shape;
pub mod tensor;
pub mod variant;

// Doing it.
pub mod collective;
pub mod cpu;
pub mod gpu;
pub mod run;

pub mod image_size;
pub mod layout;
pub mod numbers;
