pub mod data;
pub mod error;
pub mod files;
pub mod ops;
pub mod shape;
