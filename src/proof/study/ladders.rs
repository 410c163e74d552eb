//! The ladders: what their rungs bind, and the sizes that prove and time them.

pub mod others;
pub mod products;
