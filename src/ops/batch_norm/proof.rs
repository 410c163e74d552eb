//! Cases of batch norm: statistics, the pass that normalises, and backward.

use super::{Backward, BatchNorm, EPSILON, Epilogue, Normalize, Problem, frozen, steps};
use crate::engine::numbers::{uniform, whole};
use crate::engine::plan::{Layout, Plan, Target};
use crate::ops::Example;
use crate::ops::case::{Case, Expect, Inputs, empty_plan, folding, parallel};
use crate::ops::max_pool;

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

/// Channels below and past the 256 that a workgroup has side by side, rows below and past a block, one row, and the two
/// whose variance divides by 1; whole and cut into more and fewer blocks.
fn sizes() -> Vec<Size> {
    let mut sizes = Vec::new();
    for (batch, positions, channels, images) in
        [(1, 1, 1, 1), (2, 1, 33, 2), (5, 1, 3, 2), (2, 143, 5, 1), (5, 91, 33, 2), (3, 100, 260, 2)]
    {
        for groups in [1, 64] {
            sizes.push(Size { p: Problem { batch, positions, channels }, images, groups, limit: None });
        }
    }
    // 16 blocks of 64 rows, or 63 of 16 on a GPU; 2,750 vec4s are 11 workgroups.
    let p = Problem { batch: 2, positions: 500, channels: 11 };
    sizes.push(Size { p, images: 2, groups: 64, limit: Some(10) });
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
    steps::statistics(&mut plan, "bn", size.p, x, statistics, moving);
    plan
}

/// The shape after the epilogue.
fn shape_behind(size: Size, epilogue: Epilogue) -> [usize; 3] {
    let [batch, positions, channels] = size.shape();
    [batch, epilogue.pool.map_or(positions, |pool| pool.rows.output * pool.columns.output), channels]
}

fn normalize(target: &Target, size: Size, epilogue: Epilogue) -> Plan {
    let mut plan = size.plan(target);
    let x = plan.kept_activation("x", &size.shape());
    let statistics = plan.kept("statistics", &[2, size.p.channels], Layout::Rows);
    let [gamma, beta] = ["gamma", "beta"].map(|name| plan.persistent(name, &[size.p.channels], Layout::Rows));
    let y = plan.kept_activation("y", &shape_behind(size, epilogue));
    steps::normalize(&mut plan, "bn", size.p, Normalize { x, statistics, gamma, beta, y, epilogue });
    plan
}

fn backward(target: &Target, size: Size, epilogue: Epilogue) -> Plan {
    let mut plan = size.plan(target);
    let [x, dx] = ["x", "dx"].map(|name| plan.kept_activation(name, &size.shape()));
    let [y, dy] = ["y", "dy"].map(|name| plan.kept_activation(name, &shape_behind(size, epilogue)));
    let statistics = plan.kept("statistics", &[2, size.p.channels], Layout::Rows);
    let gamma = plan.persistent("gamma", &[size.p.channels], Layout::Rows);
    let [dgamma, dbeta] = ["dgamma", "dbeta"].map(|name| plan.kept(name, &[size.p.channels], Layout::Rows));
    let tensors = Backward { x, y, dy, statistics, gamma, dx, dgamma, dbeta, epilogue };
    steps::backward(&mut plan, "bn", size.p, tensors);
    plan
}

/// The pass through moving statistics.
fn frozen(target: &Target, size: Size, epilogue: Epilogue) -> Plan {
    let mut plan = size.plan(target);
    let [x, dx] = ["x", "dx"].map(|name| plan.kept_activation(name, &size.shape()));
    let [y, dy] = ["y", "dy"].map(|name| plan.kept_activation(name, &shape_behind(size, epilogue)));
    let statistics = plan.kept("statistics", &[2, size.p.channels], Layout::Rows);
    let [gamma, zeros] = ["gamma", "zeros"].map(|name| plan.persistent(name, &[size.p.channels], Layout::Rows));
    let tensors = Backward { x, y, dy, statistics, gamma, dx, dgamma: zeros, dbeta: zeros, epilogue };
    frozen::backward(&mut plan, "bn", size.p, tensors);
    plan
}

/// Numbers with a standard deviation of 1 around a mean, rounded to f32 before either side sees them. Where the mean is
/// many standard deviations, `E[x^2] - mean^2` loses the variance: at 1000 it is off by a tenth or more.
fn around(mean: f32) -> impl Fn(u64, usize) -> Vec<f32> {
    move |seed, count| uniform(seed, count).iter().map(|number| mean + number * 3.0f32.sqrt()).collect()
}

fn write_statistics(inputs: &mut Inputs, p: Problem, names: &[&str]) {
    inputs.fill(names, uniform);
    inputs.write("statistics", &made_up_statistics(p));
}

/// Writes inputs with variances of 0.1 to 1.1 times epsilon, which hide no part of epsilon.
fn write_small_variances(inputs: &mut Inputs, p: Problem, names: &[&str]) {
    inputs.fill(names, uniform);
    let mut statistics = made_up_statistics(p);
    statistics[p.channels..].iter_mut().for_each(|variance| *variance *= EPSILON as f32);
    inputs.write("statistics", &statistics);
}

/// All three kernels of one batch norm, of which `images` images fit a window, with reductions cut into about `groups`
/// workgroups.
pub fn all(p: Problem, images: usize, groups: usize) -> Vec<Case> {
    all_of(Size { p, images, groups, limit: None })
}

fn all_of(size: Size) -> Vec<Case> {
    let statistics = Case::new("batch_norm/statistics", size.about(), move |t| statistics(t, size));
    let mut cases = vec![statistics.round("uniform numbers", Expect::Bounded, move |inputs| {
        inputs.fill(&["x"], uniform);
        inputs.write("moving", &made_up_statistics(size.p));
    })];
    for relu in [false, true] {
        cases.extend(passes(size, Epilogue { relu, pool: None }));
    }
    cases.into_iter().map(|case| case.telling_if(size.groups == 64)).collect()
}

/// The passes over every number, with what follows in them.
fn passes(size: Size, epilogue: Epilogue) -> [Case; 2] {
    let pool = epilogue.pool.map_or(String::new(), |pool| {
        let [rows, columns] = [pool.rows, pool.columns];
        format!(", max pool {} x {} of {} x {}", rows.kernel, columns.kernel, rows.input, columns.input)
    });
    let about = format!("{}, ReLU {}{pool}", size.about(), epilogue.relu);
    let normalize = Case::new("batch_norm/normalize", &about, move |t| normalize(t, size, epilogue));
    let backward = Case::new("batch_norm/backward_reduce", &about, move |t| backward(t, size, epilogue));
    [
        normalize
            .round("uniform numbers", Expect::Bounded, move |inputs| {
                write_statistics(inputs, size.p, &["x", "gamma", "beta"]);
            })
            .round("small variances", Expect::Bounded, move |inputs| {
                write_small_variances(inputs, size.p, &["x", "gamma", "beta"]);
            }),
        backward
            .round("uniform numbers", Expect::Bounded, move |inputs| {
                write_statistics(inputs, size.p, &["x", "y", "dy", "gamma"]);
            })
            .round("small variances", Expect::Bounded, move |inputs| {
                write_small_variances(inputs, size.p, &["x", "y", "dy", "gamma"]);
            }),
    ]
}

/// Batch norms with a max pool in their passes: even images, and ones with a row or a column left over.
fn pooled() -> Vec<Case> {
    let sizes =
        [([1, 2, 2, 1], [2, 2], 1), ([5, 7, 9, 3], [2, 2], 2), ([3, 8, 6, 33], [2, 2], 1), ([4, 10, 7, 5], [3, 2], 3)];
    let mut cases = Vec::new();
    for (input @ [batch, height, width, channels], window, images) in sizes {
        let p = Problem { batch, positions: height * width, channels };
        let size = Size { p, images, groups: 64, limit: None };
        let pool = Some(max_pool::Problem::new(input, window, window));
        for relu in [false, true] {
            let [normalize, backward] = passes(size, Epilogue { relu, pool });
            // Whole numbers have many equal maxima; where gamma is 0, everything is equal.
            let backward = backward.round("ties", Expect::Bounded, move |inputs| {
                write_statistics(inputs, p, &["y", "dy", "gamma"]);
                inputs.fill(&["x"], whole);
            });
            let backward = backward.round("gamma 0", Expect::Bounded, move |inputs| {
                write_statistics(inputs, p, &["x", "y", "dy"]);
                inputs.write("gamma", &vec![0.0; channels]);
            });
            cases.extend([normalize, backward].map(|case| case.telling_if(true)));
        }
    }
    cases
}

/// Frozen batch norms: with and without a ReLU, and with a max pool that leaves a row and a column over.
fn frozen_ones() -> Vec<Case> {
    let pool = Some(max_pool::Problem::new([5, 7, 9, 3], [2, 2], [2, 2]));
    let p = |batch, positions, channels| Problem { batch, positions, channels };
    let mut cases = Vec::new();
    for (p, pool, images) in [(p(1, 1, 1), None, 1), (p(5, 91, 33), None, 2), (p(5, 63, 3), pool, 2)] {
        for relu in [false, true] {
            let (size, epilogue) = (Size { p, images, groups: 64, limit: None }, Epilogue { relu, pool });
            let about = format!("{}, frozen, ReLU {relu}, pool {}", size.about(), pool.is_some());
            let case = Case::new("batch_norm/backward_apply", about, move |t| frozen(t, size, epilogue));
            let case = case.round("uniform numbers", Expect::Bounded, move |inputs| {
                write_statistics(inputs, p, &["x", "y", "dy", "gamma"]);
            });
            cases.push(case.round("small variances", Expect::Bounded, move |inputs| {
                write_small_variances(inputs, p, &["x", "y", "dy", "gamma"]);
            }));
        }
    }
    cases
}

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = sizes().into_iter().flat_map(all_of).collect();
    cases.extend(frozen_ones());
    let p = Problem { batch: 3, positions: 128, channels: 5 };
    let offset = Size { p, images: 2, groups: 64, limit: None };
    let case = Case::new("batch_norm/statistics", offset.about(), move |t| statistics(t, offset)).telling_if(true);
    cases.push([100.0, 1000.0].into_iter().fold(case, |case, mean| {
        case.round("a large mean", Expect::Bounded, move |inputs| inputs.fill(&["x"], around(mean)))
    }));
    cases.extend(pooled());
    let one = Size { p: Problem { batch: 1, positions: 1, channels: 4 }, images: 1, groups: 64, limit: None };
    let case =
        Case::new("batch_norm/normalize", "NaN", move |t| normalize(t, one, Epilogue { relu: true, pool: None }))
            .telling_if(true);
    cases.push(case.round("NaN", Expect::SameNan, move |inputs| {
        write_statistics(inputs, one.p, &["gamma", "beta"]);
        inputs.write("x", &[f32::NAN, -f32::NAN, 1.0, -1.0]);
    }));
    cases
}

/// Problems that prove it: one channel, one position, one image.
pub fn examples() -> Vec<Example> {
    let norm = |batch, image| Example::new(BatchNorm {}, batch, &[image]);
    vec![norm(3, [7, 1, 5]), norm(1, [3, 4, 1]), norm(4, [1, 1, 3]), norm(2, [3, 3, 6])]
}
