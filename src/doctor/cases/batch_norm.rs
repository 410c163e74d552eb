//! Cases of batch norm: statistics, the pass that normalises, and backward.

use super::{Case, empty_plan, folding, parallel};
use crate::doctor::numbers::uniform;
use crate::doctor::trial::{Expect, Trial};
use crate::ops::batch_norm::{Problem, gpu};
use crate::plan::{Layout, Plan, Target};

/// One batch norm on a device.
#[derive(Clone, Copy)]
struct Size {
    p: Problem,
    /// How many images of the batch fit a window.
    images: usize,
    /// Reductions are cut into about this many workgroups.
    groups: usize,
    /// The most workgroups along one dimension, where not the device's own.
    limit: Option<u32>,
}

impl Size {
    fn plan(&self, target: &Target) -> Plan {
        let target = parallel(target, self.groups);
        let target = self.limit.map_or(target.clone(), |limit| folding(&target, limit));
        empty_plan(&target, self.p.batch, self.images)
    }

    fn shape(&self) -> [usize; 3] {
        [self.p.batch, self.p.positions, self.p.channels]
    }

    fn about(&self) -> String {
        let folded = if self.limit.is_some() { ", folded" } else { "" };
        format!("{:?}, {} a window, {} groups{folded}", self.shape(), self.images, self.groups)
    }
}

/// Channels below and past the 256 that a workgroup has side by side, rows below and past a block, one row; whole and cut
/// into more and fewer blocks.
fn sizes() -> Vec<Size> {
    let mut sizes = Vec::new();
    for (batch, positions, channels, images) in
        [(1, 1, 1, 1), (5, 1, 3, 2), (2, 143, 5, 1), (5, 91, 33, 2), (3, 100, 260, 2)]
    {
        for groups in [1, 64] {
            sizes.push(Size { p: Problem { batch, positions, channels }, images, groups, limit: None });
        }
    }
    // 16 blocks of 64 rows; 2,750 vec4s are 11 workgroups.
    let p = Problem { batch: 2, positions: 500, channels: 11 };
    sizes.push(Size { p, images: 2, groups: 64, limit: Some(5) });
    sizes
}

/// Means in -1..1, then variances in 0.1..1.1.
fn made_up_statistics(p: Problem) -> Vec<f32> {
    let numbers = uniform(9, 2 * p.channels);
    let variance = |number: &f32| 0.1 + number.abs();
    [numbers[..p.channels].to_vec(), numbers[p.channels..].iter().map(variance).collect()].concat()
}

fn statistics(target: &Target, size: Size) -> Plan {
    let mut plan = size.plan(target);
    let x = plan.kept_activation("x", &size.shape());
    let statistics = plan.kept("statistics", &[2, size.p.channels], Layout::Rows);
    let moving = plan.persistent("moving", &[2, size.p.channels], Layout::Rows);
    gpu::statistics(&mut plan, "bn", size.p, x, statistics, moving);
    plan
}

fn normalize(target: &Target, size: Size, relu: bool) -> Plan {
    let mut plan = size.plan(target);
    let x = plan.kept_activation("x", &size.shape());
    let statistics = plan.kept("statistics", &[2, size.p.channels], Layout::Rows);
    let [gamma, beta] = ["gamma", "beta"].map(|name| plan.persistent(name, &[size.p.channels], Layout::Rows));
    let y = plan.kept_activation("y", &size.shape());
    gpu::normalize(&mut plan, "bn", size.p, gpu::Normalize { x, statistics, gamma, beta, y, relu });
    plan
}

fn backward(target: &Target, size: Size, relu: bool) -> Plan {
    let mut plan = size.plan(target);
    let [x, y, dy, dx] = ["x", "y", "dy", "dx"].map(|name| plan.kept_activation(name, &size.shape()));
    let statistics = plan.kept("statistics", &[2, size.p.channels], Layout::Rows);
    let gamma = plan.persistent("gamma", &[size.p.channels], Layout::Rows);
    let [dgamma, dbeta] = ["dgamma", "dbeta"].map(|name| plan.kept(name, &[size.p.channels], Layout::Rows));
    let tensors = gpu::Backward { x, y, dy, statistics, gamma, dx, dgamma, dbeta, relu };
    gpu::backward(&mut plan, "bn", size.p, tensors);
    plan
}

/// Numbers with a standard deviation of 1 around a mean, rounded to f32 before either side sees them. Where the mean is
/// many standard deviations, `E[x^2] - mean^2` loses the variance: at 1000 it is off by a tenth or more.
fn around(mean: f32) -> impl Fn(u64, usize) -> Vec<f32> {
    move |seed, count| uniform(seed, count).iter().map(|number| mean + number * 3.0f32.sqrt()).collect()
}

fn write_statistics(trial: &mut Trial, p: Problem, inputs: &[&str]) {
    trial.fill(inputs, uniform);
    trial.write("statistics", &made_up_statistics(p));
}

/// All three kernels of one batch norm, of which `images` images fit a window, with reductions cut into about `groups`
/// workgroups.
pub fn all(p: Problem, images: usize, groups: usize) -> Vec<Case> {
    all_of(Size { p, images, groups, limit: None })
}

fn all_of(size: Size) -> Vec<Case> {
    let statistics = Case::new("batch_norm/statistics", size.about(), move |t| statistics(t, size));
    let mut cases = vec![statistics.round("uniform numbers", Expect::Bounded, move |trial| {
        trial.fill(&["x"], uniform);
        trial.write("moving", &made_up_statistics(size.p));
    })];
    for relu in [false, true] {
        let about = format!("{}, ReLU {relu}", size.about());
        let normalize = Case::new("batch_norm/normalize", &about, move |t| normalize(t, size, relu));
        cases.push(normalize.round("uniform numbers", Expect::Bounded, move |trial| {
            write_statistics(trial, size.p, &["x", "gamma", "beta"]);
        }));
        let backward = Case::new("batch_norm/backward_reduce", &about, move |t| backward(t, size, relu));
        cases.push(backward.round("uniform numbers", Expect::Bounded, move |trial| {
            write_statistics(trial, size.p, &["x", "y", "dy", "gamma"]);
        }));
    }
    cases.into_iter().map(|case| case.telling_if(size.groups == 64)).collect()
}

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = sizes().into_iter().flat_map(all_of).collect();
    let p = Problem { batch: 3, positions: 128, channels: 5 };
    let offset = Size { p, images: 2, groups: 64, limit: None };
    let case = Case::new("batch_norm/statistics", offset.about(), move |t| statistics(t, offset)).telling_if(true);
    cases.push([100.0, 1000.0].into_iter().fold(case, |case, mean| {
        case.round("a large mean", Expect::Bounded, move |trial| trial.fill(&["x"], around(mean)))
    }));
    let one = Size { p: Problem { batch: 1, positions: 1, channels: 4 }, images: 1, groups: 64, limit: None };
    let case = Case::new("batch_norm/normalize", "NaN", move |t| normalize(t, one, true)).telling_if(true);
    cases.push(case.round("NaN", Expect::SameNan, move |trial| {
        write_statistics(trial, one.p, &["gamma", "beta"]);
        trial.write("x", &[f32::NAN, -f32::NAN, 1.0, -1.0]);
    }));
    cases
}
