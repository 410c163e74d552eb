//! Adam's step on the device against the twin, and how the guard stops it.

use crate::common::both::Both;
use crate::common::device::{self, prove};
use ocellus::engine::numbers::uniform;
use ocellus::engine::plan::{Layout, Plan, Target};
use ocellus::ops::adam::{Tensors, steps};

#[test]
fn step() {
    prove("adam/step");
}

const MOMENTS: [&str; 3] = ["m", "v", "vhat"];

fn plan(target: Target, shape: &[usize], layout: Layout) -> Plan {
    let mut plan = device::plan(target, 1, 1);
    let gate = plan.kept("gate", &[4], Layout::Packed);
    let gradient = plan.kept("gradient", shape, layout);
    let parameter = plan.persistent("parameter", shape, layout);
    let [m, v, vhat] = MOMENTS.map(|moment| plan.persistent(moment, shape, layout));
    let flags = plan.integers("flags", &[3]);
    steps::step(&mut plan, "adam", steps::Guard { gate, flags, flag: 1 }, Tensors { parameter, gradient, m, v, vhat });
    plan
}

#[test]
fn a_step_that_the_guard_stopped_moves_nothing() {
    const NAMES: [&str; 4] = ["parameter", "m", "v", "vhat"];
    let mut both = Both::load(|| plan(device::device().target(), &[33], Layout::Rows));
    both.fill(&["gradient", "parameter", "m", "v", "vhat"], uniform);
    both.write("gate", &[1.0, 1.0, 0.0, 0.0]);
    let before = NAMES.map(|name| both.twin(name));
    both.run();
    assert_eq!(NAMES.map(|name| both.gpu(name)), before);
    assert_eq!(NAMES.map(|name| both.twin(name)), before);
    both.write("gate", &[1.0, 0.0, 0.0, 0.0]);
    both.run();
    assert_ne!(both.gpu("parameter"), before[0], "the same step without the stop does move them");
}

/// What has such a gradient keeps its numbers, and the flag says so; a whole tensor of usable ones sets none.
#[test]
fn an_unusable_gradient_reaches_nothing() {
    const COUNT: usize = 4 * 300;
    let mut both = Both::load(|| plan(device::device().target(), &[COUNT], Layout::Rows));
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 2f32.powi(64)] {
        let mut gradient = uniform(1, COUNT);
        gradient[COUNT - 2] = value;
        for (numbers, flag) in [(uniform(1, COUNT), 0), (gradient, 1)] {
            both.write("gate", &[1e-3, 0.0, 0.0, 0.0]);
            both.fill(&["parameter", "m"], uniform);
            both.fill(&["v", "vhat"], |_, count| vec![0.5; count]);
            both.write_integers("flags", &[0; 3]);
            both.write("gradient", &numbers);
            let before = both.gpu("parameter");
            both.run();
            let after = both.gpu("parameter");
            assert_eq!(after[COUNT - 2] == before[COUNT - 2], flag == 1, "{value}");
            for name in ["parameter", "m", "v", "vhat"] {
                assert!(
                    both.gpu(name).iter().chain(&both.twin(name)).all(|number| number.is_finite()),
                    "{name}, {value}"
                );
            }
            assert_eq!(both.integers("flags"), [0, flag, 0], "{value}");
        }
    }
}
