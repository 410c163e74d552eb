//! Steps of the optimiser.

use super::{BETA_1, BETA_2, EPSILON, Tensors, Update, bound, twin};
use crate::engine::bound::{Given, Uncertainty};
use crate::engine::plan::arena::{PLACE_VEC4S, Places};
use crate::engine::plan::{Plan, Step, TensorId};
use crate::engine::shader::Work;
use crate::engine::tensor::Values;
use crate::kernel;
use crate::ops::guard::least_unusable;
use crate::ops::guard::twin::unusable;

/// How the guard and an update talk to each other.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// `[4]`: `super::alpha` of the step, then 1 if nothing must change.
    pub gate: TensorId,
    /// Integers, of which number `flag` becomes 1 if the gradient is unusable; with an arena, that number and the
    /// following ones, one for each place.
    pub flags: TensorId,
    pub flag: usize,
}

/// One update, of a parameter (or of this rank's slice of it) or of all that lie in an arena. Where a gradient is unusable,
/// nothing changes (on a device, nothing of its vec4).
pub fn step(plan: &mut Plan, name: &str, Guard { gate, flags, flag }: Guard, t: Tensors) {
    let arena = plan.tensor(t.parameter).is_arena();
    let all = if arena { in_arenas(plan, t) } else { vec![t] };
    let still: Vec<TensorId> =
        plan.held_by(t.parameter).into_iter().filter(|id| all.iter().all(|t| t.parameter != *id)).collect();
    let all: Vec<Update> = all.into_iter().map(|tensors| Update::new(plan, tensors)).collect();
    let Update { parameter, gradient, .. } = Update::new(plan, t);
    let count4 = parameter.numbers.len() / 4;
    let step = Step {
        name: name.into(),
        kernel: kernel!("adam/step"),
        constants: vec![
            ("count4", count4.into()),
            ("first_parameter", (parameter.numbers.start / 4).into()),
            ("first_gradient", (gradient.numbers.start / 4).into()),
            ("ONE_MINUS_BETA_1", (1.0 - BETA_1).into()),
            ("ONE_MINUS_BETA_2", (1.0 - BETA_2).into()),
            ("EPSILON", EPSILON.into()),
            ("flag", flag.into()),
            // A constant, not a parameter: software adapters divide for every thread, not only for those that set a flag.
            ("VEC4S_PER_FLAG", if arena { PLACE_VEC4S } else { u32::MAX as usize }.into()),
            least_unusable(),
        ],
        bindings: vec![
            ("gate", gate.into()),
            ("gradient", t.gradient.into()),
            ("parameter", t.parameter.into()),
            ("m", t.m.into()),
            ("v", t.v.into()),
            ("vhat", t.vhat.into()),
            ("flags", flags.into()),
        ],
        work: Work::threads(count4),
        flops: 12 * 4 * count4 as u64,
    };
    let places = arena.then(|| Places::of(plan, t.gradient));
    let bounded = all.clone();
    let twin = move |values: &mut Values| {
        let &[alpha, stop, ..] = values.get(gate) else { unreachable!("a gate has four numbers") };
        if stop != 0.0 {
            return;
        }
        for Update { of: t, parameter, gradient, moments } in &all {
            let runs = [(t.parameter, parameter), (t.m, &moments[0]), (t.v, &moments[1]), (t.vhat, &moments[2])];
            let [mut w, mut m, mut v, mut vhat] = runs.map(|(id, run)| run.of(values.get(id)));
            twin::step(&mut w, &gradient.of(values.get(t.gradient)), &mut m, &mut v, &mut vhat, alpha);
            for ((id, run), numbers) in runs.into_iter().zip([w, m, v, vhat]) {
                let all = run.put(values.get(id), &numbers);
                values.set(id, all);
            }
        }
        let flagged = match &places {
            Some(places) => places.with(values, unusable),
            None => all.iter().filter(|of| unusable(&of.gradient.of(values.get(of.of.gradient)))).map(|_| 0).collect(),
        };
        for place in flagged {
            values.integers_mut(flags)[flag + place] = 1;
        }
    };
    let bound = move |given: &Given| {
        let unchanged = |id: &TensorId| (*id, vec![Uncertainty::NONE; given.output(*id).len()]);
        let updated = bounded.iter().flat_map(|update| bound::step(given, gate, update));
        still.iter().map(unchanged).chain(updated).collect()
    };
    plan.node(name, vec![step], twin, bound);
}

/// The parameters of an arena that have a gradient, each with its gradient and moments, which lie in the same places of
/// their arenas.
fn in_arenas(plan: &Plan, t: Tensors) -> Vec<Tensors> {
    let each = |gradient: TensorId| {
        let [parameter, m, v, vhat] =
            [t.parameter, t.m, t.v, t.vhat].map(|arena| plan.beside(gradient, arena).expect("arenas of one layout"));
        Tensors { parameter, gradient, m, v, vhat }
    };
    plan.held_by(t.gradient).into_iter().map(each).collect()
}
