//! Cases of softmax cross-entropy.

use super::{Problem, Tensors, steps};
use crate::engine::numbers::uniform;
use crate::engine::plan::{Layout, Plan, Target};
use crate::ops::case::{Case, Expect, Inputs, empty_plan, folding};

const KERNEL: &str = "softmax_cross_entropy/forward";

fn forward(target: &Target, p: Problem) -> Plan {
    smoothed(target, p, 0.0)
}

fn smoothed(target: &Target, p: Problem, smoothing: f32) -> Plan {
    let mut plan = empty_plan(target, p.batch, p.batch);
    let shape = [p.batch, p.classes];
    let tensors = Tensors {
        logits: plan.kept("logits", &shape, Layout::Rows),
        labels: plan.integers("labels", &[p.batch]),
        class_weight: plan.kept("class_weight", &[p.classes], Layout::Rows),
        probabilities: plan.kept("probabilities", &shape, Layout::Rows),
        dlogits: plan.kept("dlogits", &shape, Layout::Rows),
        metrics: plan.kept("metrics", &[4], Layout::Packed),
    };
    steps::forward(&mut plan, "loss", p, tensors, smoothing);
    plan
}

/// Logits in `-range..range`, each class in turn as the label, class weights about 1.
fn write(inputs: &mut Inputs, p: Problem, range: f32) {
    let logits: Vec<f32> = uniform(1, p.batch * p.classes).iter().map(|number| number * range).collect();
    let labels: Vec<u32> = (0..p.batch).map(|sample| (sample * 3 % p.classes) as u32).collect();
    let weights: Vec<f32> = uniform(2, p.classes).iter().map(|number| 1.0 + number / 2.0).collect();
    inputs.write("logits", &logits);
    inputs.write_integers("labels", &labels);
    inputs.write("class_weight", &weights);
}

pub fn cases() -> Vec<Case> {
    let sized = |p: Problem, folded: bool| {
        let about = format!("[{}, {}]{}", p.batch, p.classes, if folded { ", folded" } else { "" });
        let build = move |t: &Target| forward(&if folded { folding(t, 4) } else { t.clone() }, p);
        [1.0, 30.0, 1000.0].into_iter().fold(Case::new(KERNEL, about, build), |case, range| {
            let numbers = if range < 100.0 { "logits" } else { "logits far apart" };
            case.round(numbers, Expect::Bounded, move |inputs| write(inputs, p, range))
        })
    };
    let sizes = [(1, 1), (1, 8), (5, 3), (4, 8), (130, 5), (3, 33)];
    let mut cases: Vec<Case> =
        sizes.into_iter().map(|(batch, classes)| sized(Problem { batch, classes }, false)).collect();
    cases.push(sized(Problem { batch: 700, classes: 3 }, true));

    for (p, smoothing) in [((1, 2), 0.5), ((5, 3), 0.1), ((4, 8), 0.1), ((130, 5), 1.0), ((3, 33), 0.3)] {
        let p = Problem { batch: p.0, classes: p.1 };
        let about = format!("[{}, {}], smoothed by {smoothing}", p.batch, p.classes);
        let case = Case::new(KERNEL, about, move |t| smoothed(t, p, smoothing));
        cases.push(
            [1.0, 30.0]
                .into_iter()
                .fold(case, |case, range| case.round("logits", Expect::Bounded, move |inputs| write(inputs, p, range))),
        );
    }

    // The tutorial's accuracy takes the lowest of equal classes, as NumPy's argmax does.
    let p = Problem { batch: 4, classes: 3 };
    cases.push(Case::new(KERNEL, "equal logits", move |t| forward(t, p)).round("ties", Expect::Bounded, |inputs| {
        inputs.write("logits", &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 2.0, 2.0, 0.0, 2.0, 2.0]);
        inputs.write_integers("labels", &[0, 1, 1, 2]);
        inputs.write("class_weight", &[1.0; 3]);
    }));
    let p = Problem { batch: 3, classes: 3 };
    let nan = Case::new(KERNEL, "NaN", move |t| forward(t, p));
    cases.push((0..9).fold(nan, |case, place| {
        case.round("one logit is NaN", Expect::SameNan, move |inputs| {
            let mut logits = [0.5; 9];
            logits[place] = f32::NAN;
            inputs.write("logits", &logits);
            inputs.write_integers("labels", &[0, 1, 2]);
            inputs.write("class_weight", &[1.0; 3]);
        })
    }));
    cases.into_iter().map(|case| case.telling_if(true)).collect()
}
