// Count, mean and sum of squared deviations of four channels at once, gathered one value at a time (Welford 1962) and
// merged pairwise (Chan, Golub & LeVeque 1979). Never E[x^2] - mean^2: in f32 that is off by 2e-3 of the variance when
// the mean is a hundred standard deviations.
// Host: ops/batch_norm/steps.rs.

struct Moments {
    count: f32,
    mean: vec4<f32>,
    m2: vec4<f32>,
}

fn include(moments: Moments, value: vec4<f32>) -> Moments {
    let count = moments.count + 1.0;
    let delta = value - moments.mean;
    let mean = moments.mean + delta / count;
    return Moments(count, mean, moments.m2 + delta * (value - mean));
}

// Four values at once: their own mean and deviations first, so that only the merge divides.
fn include_four(moments: Moments, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> Moments {
    let mean = 0.25 * ((a + b) + (c + d));
    let m2 = ((a - mean) * (a - mean) + (b - mean) * (b - mean)) + ((c - mean) * (c - mean) + (d - mean) * (d - mean));
    return merge(moments, Moments(4.0, mean, m2));
}

fn merge(a: Moments, b: Moments) -> Moments {
    let count = a.count + b.count;
    let share = b.count / max(count, 1.0);
    let delta = b.mean - a.mean;
    return Moments(count, a.mean + delta * share, a.m2 + b.m2 + delta * delta * (a.count * share));
}
