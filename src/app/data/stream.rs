//! Photographs decoded a chunk at a time, ahead of whoever takes them: any number of them in little
//! memory.

use std::ops::Range;
use std::sync::mpsc;
use std::thread::Scope;

use rayon::prelude::*;

use crate::app::data::decode::Images;
use crate::app::data::pixels::Pixels;
use crate::engine::image_size::ImageSize;
use crate::error::{Error, Result};

/// Bytes of pixels in a chunk, unless a single batch has more.
const CHUNK_BYTES: usize = 16 << 20;

/// Photographs that were decoded together.
#[derive(Debug)]
pub struct Chunk {
    /// Positions in the whole list of those that could be decoded, ascending.
    pub positions: Vec<usize>,
    /// Pixels of these.
    pub images: Images,
    /// Positions of the others, and what is wrong with them.
    pub faults: Vec<(usize, Error)>,
    /// Photographs of the list up to here.
    pub end: usize,
}

/// Photographs of `size` per chunk: whole batches, so that only the last batch of
/// all is short.
pub fn per_chunk(size: ImageSize, batch: usize) -> usize {
    (CHUNK_BYTES / size.rgb_bytes() / batch).max(1) * batch
}

/// Decodes `count` photographs on a thread of its own, with the help of all processors: while one
/// chunk is used, the next is decoded. `load` gives the pixels of one, `[height, width, 3]`, by its
/// position.
pub fn chunks<'scope>(
    scope: &'scope Scope<'scope, '_>,
    count: usize,
    size: ImageSize,
    per_chunk: usize,
    load: impl Fn(usize) -> Result<Vec<u8>> + Send + Sync + 'scope,
) -> mpsc::IntoIter<Chunk> {
    // Without a buffer: the thread waits with the next chunk in hand, and does not begin another.
    let (ready, chunks) = mpsc::sync_channel(0);
    scope.spawn(move || {
        for range in ranges(count, per_chunk) {
            if ready.send(Chunk::load(range, size, &load)).is_err() {
                // Nobody takes them any more.
                break;
            }
        }
    });
    chunks.into_iter()
}

/// Chunks of images of which each is needed: the first that cannot be read is an error.
pub fn of_pixels<'scope>(
    scope: &'scope Scope<'scope, '_>,
    images: &'scope dyn Pixels,
    per_chunk: usize,
) -> impl Iterator<Item = Result<Chunk>> + use<'scope> {
    let load = |position: usize| {
        let mut pixels = vec![0; images.size().rgb_bytes()];
        images.read(position, &mut pixels).map(|()| pixels)
    };
    chunks(scope, images.count(), images.size(), per_chunk, load).map(|mut chunk| match chunk.faults.is_empty() {
        true => Ok(chunk),
        false => Err(chunk.faults.swap_remove(0).1),
    })
}

fn ranges(count: usize, per_chunk: usize) -> impl Iterator<Item = Range<usize>> + Send {
    (0..count).step_by(per_chunk).map(move |first| first..count.min(first + per_chunk))
}

impl Chunk {
    fn load(range: Range<usize>, size: ImageSize, load: impl Fn(usize) -> Result<Vec<u8>> + Sync) -> Chunk {
        let (bytes, end) = (size.rgb_bytes(), range.end);
        let mut pixels = vec![0; range.len() * bytes];
        // Collecting keeps the order, so the faults do not depend on the threads.
        let results: Vec<Result<()>> = pixels
            .par_chunks_exact_mut(bytes)
            .zip(range.clone())
            .map(|(target, position)| load(position).map(|pixels| target.copy_from_slice(&pixels)))
            .collect();
        let (mut positions, mut faults) = (Vec::new(), Vec::new());
        for (index, (position, result)) in range.zip(results).enumerate() {
            match result {
                Ok(()) => {
                    pixels.copy_within(index * bytes..(index + 1) * bytes, positions.len() * bytes);
                    positions.push(position);
                }
                Err(fault) => faults.push((position, fault)),
            }
        }
        pixels.truncate(positions.len() * bytes);
        Chunk { images: Images { size, count: positions.len(), pixels }, positions, faults, end }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Two by two pixels that tell the position; every seventh is broken.
    fn load(position: usize) -> Result<Vec<u8>> {
        if position % 7 == 3 {
            Err(Error::Input(format!("{position} is broken")))
        } else {
            Ok(vec![position as u8; 12])
        }
    }

    #[test]
    fn chunks_come_in_order_without_what_is_broken() {
        let chunks: Vec<Chunk> = std::thread::scope(|scope| chunks(scope, 23, 2.into(), 5, load).collect());
        assert_eq!(chunks.len(), 5);
        let mut next = 0;
        for chunk in &chunks {
            assert_eq!((chunk.images.size, chunk.images.count), (2.into(), chunk.positions.len()));
            assert_eq!(chunk.images.pixels.len(), 12 * chunk.positions.len());
            let mut all: Vec<usize> = chunk.faults.iter().map(|(position, _)| *position).collect();
            assert!(all.iter().all(|position| position % 7 == 3));
            assert!(chunk.faults.iter().all(|(position, fault)| fault.to_string() == format!("{position} is broken")));
            for (index, &position) in chunk.positions.iter().enumerate() {
                assert_eq!(chunk.images.image(index), [position as u8; 12]);
                all.push(position);
            }
            all.sort();
            assert_eq!(all, (next..next + all.len()).collect::<Vec<_>>());
            next += all.len();
        }
        assert_eq!(next, 23);
    }

    #[test]
    fn images_in_memory_make_the_same_chunks() {
        let images = Images { size: 2.into(), count: 7, pixels: (0..84).collect() };
        let chunks: Vec<Chunk> = std::thread::scope(|scope| of_pixels(scope, &images, 3).map(Result::unwrap).collect());
        assert_eq!(
            chunks.iter().map(|chunk| chunk.positions.clone()).collect::<Vec<_>>(),
            [vec![0, 1, 2], vec![3, 4, 5], vec![6]]
        );
        assert_eq!(chunks.iter().flat_map(|chunk| chunk.images.pixels.clone()).collect::<Vec<_>>(), images.pixels);
    }

    /// One chunk is in use and one is ready; a third would take more memory the slower the device
    /// is.
    #[test]
    fn no_more_than_two_chunks_are_decoded_ahead() {
        let loaded = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let count = |position| {
                loaded.fetch_add(1, Ordering::SeqCst);
                load(position)
            };
            let mut chunks = chunks(scope, 1000, 2.into(), 5, count);
            assert!(chunks.next().is_some());
            std::thread::sleep(std::time::Duration::from_millis(100));
            assert!(loaded.load(Ordering::SeqCst) <= 10);
        });
        assert!(loaded.load(Ordering::SeqCst) <= 15, "the thread ends with whoever takes the chunks");
    }

    #[test]
    fn chunks_are_whole_batches_of_some_megabytes() {
        assert_eq!(per_chunk(224.into(), 32), 96);
        assert_eq!(per_chunk(32.into(), 7), 5460);
        assert_eq!(per_chunk(4096.into(), 32), 32);
    }
}
