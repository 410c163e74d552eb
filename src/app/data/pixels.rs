//! Photographs at the network's size, wherever their pixels are: in memory, in a store, or in their
//! files.

use std::fmt::Debug;

use crate::app::data::decode::Images;
use crate::engine::image_size::ImageSize;
use crate::error::Result;

/// Images of one size that any thread may read in any order.
pub trait Pixels: Debug + Send + Sync {
    /// Of each image.
    fn size(&self) -> ImageSize;

    /// The number of images.
    fn count(&self) -> usize;

    /// Writes the pixels of one image, `[height, width, 3]`, RGB, to `target`, which is as long as they are.
    ///
    /// # Errors
    /// A photograph that can no longer be read, or is another one now; the message names its file.
    fn read(&self, index: usize, target: &mut [u8]) -> Result<()>;
}

impl Pixels for Images {
    fn size(&self) -> ImageSize {
        self.size
    }

    fn count(&self) -> usize {
        self.count
    }

    fn read(&self, index: usize, target: &mut [u8]) -> Result<()> {
        target.copy_from_slice(self.image(index));
        Ok(())
    }
}
