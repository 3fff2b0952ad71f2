//! Where errands to the TPM are sent from, and what came of them is taken up: the thread that decides goes on meanwhile. While an errand is
//! out that changes roots, the share table is not changed, and what waits for that says that it waits for the TPM.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::{io, thread};

use vault::belief::{About, Heard};
use vault::ids::VaultId;
use vault::shares::Table;

use crate::agents::vaultmgr::chain;
use crate::agents::vaultmgr::generation::errands::{Brought, Errand};
use crate::agents::vaultmgr::generation::roots::{RootKeys, Slots, Tpmmgr, TpmmgrError};
use crate::agents::vaultmgr::generation::shares::{Judged, ShareStore, SharesError};
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::prepare;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::paths::Paths;

/// Said of a table that does.
const STANDS_IN: &str = "a copy of the share table can't be read (persist/vaults/.shares, persist/vaults/.meta/.shares), and none that can opens: the one in escrow stands in for it. Vaults open by that; what is made or erased by a change of the table waits; it is read again by itself: see what `dmesg` says of the disk, and put right what stands there";

/// Where errands are sent from. One is out at a time.
pub(crate) trait Desk {
    /// One is out.
    fn is_out(&self) -> bool;
    /// What is over at once is handed back at once; otherwise it is out.
    fn send(&mut self, errand: Errand) -> Option<Brought>;
    /// What came of the one that was out, once it is over.
    fn back(&mut self) -> Option<Brought>;
}

/// A thread that runs errands. It ends by a panic alone, and then this life does too.
pub(crate) struct ErrandThread {
    errands: Sender<Errand>,
    brought: Receiver<Brought>,
    out: bool,
}

impl ErrandThread {
    /// It calls `over` when an errand is.
    ///
    /// # Errors
    /// There are no more threads.
    pub(crate) fn start(
        paths: Paths,
        mut tpmmgr: impl Tpmmgr + Send + 'static,
        over: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let (errands, todo) = channel::<Errand>();
        let (done, brought) = channel();
        let run = move || {
            for errand in todo {
                if done.send(errand.run(&paths, &mut tpmmgr)).is_err() {
                    return;
                }
                over();
            }
        };
        thread::Builder::new().name("tpm errands".to_owned()).spawn(run)?;
        Ok(Self { errands, brought, out: false })
    }
}

impl Desk for ErrandThread {
    fn is_out(&self) -> bool {
        self.out
    }

    fn send(&mut self, errand: Errand) -> Option<Brought> {
        self.errands.send(errand).expect("the thread ends after this desk, or by a panic");
        self.out = true;
        None
    }

    fn back(&mut self) -> Option<Brought> {
        match self.brought.try_recv() {
            Ok(brought) => {
                self.out = false;
                Some(brought)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("the thread of the TPM's errands ended by a panic"),
        }
    }
}

impl<C: Crypt> Manager<C> {
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

    /// Takes up what came of the errand that was out, if it is over, and takes every vault on from there. Says whether it was.
    pub(crate) fn welcome_pausing(&mut self, pause: impl FnMut(&mut Self, Option<VaultId>)) -> bool {
        let Some(brought) = self.desk.back() else { return false };
        self.take_up(brought);
        self.settle_all_pausing(pause);
        true
    }

    fn take_up(&mut self, brought: Brought) {
        self.news += 1;
        match brought {
            Brought::Roots(read) => self.take_roots(read),
            Brought::Pcrs(read) => self.take_pcrs(read),
            Brought::Begun(Ok(shares)) => self.take_shares(*shares),
            Brought::Begun(Err(error)) if self.shares.is_none() => self.not_read(chain(&error)),
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

    /// Where a table came back from escrow it is in force by what the TPM says now, or nothing is known until it says so. One that was in force stays at
    /// hand while a newer one can't be read.
    fn take_roots(&mut self, read: Result<Vec<Slots>, TpmmgrError>) {
        let (before, unread) = (self.shares.take(), self.unread.take());
        let has_vaults =
            || if before.is_some() { Ok(true) } else { prepare::has_vaults(&self.paths, &self.crypt) };
        let judged = read.map_err(SharesError::from);
        match (judged.and_then(|sets| ShareStore::judged(&self.paths, sets, has_vaults)), before) {
            (Ok(Judged::There(shares)), Some(before)) => self.take_shares(shares.after(before)),
            (Ok(Judged::There(shares)), None) => self.take_shares(*shares),
            (Ok(Judged::Begin(beginning)), _) => self.send(Errand::Begin(beginning)),
            (Err(error) | Ok(Judged::Unread(_, error)), Some(before)) if before.stays_at_hand() => {
                let words = if before.stands_in() { STANDS_IN.to_owned() } else { chain(&error) };
                self.shares = Some(before);
                self.not_read(words);
                self.set_back_again(&error);
            }
            (Ok(Judged::Unread(keys, error)), _) => {
                self.unread = Some(keys);
                self.not_read(chain(&error));
            }
            (Err(error), _) => {
                self.unread = unread;
                self.not_read(chain(&error));
            }
        }
    }

    /// The table in escrow stands in for the one on the disk, which can't be read. Nothing is written: what that one has may be newer.
    pub(in crate::agents::vaultmgr) fn stand_in(&mut self, keys: RootKeys, table: Table) {
        self.take_shares(ShareStore::standing_in(keys, table));
        self.notes.tell(About::Roots, STANDS_IN.to_owned());
    }

    fn take_shares(&mut self, shares: ShareStore) {
        match shares.words_of_gone() {
            Some(words) => self.notes.tell(About::Roots, words),
            None => self.notes.settle(About::Roots),
        }
        (self.shares, self.unread) = (Some(shares), None);
        self.start_afresh();
        self.hear(Heard::Tpm(self.roots(), None));
    }

    /// Where no table is at hand nothing tells whom the node belongs to until the roots are read again.
    fn not_read(&mut self, words: String) {
        self.notes.tell(About::Roots, words);
        self.hear(Heard::Tpm(self.roots(), None));
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
