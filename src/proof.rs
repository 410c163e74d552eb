//! Proof on the user's own device, and the measurements that choose between proved variants.

pub mod doctor;
pub mod profile;
pub mod study;
pub mod tune;
