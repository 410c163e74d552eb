//! Steps of the bias gradient: a reduction over rows.

use super::{Problem, twin};
use crate::engine::bound;
use crate::engine::plan::{Layout, Plan, Step, TensorId, Window};
use crate::engine::shape::padded;
use crate::kernel;
use crate::ops::columns::Blocks;
use crate::ops::shares::{Part, Sum, of_images};
use crate::ops::sum::{self, Parts};

/// `db [channels]` from `dy [batch, positions, channels]`, cut into windows or (after the global
/// pool) whole.
pub fn gradient(plan: &mut Plan, name: &str, p: Problem, dy: TensorId, db: TensorId) {
    if !plan.tensor(dy).windowed {
        let steps = of_windows(plan, name, p, dy, db, &[Window { index: 0, first: 0, images: p.batch }]);
        plan.node(name, steps, move |t| t.set(db, twin::gradient(&p, t.get(dy))), bound::of_sums);
        return;
    }
    let sum = Sum::new(plan, db);
    let mut steps = Vec::new();
    for Part { tensor, windows } in sum.held() {
        steps.extend(of_windows(plan, name, p, dy, tensor, &windows));
    }
    steps.extend(sum.steps(plan, name));
    let twin = sum.twin(move |t, images| {
        let of = Problem { batch: images.len(), ..p };
        twin::gradient(&of, &of_images(t.get(dy), p.batch, &images))
    });
    plan.node(name, steps, twin, bound::of_sums);
    sum.finish(plan, name);
}

/// The sum over some windows.
fn of_windows(plan: &mut Plan, name: &str, p: Problem, dy: TensorId, db: TensorId, windows: &[Window]) -> Vec<Step> {
    let blocks = Blocks::new(plan, kernel!("bias/gradient"), windows, p.positions, p.channels);
    // One block is all there is to sum.
    let partial = match blocks.count() {
        1 => db,
        count => {
            let several = if plan.shares.count == 1 { String::new() } else { format!(" {}", windows[0].index) };
            plan.temporary(&format!("{name}/partial{several}"), &[count, p.channels], Layout::Rows)
        }
    };
    let mut steps: Vec<Step> = windows
        .iter()
        .map(|window| Step {
            name: name.into(),
            kernel: kernel!("bias/gradient"),
            constants: blocks.constants(window),
            bindings: vec![("grad_y", dy.window(window)), ("partial", partial.into())],
            work: blocks.work(window),
            flops: (window.images * p.positions * p.channels) as u64,
        })
        .collect();
    let count = padded(p.channels);
    let parts = Parts { parts: blocks.count(), stride: count, offset: 0, count };
    if blocks.count() > 1 {
        steps.push(sum::merge(plan, name, parts, partial.into(), db.into()));
    }
    steps
}
