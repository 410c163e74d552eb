//! Random numbers that depend on what they are for and on nothing else: not on threads, not on what was drawn before.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Purpose of a stream of random numbers. The values are part of what a seed means: never renumber
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Split = 1,
    TrainOrder = 2,
    ValidationOrder = 3,
    Augmentation = 4,
    Weights = 5,
    Bootstrap = 6,
    Folds = 7,
}

/// The stream of one purpose, epoch and item (a sample's index; 0 for a purpose without items). All
/// four numbers become ChaCha's key as they are, so two streams are related only if they are the
/// same.
pub fn stream(seed: u64, purpose: Purpose, epoch: u64, item: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, number) in key.chunks_exact_mut(8).zip([seed, purpose as u64, epoch, item]) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
