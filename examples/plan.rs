//! Prints the plan of a training step: every step with its kernel, groups, FLOPs, bytes and bindings. Nothing runs.
//!
//! `cargo run --example plan`

use ocellus::engine::plan::Target;
use ocellus::network::compile::training;
use ocellus::network::{print, tutorial};

fn main() {
    // The tutorial's network at 32 x 32 pixels, an eighth of its channels, four classes.
    let network = tutorial(32, 0.125, 4);
    // WebGPU's default limits; `Engine::target` gives those of a device.
    let plan = training(&network, 8, &Target::default());
    println!("{}", print::to_text(&network, &plan));
}
