//! Photographs and their labels: from a folder with a CSV file to batches of pixels.

mod alike; // labels and names that differ only to a program
pub mod augment; // the random map of each sample
pub mod batches; // the order of the samples
mod classes; // the labels of tables
pub mod copies; // photographs that are there twice
pub mod dataset; // the three splits, checked
pub mod decode; // -> pixels
mod encoding; // the text of a table
mod examples; // the photographs of a split
pub mod findings; // faults and warnings
mod folder; // the files that a table names
pub mod folds; // -> folds
pub mod groups; // photographs by another column
pub mod labels; // data.csv -> one label a photograph
pub mod pixels; // images, wherever they are
pub mod prepare; // the two above, on files
pub mod records;
pub mod renaming; // labels of another data set
pub mod resize;
pub mod search; // folders -> photographs
pub mod source; // one photograph: store or file
pub mod split; // -> train, val, test
mod stale; // tables that no longer follow from another
pub mod store; // decoded photographs on disk
pub mod stored; // those of a split
pub mod stream; // pixels, a chunk at a time
pub mod synthetic; // the built-in photographs
pub(super) mod table; // a CSV file

/// The table with a label per photograph, of which the splits are made.
pub(crate) const DATASET: &str = "dataset.csv";
/// The tutorial's table, with a column per disease.
pub(crate) const DATA: &str = "data.csv";

/// Endings of photographs' files, in any case.
pub const ENDINGS: [&str; 8] = ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "tif", "tiff"];

pub use augment::{Ranges, Transform};
pub use dataset::{Dataset, check, check_in, open, open_in};
pub use decode::{Faint, Images, decode};
pub use examples::{Example, Split};
pub use findings::Findings;
pub use folds::{FOLDS, Fold, open_fold, prepare_folds};
pub use pixels::Pixels;
pub use prepare::{ClassTable, Prepared, prepare, prepare_in};
pub use records::Columns;
pub use resize::Resampling;
pub use store::Cache;
