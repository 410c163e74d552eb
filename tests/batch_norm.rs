//! Batch norm on the device against the twins.

mod common;

use common::bounds::{DIVISION, SQUARE_ROOT, ULP, sum};
use common::device::{self, Both};
use common::{assert_close, uniform, widen};
use ocellus::ops::batch_norm::{EPSILON, Problem, cpu, gpu};
use ocellus::ops::relu;
use ocellus::plan::{Layout, Plan, Target};

/// Batch, positions, channels, and how many images fit a window: channels below and past the 256 that a workgroup has
/// side by side, rows below and past a block, one row.
const CASES: [(usize, usize, usize, usize); 5] =
    [(1, 1, 1, 1), (5, 1, 3, 2), (2, 143, 5, 1), (5, 91, 33, 2), (3, 100, 260, 2)];

/// Every case, whole and cut into more and fewer blocks, and one whose dispatches fold.
fn for_each_case(check: impl Fn(&Target, Problem, usize)) {
    for (batch, positions, channels, images) in CASES {
        for parallel_groups in [1, 64] {
            let target = Target { parallel_groups, ..device::device().target() };
            check(&target, Problem { batch, positions, channels }, images);
        }
    }
    // 16 blocks of 64 rows; 2,750 vec4s are 11 workgroups.
    check(&device::folding(5), Problem { batch: 2, positions: 500, channels: 11 }, 2);
}

fn shape(p: Problem) -> [usize; 3] {
    [p.batch, p.positions, p.channels]
}

/// Means in -1..1, then variances in 0.1..1.1.
fn made_up_statistics(p: Problem) -> Vec<f32> {
    let numbers = uniform(9, 2 * p.channels);
    let variance = |number: &f32| 0.1 + number.abs();
    [numbers[..p.channels].to_vec(), numbers[p.channels..].iter().map(variance).collect()].concat()
}

fn load_statistics(target: &Target, p: Problem, images: usize) -> Both {
    Both::load(|| {
        let mut plan = device::plan(target.clone(), p.batch, images);
        let x = plan.kept_activation("x", &shape(p));
        let statistics = plan.kept("statistics", &[2, p.channels], Layout::Rows);
        let moving = plan.persistent("moving", &[2, p.channels], Layout::Rows);
        gpu::statistics(&mut plan, "bn", p, x, statistics, moving);
        plan
    })
}

/// Welford's recurrence rounds the mean once a value, to a number no larger than the largest value; `path` is how many
/// values and merges a result goes through. An error e of the running mean shifts each deviation: by Cauchy-Schwarz the
/// variance strays by `2 e * sqrt(variance) + e^2` at most, and by what its own sum rounds (Chan, Golub & LeVeque 1983,
/// Algorithms for computing the sample variance, find the same: the condition number of
/// the problem, not its square).
fn check_statistics(what: &str, both: &mut Both, p: Problem, x: &[f32], path: usize) {
    both.write("x", x);
    let before = made_up_statistics(p);
    both.write("moving", &before);
    both.run();
    let (got, want) = (both.gpu("statistics"), widen(&both.twin("statistics")));
    let largest = |c: usize| x.iter().skip(c).step_by(p.channels).fold(0.0, |most: f64, x| most.max(x.abs().into()));
    let bound = |i: usize| {
        let c = i % p.channels;
        let mean = (sum(path) + 2.0 * DIVISION) * largest(c);
        let variance = want[p.channels + c];
        let variance = (sum(path) + 3.0 * DIVISION) * variance + 2.0 * mean * variance.sqrt() + mean * mean;
        if i < p.channels { mean } else { variance }
    };
    let share = assert_close(&format!("statistics, {what}"), &got, &want, bound);

    // A hundredth of the new value comes in, Bessel-corrected for the variance, and a few roundings.
    let bessel = p.rows() as f64 / (p.rows() as f64 - 1.0).max(1.0);
    assert_close(&format!("moving, {what}"), &both.gpu("moving"), &both.twin("moving"), |i| {
        let rounding = 2.0 * ULP * (f64::from(before[i].abs()) + 0.01 * bessel * want[i].abs());
        0.01 * bessel * bound(i) + rounding
    });
    println!("{what}: worst statistic {share:.3} of its bound");
}

#[test]
fn statistics() {
    for_each_case(|target, p, images| {
        let mut both = load_statistics(target, p, images);
        let x = uniform(1, p.rows() * p.channels);
        check_statistics(&format!("{p:?}, {images} a window"), &mut both, p, &x, p.rows());
    });
}

/// Where the mean is many standard deviations, `E[x^2] - mean^2` loses the variance: at 100 it is off by parts in a
/// thousand, at 1000 by a tenth or more.
#[test]
fn statistics_of_large_offsets() {
    let p = Problem { batch: 3, positions: 128, channels: 5 };
    let mut both = load_statistics(&device::device().target(), p, 2);
    for offset in [100.0, 1000.0] {
        // Numbers with a standard deviation of 1, rounded to f32 before either side sees them.
        let x: Vec<f32> =
            uniform(1, p.rows() * p.channels).iter().map(|number| offset + number * 3.0f32.sqrt()).collect();
        // 6 blocks of 64 rows by 32 lanes: two values, five merges of lanes, six of blocks.
        check_statistics(&format!("offset {offset}"), &mut both, p, &x, 2 + 5 + 6);
    }
}

fn load_normalize(target: &Target, p: Problem, images: usize, relu: bool) -> Both {
    Both::load(|| {
        let mut plan = device::plan(target.clone(), p.batch, images);
        let x = plan.kept_activation("x", &shape(p));
        let statistics = plan.kept("statistics", &[2, p.channels], Layout::Rows);
        let [gamma, beta] = ["gamma", "beta"].map(|name| plan.persistent(name, &[p.channels], Layout::Rows));
        let y = plan.kept_activation("y", &shape(p));
        gpu::normalize(&mut plan, "bn", p, gpu::Normalize { x, statistics, gamma, beta, y, relu });
        plan
    })
}

/// Rounding of `1 / sqrt(variance + EPSILON)`, of which the sum counts half below the root.
const DEVIATION: f64 = 0.25 * ULP + SQUARE_ROOT + DIVISION;

#[test]
fn normalize() {
    for_each_case(|target, p, images| {
        for relu in [false, true] {
            let mut both = load_normalize(target, p, images, relu);
            both.fill(&["x", "gamma", "beta"], uniform);
            both.write("statistics", &made_up_statistics(p));
            both.run();
            let beta = both.twin("beta");
            // Without ReLU, which brings numbers nearer to each other only.
            let [x, statistics, gamma] = ["x", "statistics", "gamma"].map(|name| widen(&both.twin(name)));
            let (mean, variance) = statistics.split_at(p.channels);
            let scaled = cpu::normalize(&p, &x, mean, variance, &gamma, &vec![0.0; p.channels]);
            let what = format!("y {p:?}, {images} a window, ReLU {relu}");
            let share = assert_close(&what, &both.gpu("y"), &both.twin("y"), |i| {
                let (scaled, beta) = (scaled[i].abs(), f64::from(beta[i % p.channels].abs()));
                (DEVIATION + ULP) * scaled + ULP * (scaled + beta)
            });
            println!("{what}: worst error {share:.3} of its bound");
        }
    });
}

/// As in `tests/relu.rs`, for the ReLU in the same pass.
#[test]
fn nan_stays_nan() {
    let p = Problem { batch: 1, positions: 1, channels: 4 };
    let mut both = load_normalize(&device::device().target(), p, 1, true);
    both.fill(&["gamma", "beta"], uniform);
    both.write("x", &[f32::NAN, -f32::NAN, 1.0, -1.0]);
    both.write("statistics", &made_up_statistics(p));
    both.run();
    for y in [both.gpu("y"), both.twin("y")] {
        assert_eq!([true, true, false, false], [y[0].is_nan(), y[1].is_nan(), y[2].is_nan(), y[3].is_nan()], "{y:?}");
    }
}

fn backward_plan(target: Target, p: Problem, images: usize, relu: bool) -> Plan {
    let mut plan = device::plan(target, p.batch, images);
    let [x, y, dy, dx] = ["x", "y", "dy", "dx"].map(|name| plan.kept_activation(name, &shape(p)));
    let statistics = plan.kept("statistics", &[2, p.channels], Layout::Rows);
    let gamma = plan.persistent("gamma", &[p.channels], Layout::Rows);
    let [dgamma, dbeta] = ["dgamma", "dbeta"].map(|name| plan.kept(name, &[p.channels], Layout::Rows));
    gpu::backward(&mut plan, "bn", p, gpu::Backward { x, y, dy, statistics, gamma, dx, dgamma, dbeta, relu });
    plan
}

fn check_backward(target: &Target, p: Problem, images: usize, relu: bool) {
    let mut both = Both::load(|| backward_plan(target.clone(), p, images, relu));
    both.fill(&["x", "y", "dy", "gamma"], uniform);
    both.write("statistics", &made_up_statistics(p));
    both.run();
    let what = format!("{p:?}, {images} a window, ReLU {relu}");

    let [x, y, dy, statistics] = ["x", "y", "dy", "statistics"].map(|name| widen(&both.twin(name)));
    let dy = if relu { relu::cpu::backward(&y, &dy) } else { dy };
    let inverse = |c: usize| 1.0 / (statistics[p.channels + c] + EPSILON).sqrt();
    let xhat = |i: usize| ((x[i] - statistics[i % p.channels]) * inverse(i % p.channels)).abs();
    // Sums of absolute values behind dgamma and dbeta.
    let (mut behind_dgamma, mut behind_dbeta) = (vec![0.0; p.channels], vec![0.0; p.channels]);
    for (i, dy) in dy.iter().enumerate() {
        behind_dgamma[i % p.channels] += dy.abs() * xhat(i);
        behind_dbeta[i % p.channels] += dy.abs();
    }
    // Each product has a factor `x - mean` that is rounded first.
    let dgamma_bound = |c: usize| (sum(p.rows()) + DEVIATION + 1.5 * ULP) * behind_dgamma[c];
    let dbeta_bound = |c: usize| sum(p.rows()) * behind_dbeta[c];
    let [dgamma, dbeta, gamma] = ["dgamma", "dbeta", "gamma"].map(|name| widen(&both.twin(name)));
    assert_close(&format!("dgamma {what}"), &both.gpu("dgamma"), &dgamma, dgamma_bound);
    assert_close(&format!("dbeta {what}"), &both.gpu("dbeta"), &dbeta, dbeta_bound);

    let n = p.rows() as f64;
    let share = assert_close(&format!("dx {what}"), &both.gpu("dx"), &both.twin("dx"), |i| {
        let c = i % p.channels;
        let terms = dy[i].abs() + (dbeta[c].abs() + xhat(i) * dgamma[c].abs()) / n;
        // The deviation is in xhat and in front; beside it a division, three sums, three products, the twin's rounding.
        let rounding = (2.0 * DEVIATION + DIVISION + 3.5 * ULP) * terms;
        (gamma[c] * inverse(c)).abs() * (rounding + (dbeta_bound(c) + xhat(i) * dgamma_bound(c)) / n)
    });
    println!("{what}: worst dx {share:.3} of its bound");
}

#[test]
fn backward() {
    for_each_case(|target, p, images| {
        for relu in [false, true] {
            check_backward(target, p, images, relu);
        }
    });
}
