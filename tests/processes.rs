//! Ranks that are processes: each has one device, and all call the same methods in the same order. Threads stand for the
//! processes here; tests/mpi.rs starts real ones.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ocellus::app::config::Config;
use ocellus::app::train::files;
use ocellus::engine::collective::{Collective, Meeting, Seat};
use ocellus::engine::run::Engine;
use ocellus::engine::run::process::Process;
use ocellus::error::{Error, Result};

use crate::common::steps::{device, device_lost_after, twins};
use crate::common::training::{assert_same_state, config, photographs, state, trainer};

/// What each rank's work ends in. A rank that fails ends the waiting of the others, as MPI does.
fn on_ranks<T: Send>(ranks: usize, work: impl Fn(usize, Seat) -> Result<T> + Sync) -> Vec<Result<T>> {
    let meeting = Meeting::new(ranks);
    std::thread::scope(|scope| {
        let rank = |rank: usize| {
            let (work, meeting) = (&work, &meeting);
            scope.spawn(move || {
                let done = work(rank, meeting.seat(rank));
                if done.is_err() {
                    meeting.fail(rank);
                }
                done
            })
        };
        let threads: Vec<_> = (0..ranks).map(rank).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn process(own: Engine, seat: Seat) -> Result<Engine> {
    Ok(Engine::Process(Box::new(Process::new(own, Box::new(seat))?)))
}

/// Two epochs of three ranks, with a short batch that they do not divide; rank `asked` is asked to stop at once.
fn run(config: &Config, folders: &[&Path], asked: Option<usize>) -> Vec<Result<()>> {
    let data = photographs();
    on_ranks(folders.len(), |rank, seat| {
        let engine = process(device(), seat)?;
        let mut trainer = trainer(engine, config, &data);
        let own = Arc::new(AtomicBool::new(asked == Some(rank)));
        let stop = trainer.engine.agreed(&own);
        trainer.run(folders[rank], &stop)
    })
}

fn one_device(config: &Config, shares: usize, folder: &Path, from: Option<&Path>) {
    let mut cut = device().target().cut();
    cut.shares = Some(shares);
    let (config, data) = (Config { cut: Some(cut), ..config.clone() }, photographs());
    let mut trainer = trainer(device(), &config, &data);
    if let Some(from) = from {
        trainer.restore(&from.join(files::STATE)).unwrap();
    }
    trainer.run(folder, &AtomicBool::new(false)).unwrap();
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn three_have_the_bits_of_one_device_and_one_of_them_writes() {
    let config = Config { batch: 6, width: 0.0625, ..config(2) };
    let folders = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let [first, second, third, one] = folders.each_ref().map(|folder| folder.path());
    for ended in run(&config, &[first, second, third], None) {
        ended.unwrap();
    }
    one_device(&config, 3, one, None);
    assert_same_state(first, one);
    assert!(is_empty(second) && is_empty(third));
}

/// One rank alone is asked to stop: all stop after the same step, and one device goes on from there.
#[test]
fn all_stop_when_one_is_asked_to() {
    let config = Config { batch: 6, width: 0.0625, ..config(1) };
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [first, second, one] = folders.each_ref().map(|folder| folder.path());
    for ended in run(&config, &[first, second], Some(1)) {
        assert!(matches!(ended, Err(Error::Interrupted)), "{ended:?}");
    }
    let steps = state(first).1.training.unwrap().sums.steps;
    assert!((1..4).contains(&steps), "{steps} steps");
    one_device(&config, 2, first, Some(first));
    one_device(&config, 2, one, None);
    assert_same_state(first, one);
}

/// A rank whose device is lost cannot ask the other processes to begin anew: all end, and the state stays.
#[test]
fn a_device_that_is_lost_ends_all() {
    let config = Config { batch: 6, width: 0.0625, ..config(1) };
    let (data, folder) = (photographs(), tempfile::tempdir().unwrap());
    let ended = on_ranks(2, |rank, seat| {
        let own = if rank == 1 { device_lost_after(&[2], false) } else { device() };
        trainer(process(own, seat)?, &config, &data).run(folder.path(), &AtomicBool::new(false))
    });
    assert!(ended.iter().all(|ended| matches!(ended, Err(Error::DeviceLost(_)))), "{ended:?}");
    assert_eq!(state(folder.path()).1.training.unwrap().step, 0);
}

#[test]
fn devices_of_two_kinds_are_refused_by_every_rank() {
    for ended in on_ranks(2, |rank, seat| process(if rank == 1 { twins() } else { device() }, seat)) {
        let error = ended.unwrap_err();
        assert!(matches!(&error, Error::Device(why) if why.contains("rounded differently")), "{error:?}");
    }
}

/// Weights that differ in one rank are found where they are read.
#[test]
fn ranks_that_differ_are_found() {
    let (config, data) = (Config { batch: 6, width: 0.0625, ..config(1) }, photographs());
    let ended = on_ranks(2, |rank, seat| {
        let mut trainer = trainer(process(device(), seat)?, &config, &data);
        let program = trainer.inference_program();
        trainer.engine.write(program, "conv1.bias", &[rank as f32; 2]);
        trainer.engine.read(program, "conv1.bias")
    });
    for ended in ended {
        let error = ended.unwrap_err();
        assert!(matches!(&error, Error::Check(why) if why.contains("conv1.bias")), "{error:?}");
    }
}

#[test]
fn a_rank_knows_its_number() {
    let ranks = on_ranks(2, |_, seat| Ok((seat.rank(), seat.ranks())));
    assert_eq!(ranks.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
}
