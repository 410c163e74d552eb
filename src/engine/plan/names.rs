//! The names by which the host finds what it writes and reads.

/// `[batch, size, size]` integers: packed pixels, red in the lowest byte.
pub const PIXELS: &str = "pixels";
/// `[batch, height, width, 3]`: the photographs, varied and as 0..1.
pub const INPUT: &str = "input";
/// `[batch, 2, 4]`: the affine map of each image.
pub const MAPS: &str = "maps";
/// `[batch]` integers.
pub const LABELS: &str = "labels";
/// `[classes]`
pub const CLASS_WEIGHT: &str = "class_weight";
/// `[4]`: Adam's alpha of this step, then zeros.
pub const RATE: &str = "rate";
/// `[batch, ..., channels]`: what the global average pool takes in, in plans of inference.
pub const FEATURES: &str = "features";
/// `[batch, classes]`
pub const LOGITS: &str = "logits";
/// `[batch, classes]`
pub const PROBABILITIES: &str = "probabilities";
/// `[4]`: the sum of the samples' losses, the count of correct answers, 0, 0.
pub const METRICS: &str = "metrics";
/// `[4]`: see `ops::receipt`.
pub const RECEIPT: &str = "receipt";

/// Tensors that belong to one batch: the host writes them before each run.
pub const OF_BATCH: [&str; 3] = [PIXELS, MAPS, LABELS];

/// Names that no layer may have: its output would be taken for one of these tensors.
pub const RESERVED: [&str; 10] =
    [PIXELS, INPUT, MAPS, LABELS, CLASS_WEIGHT, RATE, FEATURES, LOGITS, PROBABILITIES, METRICS];

/// `[2, channels]`: moving mean and variance of a batch norm, in one tensor on the device.
pub fn moving(layer: &str) -> String {
    format!("{layer}.moving")
}

/// `[2, channels]`: mean and variance of a batch norm's input over the batch.
pub fn statistics(layer: &str) -> String {
    format!("{layer}/statistics")
}

/// Prefix of the names of tensors that nothing writes, so that they stay zeros.
pub const ZEROS: &str = "zeros/";

/// Adam's moments of a parameter, by the prefixes of the state file.
pub const MOMENTS: [&str; 3] = ["m", "v", "vhat"];

/// Arenas of the small parameters and of their gradients, each in the same place of both, and of what else the guard
/// tests before an update: statistics of the batch, and metrics.
pub const SMALL_PARAMETERS: &str = "arena/parameters";
pub const SMALL_GRADIENTS: &str = "arena/gradients";
pub const WATCHED: &str = "arena/statistics";

/// Arena of a moment of the small parameters.
pub fn small_moments(moment: &str) -> String {
    format!("arena/{moment}")
}

/// Name for messages of a tensor that the guard tests.
pub fn in_words(tensor: &str) -> String {
    match (tensor.strip_prefix("gradient/"), tensor.strip_suffix("/statistics")) {
        _ if tensor == METRICS => "the loss".into(),
        (Some(parameter), _) => format!("the gradient of {parameter}"),
        (_, Some(layer)) => format!("the mean or variance of what {layer} normalises"),
        _ => tensor.into(),
    }
}

pub fn gradient(parameter: &str) -> String {
    format!("gradient/{parameter}")
}
