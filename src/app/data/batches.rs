//! Which samples make up each batch of an epoch, as Keras's `fit` orders them.

use rand::seq::SliceRandom;

use crate::network::random::{Purpose, stream};

/// The `n / batch` training batches of an epoch, as positions in `0..n`.
///
/// Keras cuts a fresh permutation into `ceil(n / batch)` batches, shuffles these too and runs the first `n / batch`.
/// So when `batch` does not divide `n`, the short batch may be among them; no sample comes twice, some not at all.
///
/// There are no batches when `n < batch`; refusing that with a message is up to the caller.
pub fn train_batches(seed: u64, epoch: u64, n: usize, batch: usize) -> Vec<Vec<u32>> {
    let mut rng = stream(seed, Purpose::TrainOrder, epoch, 0);
    let mut order = positions(n);
    order.shuffle(&mut rng);
    let mut batches: Vec<Vec<u32>> = order.chunks(batch).map(<[u32]>::to_vec).collect();
    batches.shuffle(&mut rng);
    batches.truncate(n / batch);
    batches
}

/// The `n / batch` validation batches of an epoch, all full: the order of the batches is not shuffled, so it is always
/// the short one that is left out. None when `n < batch`, as above.
pub fn validation_batches(seed: u64, epoch: u64, n: usize, batch: usize) -> Vec<Vec<u32>> {
    let mut order = positions(n);
    order.shuffle(&mut stream(seed, Purpose::ValidationOrder, epoch, 0));
    order.chunks_exact(batch).map(<[u32]>::to_vec).collect()
}

fn positions(n: usize) -> Vec<u32> {
    (0..u32::try_from(n).expect("fewer than 2^32 samples")).collect()
}
