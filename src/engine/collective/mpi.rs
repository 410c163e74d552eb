//! Ranks in processes, by MPI (any implementation of it: OpenMPI, MPICH, MS-MPI). MPI only moves bytes here. It adds
//! nothing up, so that no implementation of it changes a bit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::environment::Universe;
use mpi::point_to_point::{Destination, Source};
use mpi::request::{Request, Scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};

use super::{Collective, Launched};
use crate::error::{Error, Result};
use crate::notes::note;

/// How often a rank tells the next that it lives.
const BEAT: Duration = Duration::from_millis(500);
/// So many beats without a word from the rank before, counted while this one runs itself: 30 s.
const PATIENCE: u32 = 60;

/// All processes of the launcher.
pub struct World {
    pulse: Pulse,
    comm: SimpleCommunicator,
    local_rank: usize,
    /// Ends MPI when it is dropped: after all others, so it stands last.
    _universe: Universe,
}

/// Watches the other ranks: each tells the next that it lives, from a thread of its own. A process that is stopped, or
/// whose machine is gone, would else have all others wait without end.
struct Pulse {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A rank's way to the others.
struct Ranks(SimpleCommunicator);

/// A communicator that another thread than its maker's uses.
struct Moved(SimpleCommunicator);

// SAFETY: a communicator is a handle of MPI's, which was asked to serve several threads at once (`World::join`).
unsafe impl Send for Moved {}
// SAFETY: as above; a rank's calls come from one thread at a time.
unsafe impl Send for Ranks {}

impl World {
    /// Starts MPI among so many processes.
    ///
    /// # Errors
    /// `Error::Device` where the library cannot serve several threads at once, knows of another number of processes, or was
    /// started before.
    pub fn join(count: usize) -> Result<World> {
        let (universe, threading) = mpi::initialize_with_threading(Threading::Multiple)
            .ok_or_else(|| Error::Device("MPI was started already".into()))?;
        if threading < Threading::Multiple {
            return Err(Error::Device(
                "this MPI library serves one thread only, and MPI_THREAD_MULTIPLE is needed".into(),
            ));
        }
        let comm = universe.world();
        if comm.size() as usize != count {
            return Err(Error::Device(format!(
                "the launcher started {count} processes, and MPI knows of {}: start them with the launcher of the MPI library \
                 that the program was built with",
                comm.size()
            )));
        }
        let local_rank = comm.split_shared(comm.rank()).rank() as usize;
        let pulse = Pulse::start(comm.duplicate());
        Ok(World { pulse, comm, local_rank, _universe: universe })
    }
}

impl Launched for World {
    fn local_rank(&self) -> usize {
        self.local_rank
    }

    fn collective(&self) -> Box<dyn Collective> {
        Box::new(Ranks(self.comm.duplicate()))
    }

    fn meet_at_the_end(&self) {
        self.comm.barrier();
        self.pulse.over.store(true, Ordering::Relaxed);
    }

    fn abort(&self, status: i32) -> ! {
        self.comm.abort(status)
    }
}

impl Pulse {
    fn start(comm: SimpleCommunicator) -> Pulse {
        let over = Arc::new(AtomicBool::new(false));
        let (comm, until) = (Moved(comm), Arc::clone(&over));
        let thread = std::thread::spawn(move || beat(comm, &until));
        Pulse { over, thread: Some(thread) }
    }
}

/// MPI must not end while a thread still uses it.
impl Drop for Pulse {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Tells the next rank that this one lives, and ends all if the one before is silent.
fn beat(Moved(comm): Moved, over: &AtomicBool) {
    let (rank, ranks) = (comm.rank(), comm.size());
    let (before, next) = ((rank + ranks - 1) % ranks, (rank + 1) % ranks);
    let mut silent = 0;
    while !over.load(Ordering::Relaxed) {
        // A byte is sent at once, whether or not anyone waits for it.
        comm.process_at_rank(next).send(&0u8);
        std::thread::sleep(BEAT);
        silent += 1;
        while comm.process_at_rank(before).immediate_probe().is_some() {
            let _: (u8, _) = comm.process_at_rank(before).receive();
            silent = 0;
        }
        if silent > PATIENCE && !over.load(Ordering::Relaxed) {
            let seconds = (BEAT * PATIENCE).as_secs();
            note!(
                "error: rank {before} of {ranks} has given no sign of life for {seconds} s; the run's last state is whole: go on from it with --resume"
            );
            comm.abort(1);
        }
    }
}

impl std::fmt::Debug for Ranks {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "rank {} of {}", self.0.rank(), self.0.size())
    }
}

impl Collective for Ranks {
    fn rank(&self) -> usize {
        self.0.rank() as usize
    }

    fn ranks(&self) -> usize {
        self.0.size() as usize
    }

    /// MPI ends all processes where one fails, so nothing comes back then.
    fn all_gather(&mut self, own: &[u8], all: &mut [u8]) -> Result<()> {
        assert_eq!(all.len(), own.len() * self.ranks(), "room for every rank's bytes");
        mpi::request::scope(|scope| wait(self.0.immediate_all_gather_into(scope, own, all)));
        Ok(())
    }

    /// As above.
    fn all_to_all(&mut self, own: &[u8], all: &mut [u8]) -> Result<()> {
        let block = own.len() / self.ranks();
        assert_eq!((own.len(), all.len()), (block * self.ranks(), own.len()), "a block for each rank");
        mpi::request::scope(|scope| wait(self.0.immediate_all_to_all_into(scope, own, all)));
        Ok(())
    }
}

/// Waits until an exchange is over.
fn wait<'a, D: ?Sized, S: Scope<'a>>(mut request: Request<'a, D, S>) {
    let began = Instant::now();
    while let Err(unfinished) = request.test() {
        request = unfinished;
        give_way(began.elapsed());
    }
}

/// Lets others compute, after having waited for some time. MPI's own waiting takes a core of the processor whole, which
/// software devices compute with, and rank 0 while it decodes.
fn give_way(waited: Duration) {
    match waited.as_millis() {
        0..2 => std::thread::yield_now(),
        2..1000 => std::thread::sleep(Duration::from_micros(50)),
        _ => std::thread::sleep(Duration::from_millis(5)),
    }
}
