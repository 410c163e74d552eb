//! Files of a run, written by a thread while training goes on.

use std::thread::JoinHandle;

use crate::error::Result;

/// Work on files that may still be under way: one piece at a time, in the order in which it was begun.
#[derive(Debug, Default)]
pub(super) struct Saving(Option<JoinHandle<Result<()>>>);

impl Saving {
    /// Begins to write, once all that was begun before is written.
    ///
    /// Errors: that of the work before; then this one is not begun.
    pub fn begin(&mut self, write: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
        self.wait()?;
        self.0 = Some(std::thread::spawn(write));
        Ok(())
    }

    /// Returns once all is written.
    ///
    /// Errors: that of the last piece of work.
    pub fn wait(&mut self) -> Result<()> {
        self.0.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

/// No thread writes to a run's folder after its trainer is gone.
impl Drop for Saving {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::error::Error;

    #[test]
    fn work_goes_on_beside_its_caller_one_piece_after_the_other() {
        let (finish, finished) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let (first, second) = (tell.clone(), tell);
        let mut saving = Saving::default();
        saving
            .begin(move || {
                finished.recv().unwrap();
                first.send(1).unwrap();
                Ok(())
            })
            .unwrap();
        assert!(told.recv_timeout(Duration::from_millis(10)).is_err(), "the caller goes on before the work is done");
        finish.send(()).unwrap();
        saving
            .begin(move || {
                second.send(2).unwrap();
                Ok(())
            })
            .unwrap();
        saving.wait().unwrap();
        assert_eq!(told.iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn an_error_comes_out_once_and_keeps_the_next_from_beginning() {
        let mut saving = Saving::default();
        saving.begin(|| Err(Error::Input("full".into()))).unwrap();
        let error = saving.begin(|| unreachable!("nothing is written after an error")).unwrap_err();
        assert_eq!(error.to_string(), "full");
        saving.wait().unwrap();
    }

    #[test]
    fn it_ends_with_its_owner() {
        let (tell, told) = mpsc::channel();
        let mut saving = Saving::default();
        saving
            .begin(move || {
                std::thread::sleep(Duration::from_millis(20));
                tell.send(()).unwrap();
                Ok(())
            })
            .unwrap();
        drop(saving);
        told.try_recv().unwrap();
    }
}
