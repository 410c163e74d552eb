//! How ranks move numbers to each other: copies between all of them, and never a sum on the way. [`Meeting`] is for
//! threads of one process.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::error::{Error, Result};

/// One rank's end of a connection between all ranks.
pub trait Collective: Send {
    /// Gives every rank the bytes of all, one after the other in the order of the ranks. `all` has room for as many times
    /// `own` as there are ranks. Every rank calls it as often as the others, with as many bytes.
    ///
    /// # Errors
    /// When another rank has failed. Its own error says more.
    fn all_gather(&mut self, own: &[u8], all: &mut [u8]) -> Result<()>;
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

impl Collective for Seat {
    fn all_gather(&mut self, own: &[u8], all: &mut [u8]) -> Result<()> {
        let Meeting { ranks, changed, .. } = &*self.meeting;
        assert_eq!(all.len(), own.len() * ranks, "room for every rank's bytes");
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
        let taken = state.taken.clone();
        drop(state);
        let mut room = all;
        for from in &taken {
            let (to, rest) = room.split_at_mut(from.len());
            to.copy_from_slice(from);
            room = rest;
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
    fn nothing_may_be_exchanged() {
        for ended in on_ranks(2, |_, mut seat, _| seat.all_gather(&[], &mut [])) {
            ended.unwrap();
        }
    }
}
