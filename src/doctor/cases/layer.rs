//! Cases of layers as a whole, forward and backward, made of their own examples: what proves the operations that have no
//! cases beside these.

use super::Case;
use crate::doctor::numbers::{uniform, whole};
use crate::doctor::trial::Expect;
use crate::ops::{Example, examples};
use crate::plan::Lifetime;
use crate::plan::network::Alone;

/// The operations that are proved here, by their names among `Layer::TYPES`.
const LAYERS: [&str; 2] = ["add", "average_pool"];

pub fn cases() -> Vec<Case> {
    let here = |example: &Example| LAYERS.contains(&example.layer.type_name());
    examples().into_iter().filter(here).map(case).collect()
}

/// A layer with two images in a window.
fn case(example: Example) -> Case {
    let about = format!("{} images of {:?}, {:?}", example.batch, example.inputs, example.layer);
    let kernel = Alone::new(&Default::default(), &example, 2).plan.steps[0].kernel.path;
    let make = move |target: &_| Alone::new(target, &example, 2).plan;
    let fill = |make: fn(u64, usize) -> Vec<f32>| {
        move |trial: &mut super::Trial| {
            let plan = trial.plan();
            let given = |name: &str| name == "dy" || name.starts_with('x') && !name.contains('/');
            let inputs = plan.tensors.iter().filter(|t| t.lifetime == Lifetime::Persistent || given(&t.name));
            let names: Vec<String> = inputs.map(|tensor| tensor.name.clone()).collect();
            trial.fill(&names.iter().map(String::as_str).collect::<Vec<_>>(), make);
        }
    };
    Case::new(kernel, about, make)
        .round("uniform numbers", Expect::Bounded, fill(uniform))
        .round("whole numbers", Expect::Bounded, fill(whole))
        .telling_if(true)
}
