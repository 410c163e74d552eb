//! The training loop and what it tells the user.

pub mod callbacks;
pub mod history;
pub mod progress;
