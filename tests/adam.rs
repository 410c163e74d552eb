//! Adam's step on the device against the twin.

mod common;

use common::bounds::{DIVISION, SQUARE_ROOT, ULP};
use common::device::{self, Both};
use common::{assert_close, uniform, widen};
use ocellus::ops::adam::{self, BETA_1, BETA_2, EPSILON, gpu};
use ocellus::plan::{Layout, Plan, Target};

const MOMENTS: [&str; 3] = ["m", "v", "vhat"];

fn plan(target: Target, shape: &[usize], layout: Layout) -> Plan {
    let mut plan = device::plan(target, 1, 1);
    let gate = plan.kept("gate", &[4], Layout::Packed);
    let gradient = plan.kept("gradient", shape, layout);
    let parameter = plan.persistent("parameter", shape, layout);
    let [m, v, vhat] = MOMENTS.map(|moment| plan.persistent(moment, shape, layout));
    let flags = plan.integers("flags", &[3]);
    gpu::step(&mut plan, "adam", gpu::Guard { gate, flags, flag: 1 }, gpu::Tensors { parameter, gradient, m, v, vhat });
    plan
}

/// Two steps: from the zeros that the moments start as, and from numbers of every size, where sometimes `v` and
/// sometimes the old `vhat` is the larger.
fn check(target: &Target, shape: &[usize], layout: Layout) {
    let mut both = Both::load(|| plan(target.clone(), shape, layout));
    both.write("gate", &[adam::alpha(1e-3, 1) as f32, 0.0, 0.0, 0.0]);
    both.fill(&["gradient", "parameter"], uniform);
    check_step(&format!("{shape:?}, first step"), &mut both);

    both.write("gate", &[adam::alpha(1e-3, 7) as f32, 0.0, 0.0, 0.0]);
    both.fill(&["gradient", "m"], uniform);
    both.fill(&["v", "vhat"], |seed, count| uniform(seed, count).iter().map(|number| number.powi(4)).collect());
    check_step(&format!("{shape:?}, later step"), &mut both);
}

/// Each bound follows the formula, operation by operation, with the sizes of its intermediate results; `2.0 * ULP`
/// covers the up to four roundings of each moment, those of the constants included.
fn check_step(what: &str, both: &mut Both) {
    let before = |both: &Both, name: &str| widen(&both.twin(name));
    let [g, m, v] = ["gradient", "m", "v"].map(|name| before(both, name));
    let alpha = before(both, "gate")[0];
    both.run();

    let after = |both: &Both, name: &str| widen(&both.twin(name));
    let [parameter, new_m, new_v, vhat] = ["parameter", "m", "v", "vhat"].map(|name| after(both, name));
    let m_bound = |i: usize| 2.0 * ULP * ((1.0 - BETA_1) * (g[i].abs() + m[i].abs()) + new_m[i].abs());
    let v_bound = |i: usize| 2.0 * ULP * ((1.0 - BETA_2) * (g[i] * g[i] + v[i]) + new_v[i]);
    assert_close(&format!("m, {what}"), &both.gpu("m"), &new_m, m_bound);
    assert_close(&format!("v, {what}"), &both.gpu("v"), &new_v, v_bound);
    // The larger of two numbers strays no more than they do.
    assert_close(&format!("vhat, {what}"), &both.gpu("vhat"), &vhat, v_bound);

    let share = assert_close(&format!("parameter, {what}"), &both.gpu("parameter"), &parameter, |i| {
        let root = vhat[i].sqrt() + EPSILON;
        let update = alpha * new_m[i].abs() / root;
        // An error of the radicand counts half below a root.
        let relative = v_bound(i) / (2.0 * vhat[i]) + SQUARE_ROOT + DIVISION + 2.0 * ULP;
        alpha * m_bound(i) / root + update * relative + ULP * parameter[i].abs()
    });
    println!("{what}: worst parameter {share:.3} of its bound");
}

#[test]
fn step() {
    let target = device::device().target();
    check(&target, &[1], Layout::Rows);
    check(&target, &[33], Layout::Rows);
    check(&target, &[3, 3, 3, 5], Layout::Matrix);
    check(&target, &[130, 70], Layout::Matrix);
    // 2,640 vec4s are 11 workgroups.
    check(&device::folding(4), &[24, 440], Layout::Matrix);
}

#[test]
fn a_gradient_of_zero_moves_nothing_at_first() {
    let mut both = Both::load(|| plan(device::device().target(), &[5], Layout::Rows));
    both.write("gate", &[adam::alpha(1e-3, 1) as f32, 0.0, 0.0, 0.0]);
    both.write("gradient", &[0.0; 5]);
    both.write("parameter", &[1.0, -2.0, 3.0, 0.0, 1e-30]);
    both.run();
    assert_eq!(both.gpu("parameter"), [1.0, -2.0, 3.0, 0.0, 1e-30]);
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
            assert_eq!(both.gpu_integers("flags"), [0, flag, 0], "{value}");
            assert_eq!(both.twin_integers("flags"), [0, flag, 0], "{value}");
        }
    }
}
