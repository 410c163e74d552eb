pub mod error;
pub mod ops;
pub mod shape;
