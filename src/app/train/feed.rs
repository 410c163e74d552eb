//! Batches on their way to the device: pixels, maps, labels. They are put together on a thread of their own, ahead of the
//! device, and handed over while it works on the batch before.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc;
use std::thread::Scope;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::app::data::augment::{Ranges, Transform, draw};
use crate::app::data::pixels::Pixels;
use crate::engine::plan::names;
use crate::engine::run::Engine;
use crate::error::Result;

/// Batches that wait, put together, for the loop to take them.
const READY: usize = 2;
/// Runs started ahead of the one whose metrics are read: the device always has a next step to go on with.
const AHEAD: usize = 1;
/// A run that the loop has to wait for no longer than this may have been over before the loop came to it, where the
/// device cannot be asked.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Images with their labels.
#[derive(Debug)]
pub struct Labelled {
    pub images: Box<dyn Pixels>,
    pub labels: Vec<u32>,
}

/// How a batch's images are varied.
#[derive(Clone, Copy, Debug)]
pub enum Variation<'a> {
    /// As they are.
    None,
    /// All in one way.
    Fixed(Transform),
    /// At random, each by its own stream of (seed, epoch, sample): what a thread does when changes nothing.
    Random { ranges: &'a Ranges, seed: u64, epoch: u64 },
}

/// One batch as the device takes it.
#[derive(Debug)]
pub struct Batch {
    /// Which images these are.
    pub indices: Vec<u32>,
    /// A pixel each, of the images that were read: red in the lowest byte, then green and blue.
    pub pixels: Vec<u32>,
    /// Two rows of four for each image that was read: from an output position to the position that it shows.
    pub maps: Vec<f32>,
    pub labels: Vec<u32>,
}

/// A batch that is to be put together.
#[derive(Clone, Debug)]
pub struct Wanted<'v> {
    pub indices: Vec<u32>,
    /// The images that are read, by their places in the batch: other processes read the others.
    pub read: Range<usize>,
    pub variation: Variation<'v>,
}

impl<'v> Wanted<'v> {
    /// A batch of which this process reads all images.
    pub fn whole(indices: Vec<u32>, variation: Variation<'v>) -> Wanted<'v> {
        Wanted { read: 0..indices.len(), indices, variation }
    }
}

impl Batch {
    /// The images with these indices, all of class 0. Several threads put them together; how many makes no difference.
    ///
    /// # Errors
    /// The first of the images that cannot be read.
    pub fn of(images: &dyn Pixels, indices: &[u32], variation: Variation) -> Result<Batch> {
        let size = images.size();
        let (mut pixels, mut maps) = (vec![0; indices.len() * size.pixels()], vec![0.0; indices.len() * 8]);
        let image = |rgb: &mut Vec<u8>, ((pixels, maps), &index): ((&mut [u32], &mut [f32]), &u32)| {
            images.read(index as usize, rgb)?;
            for (pixel, &[red, green, blue]) in pixels.iter_mut().zip(rgb.as_chunks::<3>().0) {
                *pixel = u32::from_le_bytes([red, green, blue, 0]);
            }
            let transform = match variation {
                Variation::None => Transform::default(),
                Variation::Fixed(transform) => transform,
                Variation::Random { ranges, seed, epoch } => draw(ranges, seed, epoch, u64::from(index), size),
            };
            let [a, b, c, d, e, f] = transform.matrix(size).map(|factor| factor as f32);
            maps.copy_from_slice(&[a, b, c, 0.0, d, e, f, 0.0]);
            Ok(())
        };
        let places = pixels.par_chunks_exact_mut(size.pixels()).zip(maps.par_chunks_exact_mut(8)).zip(indices);
        // All are collected, so that the error does not depend on the threads.
        let read: Vec<Result<()>> = places.map_init(|| vec![0; size.rgb_bytes()], image).collect();
        read.into_iter().collect::<Result<()>>()?;
        Ok(Batch { indices: indices.to_vec(), pixels, maps, labels: vec![0; indices.len()] })
    }

    /// Writes it to a plan of its size.
    pub fn write(&self, engine: &mut Engine, program: usize) {
        engine.write_integers(program, names::PIXELS, &self.pixels);
        engine.write(program, names::MAPS, &self.maps);
        engine.write_integers(program, names::LABELS, &self.labels);
    }
}

impl Labelled {
    pub fn new(images: impl Pixels + 'static, labels: Vec<u32>) -> Labelled {
        Labelled { images: Box::new(images), labels }
    }

    /// A batch of all these images.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub fn batch(&self, indices: &[u32], variation: Variation) -> Result<Batch> {
        self.put_together(Wanted::whole(indices.to_vec(), variation))
    }

    /// Errors: an image that cannot be read.
    fn put_together(&self, Wanted { indices, read, variation }: Wanted) -> Result<Batch> {
        let labels = indices.iter().map(|&index| self.labels[index as usize]).collect();
        let Batch { pixels, maps, .. } = Batch::of(&*self.images, &indices[read], variation)?;
        Ok(Batch { indices, pixels, maps, labels })
    }

    /// Puts the batches of `order` together on a thread of its own, a few ahead of whoever takes them. An image that
    /// cannot be read ends them.
    pub fn batches<'scope, 'env: 'scope, 'v: 'scope>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        order: impl Iterator<Item = Wanted<'v>> + Send + 'scope,
    ) -> mpsc::IntoIter<Result<Batch>> {
        let (ready, batches) = mpsc::sync_channel(READY);
        scope.spawn(move || {
            for wanted in order {
                let batch = self.put_together(wanted);
                let is_last = batch.is_err();
                // Nobody may take them any more.
                if ready.send(batch).is_err() || is_last {
                    break;
                }
            }
        });
        batches.into_iter()
    }
}

/// Consumer of batches.
pub trait Device {
    type Running;
    type Outcome;
    /// Hands a batch over; the one before may still be worked on.
    fn write(&mut self, batch: &Batch);
    /// Starts the work on the batch that was handed over.
    fn start(&mut self, batch: &Batch) -> Self::Running;
    fn wait(&mut self, running: Self::Running) -> Result<Self::Outcome>;
    /// Whether all runs that were started are over; None where that cannot be asked.
    fn is_idle(&self) -> Option<bool> {
        None
    }
    /// So many seconds the device may have had nothing to do for want of a batch.
    fn starved(&mut self, seconds: f64);
    /// Runs that may be started ahead of the one that is waited for.
    fn ahead(&self) -> usize {
        AHEAD
    }
    /// A batch is done.
    fn done(&mut self, batch: &Batch, outcome: Self::Outcome) -> Result<()>;
}

/// Feeds a device batch by batch, the next while it works on one.
///
/// Each batch's way from the queue to the device is timed, and counts as starving unless the device was still busy with
/// the batch before when it was over. When exactly the device ran dry is not known, so all of it counts: no less than the
/// device really waited.
pub fn feed<D: Device>(device: &mut D, mut batches: impl Iterator<Item = Result<Batch>>) -> Result<()> {
    let mut running: VecDeque<(Batch, D::Running)> = VecDeque::new();
    loop {
        let feeding = Instant::now();
        let Some(batch) = batches.next().transpose()? else { break };
        device.write(&batch);
        let fed = feeding.elapsed().as_secs_f64();
        // Only now: to start a run may take until the one before is over.
        let idle = device.is_idle().filter(|_| !running.is_empty());
        let mut dry = idle.unwrap_or(running.is_empty());
        let started = device.start(&batch);
        running.push_back((batch, started));
        if running.len() > device.ahead() {
            let earlier = running.pop_front().expect("it is not empty");
            let waited = finish(device, earlier)?;
            dry = idle.unwrap_or(waited < AT_ONCE);
        }
        if dry {
            device.starved(fed);
        }
    }
    running.into_iter().try_for_each(|last| finish(device, last).map(drop))
}

/// Says how long it had to wait.
fn finish<D: Device>(device: &mut D, (batch, running): (Batch, D::Running)) -> Result<Duration> {
    let waiting = Instant::now();
    let outcome = device.wait(running)?;
    let waited = waiting.elapsed();
    device.done(&batch, outcome)?;
    Ok(waited)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::data::Images;

    const SLOW: Duration = Duration::from_millis(20);

    /// Takes `work` a batch, in the background as a device does.
    struct Simulated {
        work: Duration,
        busy_until: Instant,
        can_be_asked: bool,
        /// To start a run takes until the one before is over.
        starts_in_turn: bool,
        starved: Vec<f64>,
        done: Vec<u32>,
    }

    impl Simulated {
        fn new(work: Duration, can_be_asked: bool) -> Simulated {
            let (busy_until, starved, done) = (Instant::now(), Vec::new(), Vec::new());
            Simulated { work, busy_until, can_be_asked, starts_in_turn: false, starved, done }
        }
    }

    impl Device for Simulated {
        type Running = Instant;
        type Outcome = ();
        fn write(&mut self, _: &Batch) {}
        fn start(&mut self, _: &Batch) -> Instant {
            if self.starts_in_turn {
                std::thread::sleep(self.busy_until.saturating_duration_since(Instant::now()));
            }
            self.busy_until = self.busy_until.max(Instant::now()) + self.work;
            self.busy_until
        }
        fn wait(&mut self, end: Instant) -> Result<()> {
            std::thread::sleep(end.saturating_duration_since(Instant::now()));
            Ok(())
        }
        fn is_idle(&self) -> Option<bool> {
            self.can_be_asked.then(|| Instant::now() >= self.busy_until)
        }
        fn starved(&mut self, seconds: f64) {
            self.starved.push(seconds);
        }
        fn done(&mut self, batch: &Batch, (): ()) -> Result<()> {
            self.done.extend(&batch.indices);
            Ok(())
        }
    }

    fn labelled() -> Labelled {
        let images = Images { size: 2.into(), count: 7, pixels: (0..84).collect() };
        Labelled::new(images, vec![0, 1, 2, 0, 1, 2, 0])
    }

    #[test]
    fn batches_come_in_order_and_as_they_are_without_a_thread() {
        let (data, ranges) = (labelled(), Ranges::default());
        let order: Vec<Vec<u32>> = vec![vec![3, 1], vec![6], vec![0, 5], vec![2, 4]];
        let variation = Variation::Random { ranges: &ranges, seed: 3, epoch: 2 };
        std::thread::scope(|scope| {
            let in_order = order.iter().map(|indices| Wanted::whole(indices.clone(), variation));
            let batches: Vec<Batch> = data.batches(scope, in_order).map(Result::unwrap).collect();
            assert_eq!(batches.len(), order.len());
            for (batch, indices) in batches.iter().zip(&order) {
                let alone = data.batch(indices, variation).unwrap();
                assert_eq!(format!("{batch:?}"), format!("{alone:?}"));
                assert_eq!(batch.indices, *indices);
            }
            assert_eq!(batches[0].pixels[..2], [0x0026_2524, 0x0029_2827], "image 3 begins with byte 36");
            assert_eq!(batches[0].labels, [0, 1]);
        });
    }

    /// A process of several reads its own images alone, and has the labels of all.
    #[test]
    fn other_images_are_not_read() {
        #[derive(Debug)]
        struct Broken(Images);
        impl Pixels for Broken {
            fn size(&self) -> crate::engine::image_size::ImageSize {
                self.0.size()
            }
            fn count(&self) -> usize {
                self.0.count()
            }
            fn read(&self, index: usize, rgb: &mut [u8]) -> Result<()> {
                assert!(index < 4, "image {index} is another's");
                self.0.read(index, rgb)
            }
        }
        let whole = labelled();
        let images = Images { size: 2.into(), count: 7, pixels: (0..84).collect() };
        let data = Labelled::new(Broken(images), whole.labels.clone());
        let indices = vec![6, 3, 1, 5];
        let all = whole.batch(&indices, Variation::None).unwrap();
        let part = data.put_together(Wanted { indices, read: 1..3, variation: Variation::None }).unwrap();
        assert_eq!((&part.pixels[..], &part.maps[..]), (&all.pixels[4..12], &all.maps[8..24]));
        assert_eq!((part.labels, part.indices), (all.labels, all.indices));
    }

    #[test]
    fn a_loop_that_ends_early_ends_the_thread() {
        let (data, endless) = (labelled(), std::iter::repeat(Wanted::whole(vec![0], Variation::None)));
        let taken = std::thread::scope(|scope| data.batches(scope, endless).take(3).count());
        assert_eq!(taken, 3);
    }

    #[test]
    fn every_batch_that_comes_late_counts() {
        let (data, indices) = (labelled(), [[0], [1], [2], [3]]);
        let late = indices.iter().map(|indices| {
            std::thread::sleep(SLOW);
            data.batch(indices, Variation::None)
        });
        for can_be_asked in [true, false] {
            let mut device = Simulated::new(Duration::ZERO, can_be_asked);
            feed(&mut device, late.clone()).unwrap();
            assert_eq!(device.done, [0, 1, 2, 3]);
            assert_eq!(device.starved.len(), 4, "{:?}", device.starved);
            assert!(device.starved.iter().all(|&seconds| seconds >= SLOW.as_secs_f64()), "{:?}", device.starved);
        }
    }

    /// While the device is busy, a batch that takes its time costs nothing; only before the first is there nothing to do.
    #[test]
    fn what_the_work_hides_does_not_count() {
        let (data, indices) = (labelled(), [[0], [1], [2], [3]]);
        let slow = indices.iter().map(|indices| {
            std::thread::sleep(SLOW);
            data.batch(indices, Variation::None)
        });
        for (can_be_asked, starts_in_turn) in [(true, false), (true, true), (false, false)] {
            let mut device = Simulated { starts_in_turn, ..Simulated::new(25 * SLOW, can_be_asked) };
            feed(&mut device, slow.clone()).unwrap();
            assert_eq!((device.starved.len(), device.done.len()), (1, 4), "{:?}", device.starved);
        }
    }

    #[test]
    fn an_error_ends_it() {
        struct Broken(usize);
        impl Device for Broken {
            type Running = ();
            type Outcome = ();
            fn write(&mut self, _: &Batch) {}
            fn start(&mut self, _: &Batch) {
                self.0 += 1;
            }
            fn wait(&mut self, (): ()) -> Result<()> {
                Err(crate::error::Error::DeviceLost("gone".into()))
            }
            fn starved(&mut self, _: f64) {}
            fn done(&mut self, _: &Batch, (): ()) -> Result<()> {
                unreachable!("no batch is done")
            }
        }
        let (data, endless, mut device) =
            (labelled(), std::iter::repeat(Wanted::whole(vec![0], Variation::None)), Broken(0));
        let ended = std::thread::scope(|scope| feed(&mut device, data.batches(scope, endless)).unwrap_err());
        assert_eq!((ended.to_string().as_str(), device.0), ("gone", 1 + AHEAD));
    }
}
