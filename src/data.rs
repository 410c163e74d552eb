//! Photographs and their labels: from a folder with a CSV file to batches of pixels.

pub mod augment; // the random map of each sample
pub mod batches; // the order of the samples
pub mod cache; // decoded photographs of earlier runs
pub mod dataset; // the three splits, checked
pub mod decode; // -> pixels
pub mod labels; // data.csv -> one label a photograph
pub mod prepare; // the two above, on files
pub mod random;
pub mod records;
pub mod resize;
pub mod split; // -> train, val, test
pub mod synthetic; // the built-in photographs
mod table;

pub use augment::{Ranges, Transform};
pub use cache::Cache;
pub use dataset::{Dataset, Example, Split, check, open};
pub use decode::{Images, decode};
pub use prepare::{ClassTable, Prepared, prepare};
pub use records::Columns;
pub use resize::Resampling;
