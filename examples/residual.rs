//! A network with a residual connection, described in TOML, built, and summarised as Keras would. Nothing runs.
//!
//! `cargo run --example residual`

use ocellus::network::Template;

/// `add` takes the outputs of two layers; every other layer here takes that of the layer before it.
const LAYERS: &str = r#"
layer = [
    { type = "conv2d", filters = 16, kernel = 3 },
    { type = "batch_norm" },
    { type = "relu" },
    { type = "conv2d", filters = 16, kernel = 3 },
    { type = "batch_norm" },
    { type = "add", inputs = ["bn2", "relu1"] },
    { type = "relu" },
    { type = "global_average_pool" },
    { type = "dense" },
]
"#;

fn main() {
    let template: Template = toml::from_str(LAYERS).expect("the layers are TOML");
    let network = template.build(64, 1.0, 8).unwrap_or_else(|fault| panic!("layer {:?}: {}", fault.entry, fault.why));
    println!("{}", network.summary());
    println!("relu1 feeds layers {:?}", network.users(ocellus::network::Source::Layer(2)));
}
