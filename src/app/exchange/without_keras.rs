//! Stands for `keras.rs` in a program that is built without the feature `keras`: it knows Keras's files, and refuses them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::app::checkpoint::Tensor;
use crate::error::{Error, Result};
use crate::network::Network;

/// First bytes of an HDF5 file.
const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// Whether the file is HDF5, whatever its name.
pub fn is_hdf5(path: &Path) -> bool {
    let mut start = [0; SIGNATURE.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == SIGNATURE
}

/// Refuses to write.
pub fn write(path: &Path, _: &Network, _: &[Tensor]) -> Result<()> {
    refuse(path)
}

/// Refuses to read.
pub fn read(path: &Path, _: &Network) -> Result<Vec<Tensor>> {
    refuse(path)
}

/// Refuses to read.
pub fn outputs(path: &Path, _: &Network) -> Result<usize> {
    refuse(path)
}

fn refuse<T>(path: &Path) -> Result<T> {
    Err(Error::Input(format!(
        "{}: HDF5 files, which Keras reads and writes, need the feature `keras`, without which this program was built: \
         cargo build --release --features keras",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tutorial;

    #[test]
    fn the_message_names_the_feature() {
        let path = Path::new("tests/golden/keras/tiny.h5");
        let network = tutorial(32, 0.1, 2);
        let refused = [write(path, &network, &[]), read(path, &network).map(drop), outputs(path, &network).map(drop)];
        for refusal in refused {
            let error = refusal.unwrap_err();
            assert_eq!(error.exit_status(), 2);
            assert!(error.to_string().contains("tiny.h5") && error.to_string().contains("--features keras"), "{error}");
        }
    }

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        std::fs::write(&path, b"\x89HDF\r\n\x1a\n and more").unwrap();
        assert!(is_hdf5(&path));
        std::fs::write(&path, b"\x89HDF\r\n\x1a").unwrap();
        assert!(!is_hdf5(&path) && !is_hdf5(folder.path()));
    }
}
