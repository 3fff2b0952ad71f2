//! Runs all commands on one thread, so that each can be waited for with a limit: the TPM Software Stack blocks for
//! as long as the TPM does. After a command that never ended the worker is given up, never used again.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::TpmError;
use crate::shell::Shell;

type Job = Box<dyn FnOnce(&mut Shell) + Send>;

/// A thread that owns the connection.
pub(crate) struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread, which opens its own connection with `open`; waits for that at most `patience`.
    pub(crate) fn start<E: Send + 'static>(
        open: impl FnOnce() -> Result<Shell, E> + Send + 'static,
        patience: Duration,
    ) -> Result<Self, Option<E>> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (opened, wait) = mpsc::sync_channel(1);
        let thread = thread::spawn(move || match open() {
            Err(error) => drop(opened.send(Err(error))),
            Ok(mut shell) => {
                if opened.send(Ok(())).is_ok() {
                    queue.into_iter().for_each(|job| job(&mut shell));
                }
            }
        });
        match wait.recv_timeout(patience) {
            Ok(Ok(())) => Ok(Self { jobs: Some(jobs), thread: Some(thread) }),
            Ok(Err(error)) => Err(Some(error)),
            Err(_) => Err(None),
        }
    }

    /// Runs one job, at most for `patience`.
    pub(crate) fn run<T: Send + 'static, E: From<TpmError> + Send + 'static>(
        &mut self,
        patience: Duration,
        job: impl FnOnce(&mut Shell) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let jobs = self.jobs.as_ref().ok_or(TpmError::GivenUp)?;
        let (answer, wait) = mpsc::sync_channel(1);
        jobs.send(Box::new(move |shell| drop(answer.send(job(shell))))).map_err(|_| TpmError::GivenUp)?;
        match wait.recv_timeout(patience) {
            Ok(result) => result,
            Err(reason) => Err(self.give_up(reason, patience).into()),
        }
    }

    /// Leaves the thread to itself: it ends when its command does.
    fn give_up(&mut self, reason: RecvTimeoutError, waited: Duration) -> TpmError {
        self.jobs = None;
        self.thread = None;
        match reason {
            RecvTimeoutError::Timeout => TpmError::NoAnswer { waited },
            RecvTimeoutError::Disconnected => TpmError::GivenUp,
        }
    }
}

impl Drop for Worker {
    /// Closes the connection before returning, so that the next client finds the TPM free.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic in a job was reported as `GivenUp` already.
            let _ = thread.join();
        }
    }
}
