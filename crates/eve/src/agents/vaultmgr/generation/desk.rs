//! Where errands to the TPM are sent from, and what came of them is taken up: the thread that decides goes on meanwhile. While an errand is
//! out that changes roots, the share table is not changed, and what waits for that says that it waits for the TPM.

use std::marker::PhantomData;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::{io, thread};

use vault::belief::{About, Heard};

use crate::agents::vaultmgr::chain;
use crate::agents::vaultmgr::generation::errands::{Brought, Errand};
use crate::agents::vaultmgr::generation::roots::{Slots, Tpmmgr, TpmmgrError};
use crate::agents::vaultmgr::generation::shares::{Judged, ShareStore, SharesError};
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::prepare;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::paths::Paths;

/// Who runs errands.
enum Runner<T> {
    /// Whoever sends one: tests do, which stop a life at a step.
    #[cfg(test)]
    Here(Paths, T),
    /// A thread of its own. It ends by a panic alone, and then this life does too.
    Apart { errands: Sender<Errand>, brought: Receiver<Brought>, asks: PhantomData<T> },
}

/// The desk.
pub(crate) struct Desk<T> {
    runner: Runner<T>,
    out: bool,
}

impl<T: Tpmmgr> Desk<T> {
    /// Errands are waited for.
    #[cfg(test)]
    pub(crate) fn here(paths: Paths, tpmmgr: T) -> Self {
        Self { runner: Runner::Here(paths, tpmmgr), out: false }
    }

    /// They are left to a thread, which calls `back` when one is over.
    ///
    /// # Errors
    /// There are no more threads.
    pub(crate) fn apart(paths: Paths, mut tpmmgr: T, back: impl Fn() + Send + 'static) -> io::Result<Self>
    where
        T: Send + 'static,
    {
        let (errands, todo) = channel::<Errand>();
        let (done, brought) = channel();
        let run = move || {
            for errand in todo {
                if done.send(errand.run(&paths, &mut tpmmgr)).is_err() {
                    return;
                }
                back();
            }
        };
        thread::Builder::new().name("tpm errands".to_owned()).spawn(run)?;
        Ok(Self { runner: Runner::Apart { errands, brought, asks: PhantomData }, out: false })
    }

    /// One is out.
    pub(crate) fn is_out(&self) -> bool {
        self.out
    }

    /// What is over at once is handed back at once.
    fn send(&mut self, errand: Errand) -> Option<Brought> {
        match &mut self.runner {
            #[cfg(test)]
            Runner::Here(paths, tpmmgr) => Some(errand.run(paths, tpmmgr)),
            Runner::Apart { errands, .. } => {
                errands.send(errand).expect("the thread ends after this desk, or by a panic");
                self.out = true;
                None
            }
        }
    }

    fn back(&mut self) -> Option<Brought> {
        let brought = match &self.runner {
            #[cfg(test)]
            Runner::Here(..) => return None,
            Runner::Apart { brought, .. } => brought,
        };
        match brought.try_recv() {
            Ok(brought) => {
                self.out = false;
                Some(brought)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("the thread of the TPM's errands ended by a panic"),
        }
    }
}

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// An errand is out.
    pub(crate) fn is_asking(&self) -> bool {
        self.desk.is_out()
    }

    /// Sends an errand, where none is out. What follows of it is done when it is over.
    pub(crate) fn send(&mut self, errand: Errand) {
        if !self.desk.is_out()
            && let Some(brought) = self.desk.send(errand)
        {
            self.take_up(brought);
        }
    }

    /// Takes up what came of the errand that was out, if it is over. Says whether it was.
    pub(crate) fn welcome(&mut self) -> bool {
        let brought = self.desk.back();
        let is_back = brought.is_some();
        brought.into_iter().for_each(|brought| self.take_up(brought));
        is_back
    }

    fn take_up(&mut self, brought: Brought) {
        match brought {
            Brought::Roots(read) => self.take_roots(read),
            Brought::Pcrs(read) => self.take_pcrs(read),
            Brought::Begun(Ok(shares)) => self.take_shares(*shares),
            Brought::Begun(Err(error)) if self.shares.is_none() => self.not_read(&error),
            Brought::Begun(Err(error)) => self.stepped(Err(error)),
            Brought::Changed(changed) => {
                let changed = self.shares.as_mut().map(|shares| shares.take_changed(changed));
                self.stepped(changed.unwrap_or(Ok(())));
            }
            Brought::Dropped(left, dropped) => {
                self.shares.iter_mut().for_each(|shares| shares.take_left(&left));
                self.stepped(dropped);
            }
        }
    }

    /// Where a table came back from escrow it is in force by what the TPM says now, or nothing is known until it says so.
    fn take_roots(&mut self, read: Result<Vec<Slots>, TpmmgrError>) {
        let before = self.shares.take();
        let has_vaults =
            || if before.is_some() { Ok(true) } else { prepare::has_vaults(&self.paths, &self.crypt) };
        match read
            .map_err(SharesError::from)
            .and_then(|sets| ShareStore::judged(&self.paths, sets, has_vaults))
        {
            Ok(Judged::There(shares)) => {
                self.take_shares(match before {
                    Some(before) => shares.keeping_root_of(before),
                    None => *shares,
                });
            }
            Ok(Judged::Begin(beginning)) => self.send(Errand::Begin(beginning)),
            Err(error) => self.not_read(&error),
        }
    }

    fn take_shares(&mut self, shares: ShareStore) {
        self.shares = Some(shares);
        self.notes.settle(About::Roots);
        self.start_afresh();
        self.hear(Heard::Tpm(self.roots(), None));
    }

    fn not_read(&mut self, error: &SharesError) {
        self.notes.tell(About::Roots, chain(error));
    }

    fn take_pcrs(&mut self, read: Result<Vec<Slots>, TpmmgrError>) {
        match read {
            Ok(sets) => {
                if self.shares.as_mut().is_some_and(|shares| shares.take_pcrs(&sets)) {
                    self.start_afresh();
                }
            }
            Err(error) => {
                tracing::warn!("reading the root that is bound to PCRs again: {}", chain(&error));
            }
        }
    }
}
