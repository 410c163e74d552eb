//! How ranks move numbers to each other: copies between all of them, and never a sum on the way. [`Meeting`] is for
//! threads of one process, [`launch`] for processes that a launcher of MPI started.

pub mod launch;
#[cfg(feature = "mpi")]
mod mpi;

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use crate::error::{Error, Result};

/// One rank's end of a connection between all ranks.
pub trait Collective: Debug + Send {
    /// This rank's number.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn ranks(&self) -> usize;

    /// Gives every rank the bytes of all, one after the other in the order of the ranks. `all` has room for as many times
    /// `own` as there are ranks. Every rank calls it as often as the others, with as many bytes.
    ///
    /// # Errors
    /// When another rank has failed. Its own error says more.
    fn all_gather(&mut self, own: &[u8], all: &mut [u8]) -> Result<()>;

    /// Gives each rank its own block of `own`, and brings this one's blocks of all ranks. Blocks stand in the order of the
    /// ranks, and all have one size. Every rank calls it as often as the others, with as many bytes.
    ///
    /// # Errors
    /// As [`Collective::all_gather`].
    fn all_to_all(&mut self, own: &[u8], all: &mut [u8]) -> Result<()>;

    /// Says that the device computed all through the last exchange, so that nobody waited for it.
    fn was_hidden(&mut self) {}

    /// The texts of all ranks, of any length each, in the order of the ranks.
    ///
    /// # Errors
    /// As [`Collective::all_gather`].
    fn texts(&mut self, own: &str) -> Result<Vec<String>> {
        let mut lengths = vec![0u64; self.ranks()];
        self.all_gather(bytemuck::bytes_of(&(own.len() as u64)), bytemuck::cast_slice_mut(&mut lengths))?;
        let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
        let (mut padded, mut all) = (own.as_bytes().to_vec(), vec![0; longest * lengths.len()]);
        padded.resize(longest, 0);
        self.all_gather(&padded, &mut all)?;
        let text = |(rank, length): (usize, u64)| {
            let bytes = &all[rank * longest..][..length as usize];
            String::from_utf8_lossy(bytes).into_owned()
        };
        Ok(lengths.into_iter().enumerate().map(text).collect())
    }

    /// Rank 0's text, which it gives here and all others wait for.
    ///
    /// # Errors
    /// As [`Collective::all_gather`].
    fn of_first(&mut self, own: &str) -> Result<String> {
        let own = if self.rank() == 0 { own } else { "" };
        Ok(self.texts(own)?.swap_remove(0))
    }
}

/// This process among those of a run.
pub trait Launched {
    /// Its place among the processes of this machine.
    fn local_rank(&self) -> usize;

    /// Its way to the others.
    fn collective(&self) -> Box<dyn Collective>;

    /// Waits for all others to come to their end, too.
    fn meet_at_the_end(&self);

    /// Ends all processes. The launcher returns `status`.
    fn abort(&self, status: i32) -> !;
}

/// Waits for all ranks, and makes sure that they gave the same text.
///
/// # Errors
/// `Error::Input` with the first lines that differ, and the rank whose line it is; those of [`Collective::all_gather`].
pub fn agree(collective: &mut dyn Collective, what: &str, own: &str) -> Result<()> {
    let texts = collective.texts(own)?;
    let Some(other) = texts.iter().position(|text| *text != texts[0]) else { return Ok(()) };
    // Not `lines`, for which texts may differ and have the same ones.
    let lines = |rank: usize| texts[rank].split('\n').map(Some).chain(std::iter::repeat(None));
    let differ = lines(0).zip(lines(other)).find(|(first, other)| first != other).expect("texts that differ");
    let spelled = |line: Option<&str>| line.map_or("nothing more".into(), |line| format!("`{line}`"));
    Err(Error::Input(format!(
        "rank {other} has other {what} than rank 0: {} and not {}; start all ranks with the same program, options and data",
        spelled(differ.1),
        spelled(differ.0),
    )))
}

/// A way to the other ranks that counts the time spent on it.
#[derive(Debug)]
pub struct Timed {
    way: Box<dyn Collective>,
    spent: Arc<Spent>,
}

/// Time that a [`Timed`] has counted, for another thread to read.
#[derive(Debug, Default)]
pub struct Spent(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    seconds: f64,
    /// Seconds of the last exchanges, the last at the end: 0 for those that nobody waited for.
    last: VecDeque<f64>,
}

/// Exchanges whose times are kept one by one: more than a step has.
const KEPT: usize = 256;

impl Spent {
    /// Of all exchanges so far.
    pub fn seconds(&self) -> f64 {
        self.counted().seconds
    }

    /// Of each of the last `count` exchanges, or of as many as there were.
    pub fn last(&self, count: usize) -> Vec<f64> {
        let counted = self.counted();
        counted.last.iter().skip(counted.last.len().saturating_sub(count)).copied().collect()
    }

    fn add(&self, seconds: f64) {
        let mut counted = self.counted();
        counted.seconds += seconds;
        if counted.last.len() == KEPT {
            counted.last.pop_front();
        }
        counted.last.push_back(seconds);
    }

    fn take_back_last(&self) {
        let mut counted = self.counted();
        let seconds = counted.last.back_mut().map_or(0.0, std::mem::take);
        counted.seconds -= seconds;
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().expect("nothing panics while it holds the times")
    }
}

impl Timed {
    pub fn new(way: Box<dyn Collective>) -> Timed {
        Timed { way, spent: Arc::default() }
    }

    pub fn spent(&self) -> Arc<Spent> {
        Arc::clone(&self.spent)
    }
}

impl Collective for Timed {
    fn rank(&self) -> usize {
        self.way.rank()
    }

    fn ranks(&self) -> usize {
        self.way.ranks()
    }

    fn all_gather(&mut self, own: &[u8], all: &mut [u8]) -> Result<()> {
        let began = Instant::now();
        let done = self.way.all_gather(own, all);
        self.spent.add(began.elapsed().as_secs_f64());
        done
    }

    fn all_to_all(&mut self, own: &[u8], all: &mut [u8]) -> Result<()> {
        let began = Instant::now();
        let done = self.way.all_to_all(own, all);
        self.spent.add(began.elapsed().as_secs_f64());
        done
    }

    fn was_hidden(&mut self) {
        self.spent.take_back_last();
    }
}

/// A place where the threads of a group meet.
#[derive(Debug)]
pub struct Meeting {
    ranks: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Meetings that are over.
    over: u64,
    given: Vec<Option<Arc<[u8]>>>,
    /// Bytes that the ranks gave in the last one.
    taken: Vec<Arc<[u8]>>,
    failed: Option<usize>,
}

/// A rank's way to a [`Meeting`].
#[derive(Debug)]
pub struct Seat {
    meeting: Arc<Meeting>,
    rank: usize,
}

impl Meeting {
    pub fn new(ranks: usize) -> Arc<Meeting> {
        let state = State { given: vec![None; ranks], ..State::default() };
        Arc::new(Meeting { ranks, state: Mutex::new(state), changed: Condvar::new() })
    }

    pub fn seat(self: &Arc<Meeting>, rank: usize) -> Seat {
        Seat { meeting: Arc::clone(self), rank }
    }

    /// Ends this meeting and every later one for all ranks, because one will not come any more. The first that fails counts.
    pub fn fail(&self, rank: usize) {
        self.state().failed.get_or_insert(rank);
        self.changed.notify_all();
    }

    /// The rank that failed first.
    pub fn failed(&self) -> Option<usize> {
        self.state().failed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }
}

impl Seat {
    /// Waits for all ranks; the bytes that each gave.
    fn meet(&mut self, own: &[u8]) -> Result<Vec<Arc<[u8]>>> {
        let changed = &self.meeting.changed;
        let own: Arc<[u8]> = own.into();
        let mut state = self.meeting.state();
        let this = state.over;
        state.given[self.rank] = Some(own);
        if state.given.iter().all(Option::is_some) {
            state.taken = state.given.iter_mut().map(|given| given.take().expect("all are there")).collect();
            state.over += 1;
            changed.notify_all();
        }
        // A rank that failed after this meeting was complete ends the next one.
        while state.over == this {
            if let Some(rank) = state.failed {
                return Err(Error::DeviceLost(format!("rank {rank} has failed")));
            }
            state = changed.wait(state).expect("nothing panics while it holds the state");
        }
        // No rank can complete the next meeting before this one has come to it.
        Ok(state.taken.clone())
    }
}

impl Collective for Seat {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.meeting.ranks
    }

    fn all_gather(&mut self, own: &[u8], all: &mut [u8]) -> Result<()> {
        assert_eq!(all.len(), own.len() * self.ranks(), "room for every rank's bytes");
        for (from, to) in self.meet(own)?.iter().zip(all.chunks_mut(own.len().max(1))) {
            to.copy_from_slice(from);
        }
        Ok(())
    }

    fn all_to_all(&mut self, own: &[u8], all: &mut [u8]) -> Result<()> {
        let block = own.len() / self.ranks();
        assert_eq!((own.len(), all.len()), (block * self.ranks(), own.len()), "a block for each rank");
        let rank = self.rank;
        for (from, to) in self.meet(own)?.iter().zip(all.chunks_mut(block.max(1))) {
            to.copy_from_slice(&from[rank * block..][..block]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a thread for each rank.
    fn on_ranks<T: Send>(ranks: usize, work: impl Fn(usize, Seat, &Meeting) -> T + Sync) -> Vec<T> {
        let meeting = Meeting::new(ranks);
        std::thread::scope(|scope| {
            let (work, meeting) = (&work, &meeting);
            let threads = (0..ranks).map(|rank| scope.spawn(move || work(rank, meeting.seat(rank), meeting)));
            threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn all_ranks_get_all_bytes_in_the_order_of_ranks() {
        let rounds = 200;
        let seen = on_ranks(4, |rank, mut seat, _| {
            let mut seen = Vec::new();
            for round in 0..rounds {
                let mut all = [0; 8];
                seat.all_gather(&[rank as u8, round], &mut all).unwrap();
                seen.push(all);
            }
            seen
        });
        for of_rank in seen {
            for (round, all) in of_rank.into_iter().enumerate() {
                let round = round as u8;
                assert_eq!(all, [0, round, 1, round, 2, round, 3, round]);
            }
        }
    }

    #[test]
    fn each_rank_gets_its_own_block_of_all() {
        let seen = on_ranks(3, |rank, mut seat, _| {
            let mut all = [0; 6];
            seat.all_to_all(&[0, 1, 2].map(|to| [10 * rank as u8, to]).concat(), &mut all).unwrap();
            all
        });
        for (rank, all) in seen.into_iter().enumerate() {
            let rank = rank as u8;
            assert_eq!(all, [0, rank, 10, rank, 20, rank]);
        }
    }

    #[test]
    fn a_rank_that_fails_ends_the_waiting_of_all() {
        let ended = on_ranks(3, |rank, mut seat, meeting| {
            let mut all = [0; 3];
            seat.all_gather(&[1], &mut all).unwrap();
            if rank == 1 {
                meeting.fail(rank);
                return Ok(());
            }
            seat.all_gather(&[2], &mut all)
        });
        assert!(ended[1].is_ok());
        for rank in [0, 2] {
            let error = ended[rank].as_ref().unwrap_err();
            assert!(error.to_string().contains("rank 1 has failed"), "{error}");
        }
    }

    #[test]
    fn the_time_of_exchanges_is_counted() {
        for spent in on_ranks(2, |_, seat, _| {
            let mut way = Timed::new(Box::new(seat));
            let spent = way.spent();
            assert_eq!((spent.seconds(), spent.last(3)), (0.0, vec![]));
            (0..KEPT + 2).for_each(|_| way.all_gather(&[1], &mut [0; 2]).unwrap());
            spent
        }) {
            assert_eq!(spent.last(3).len(), 3);
            let kept: f64 = spent.last(2 * KEPT).iter().sum();
            assert!(spent.last(2 * KEPT).len() == KEPT && 0.0 < kept && kept <= spent.seconds());
            // An exchange that nobody waited for does not count.
            let last = spent.last(1)[0];
            let all = spent.seconds();
            spent.take_back_last();
            assert_eq!((spent.last(1)[0], spent.seconds()), (0.0, all - last));
        }
    }

    #[test]
    fn texts_of_any_length_come_in_the_order_of_ranks() {
        let texts = ["", "eins\nzwei", "\u{e9}"];
        for seen in on_ranks(3, |rank, mut seat, _| seat.texts(texts[rank]).unwrap()) {
            assert_eq!(seen, texts);
        }
        for seen in on_ranks(3, |rank, mut seat, _| seat.of_first(texts[2 - rank]).unwrap()) {
            assert_eq!(seen, texts[2]);
        }
    }

    #[test]
    fn ranks_that_disagree_are_told_in_what() {
        let of =
            |texts: [&'static str; 3]| on_ranks(3, move |rank, mut seat, _| agree(&mut seat, "settings", texts[rank]));
        assert!(of(["a\nb"; 3]).iter().all(Result::is_ok));
        for ended in of(["a\nb = 1", "a\nb = 1", "a\nb = 2\nc"]) {
            let error = ended.unwrap_err().to_string();
            assert!(error.starts_with("rank 2 has other settings than rank 0: `b = 2` and not `b = 1`;"), "{error}");
        }
        for ended in of(["a", "a\n", "a\r\n"]) {
            let error = ended.unwrap_err().to_string();
            assert!(error.starts_with("rank 1 has other settings than rank 0: `` and not nothing more;"), "{error}");
        }
        for ended in of(["a\nb", "a", "a\nb"]) {
            let error = ended.unwrap_err().to_string();
            assert!(error.starts_with("rank 1 has other settings than rank 0: nothing more and not `b`;"), "{error}");
        }
    }

    #[test]
    fn nothing_may_be_exchanged() {
        for ended in on_ranks(2, |_, mut seat, _| seat.all_gather(&[], &mut [])) {
            ended.unwrap();
        }
    }
}
