//! One program for almost all tests: linking wgpu, naga and the rest once takes as long as linking them for one test.
//! Apart from it are what watches its own process: `hostile` (allocations) and `long_run` (resident memory).

mod common;

mod adam;
mod ahead;
mod atlas;
mod augment;
mod batch_norm;
mod bias;
mod callbacks;
mod cam;
mod checkpoint;
mod cli;
mod cli_bad_input;
mod cli_folds;
mod cli_messages;
mod cli_tables;
mod cli_tested;
mod cli_tools;
mod cli_train;
mod clip;
mod config;
mod conv2d;
mod data_augment;
mod data_copies;
mod data_encodings;
mod data_images;
mod data_people;
mod data_split;
mod data_tables;
mod dense;
mod direction;
mod docs;
mod doctor;
mod exchange;
mod faults;
#[cfg(unix)]
mod faults_program;
mod global_average_pool;
mod going_on;
mod golden_faults;
mod golden_full;
mod golden_ops;
mod golden_tiny;
mod guard;
mod halves;
mod image_sizes;
mod jpegs;
mod layers;
mod many;
mod matrix_units;
mod max_pool;
mod metrics;
mod mutants;
mod network;
mod occupancy;
mod peak;
mod photographs;
#[cfg(unix)]
mod places;
mod plan;
mod plot;
mod processes;
mod properties;
mod receipt;
mod relu;
mod report;
mod report_device;
mod shaders;
mod shares;
mod softmax_cross_entropy;
#[cfg(target_os = "linux")]
mod store;
mod store_program;
mod streams;
mod study;
mod sum;
mod synthetic;
mod trainer;
mod training;
mod tune;
mod twins;
#[cfg(unix)]
mod web;
mod winograd;
mod words;
