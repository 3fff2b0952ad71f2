//! What has become of an order, from what the vault is now and what still works on it.

use std::time::Duration;

use super::{Ordered, is_there};
use crate::condition::State;

/// How long whoever orders a lock waits to be told who holds files of the vault.
const SOUGHT_FOR: Duration = Duration::from_secs(5);

/// A vault of which something was ordered, as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Where it stands.
    pub state: State,
    /// Its files can be read, whoever wants that.
    pub is_open: bool,
    /// Long work on it is under way.
    pub works: bool,
    /// That was asked to end, and is about to.
    pub ends: bool,
    /// Who holds files of it is being looked for.
    pub seeks: bool,
    /// Plain files stand in its place, and are moved in when they can be.
    pub is_plain: bool,
    /// It stands, under a key that is not here.
    pub under_another: bool,
    /// The TPM is asked something, and has not answered.
    pub asks_tpm: bool,
    /// The share table is lost.
    pub table_lost: bool,
    /// A step of the node's own failed.
    pub node_failed: bool,
    /// The disk went: nothing comes of it before that is back.
    pub disk_went: bool,
}

/// What has become of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// The vault is as ordered.
    AsOrdered,
    /// It goes on by itself.
    UnderWay(Awaited),
    /// The vault came to rest otherwise.
    NotDone,
    /// The share table without which it can't be made could not be begun.
    NoTable,
    /// The disk went, and whoever ordered need not wait.
    DiskAway,
}

/// What an order that goes on waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// Long work on the vault.
    Work,
    /// The end of that.
    End,
    /// The TPM's answer.
    Tpm,
    /// Who holds files of it.
    Holders,
}

impl Now {
    /// What has become of an order that was given so long ago. What stood there before is not what was to be made anew; and plain files in a vault's
    /// place are read by whoever may, until they are moved in.
    #[must_use]
    pub fn became(&self, ordered: Ordered, ago: Duration) -> Became {
        match ordered {
            Ordered::Open | Ordered::MadeAnew if self.disk_went => Became::DiskAway,
            Ordered::Open => self.opened(),
            Ordered::Locked => self.locked(ago),
            Ordered::MadeAnew => self.made_anew(),
        }
    }

    fn opened(&self) -> Became {
        match self.state {
            State::Unlocked => Became::AsOrdered,
            _ if self.asks_tpm => Became::UnderWay(Awaited::Tpm),
            _ => Became::NotDone,
        }
    }

    /// The same of an order to open it by its recovery key: one that no list speaks of stays an orphan, and is open.
    #[must_use]
    pub fn recovered(&self) -> Became {
        match self.state {
            State::Unlocked => Became::AsOrdered,
            State::Orphan if self.is_open => Became::AsOrdered,
            _ => Became::NotDone,
        }
    }

    /// Files that are still open are no failure: it is locked when they are closed.
    fn locked(&self, ago: Duration) -> Became {
        match self.state {
            State::Unlocked => Became::NotDone,
            _ if self.is_plain && self.works => Became::UnderWay(Awaited::Work),
            _ if self.is_plain => Became::NotDone,
            State::LockIncomplete if self.ends => Became::UnderWay(Awaited::End),
            State::LockIncomplete if self.seeks && ago < SOUGHT_FOR => Became::UnderWay(Awaited::Holders),
            _ => Became::AsOrdered,
        }
    }

    fn made_anew(&self) -> Became {
        match self.state {
            _ if self.works => Became::UnderWay(Awaited::Work),
            _ if self.waits_for_table() => Became::UnderWay(Awaited::Tpm),
            _ if self.node_failed && self.table_lost => Became::NoTable,
            state if is_there(state) && !self.under_another => Became::AsOrdered,
            _ => Became::NotDone,
        }
    }

    /// A lost table is yet to be begun, or known to be there, when the TPM has answered.
    fn waits_for_table(&self) -> bool {
        self.asks_tpm && self.table_lost
    }

    /// Whether an order to make it anew is over: what goes missing later is not made without another.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        !self.works && !self.waits_for_table()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKED: Now = Now {
        state: State::Locked,
        is_open: false,
        works: false,
        ends: false,
        seeks: false,
        is_plain: false,
        under_another: false,
        asks_tpm: false,
        table_lost: false,
        node_failed: false,
        disk_went: false,
    };

    /// Whoever ordered is told that it is done only when it is, and that it goes on only while something works on it.
    #[test]
    fn an_order_is_told_as_done_when_it_is() {
        use Awaited::{End, Holders, Tpm, Work};
        use Became::{AsOrdered, DiskAway, NoTable, NotDone, UnderWay};
        use Ordered::{Locked, MadeAnew, Open};
        let (open, held) = (Now { state: State::Unlocked, ..LOCKED }, State::LockIncomplete);
        let seeks = Now { state: held, seeks: true, ..LOCKED };
        let plain = Now { state: State::Creating, is_plain: true, ..LOCKED };
        let missing = Now { state: State::Missing, table_lost: true, ..LOCKED };
        let soon = Duration::from_secs(4);
        for (ordered, now, ago, expected) in [
            (Open, open, soon, AsOrdered),
            (Open, Now { asks_tpm: true, ..open }, soon, AsOrdered),
            (Open, LOCKED, soon, NotDone),
            (Open, Now { asks_tpm: true, ..LOCKED }, soon, UnderWay(Tpm)),
            (Open, Now { disk_went: true, ..open }, soon, DiskAway),
            (Locked, open, soon, NotDone),
            (Locked, LOCKED, soon, AsOrdered),
            (Locked, missing, soon, AsOrdered),
            (Locked, Now { disk_went: true, ..LOCKED }, soon, AsOrdered),
            (Locked, Now { state: held, ..LOCKED }, soon, AsOrdered),
            (Locked, seeks, soon, UnderWay(Holders)),
            (Locked, seeks, SOUGHT_FOR, AsOrdered),
            (Locked, Now { works: true, ends: true, ..seeks }, soon, UnderWay(End)),
            (Locked, Now { works: true, ends: true, ..LOCKED }, soon, AsOrdered),
            (Locked, Now { works: true, ..seeks }, SOUGHT_FOR, AsOrdered),
            (Locked, plain, soon, NotDone),
            (Locked, Now { works: true, ..plain }, soon, UnderWay(Work)),
            (MadeAnew, open, soon, AsOrdered),
            (MadeAnew, LOCKED, soon, AsOrdered),
            (MadeAnew, Now { under_another: true, ..LOCKED }, soon, NotDone),
            (MadeAnew, Now { works: true, ..open }, soon, UnderWay(Work)),
            (MadeAnew, Now { asks_tpm: true, ..missing }, soon, UnderWay(Tpm)),
            (MadeAnew, Now { asks_tpm: true, ..open }, soon, AsOrdered),
            (MadeAnew, Now { node_failed: true, ..missing }, soon, NoTable),
            (MadeAnew, Now { node_failed: true, ..open }, soon, AsOrdered),
            (MadeAnew, missing, soon, NotDone),
            (MadeAnew, Now { disk_went: true, ..open }, soon, DiskAway),
        ] {
            assert_eq!(now.became(ordered, ago), expected, "{ordered:?} {ago:?}: {now:?}");
        }
    }

    /// An orphan that its recovery key opens is as ordered while it can be read, and stays an orphan.
    #[test]
    fn an_orphan_that_is_recovered_is_open() {
        let orphan = |is_open| Now { state: State::Orphan, is_open, ..LOCKED };
        assert_eq!(
            [orphan(true), orphan(false)].map(|now| now.recovered()),
            [Became::AsOrdered, Became::NotDone]
        );
        assert_eq!(LOCKED.recovered(), Became::NotDone);
        assert_eq!(Now { state: State::Unlocked, is_open: true, ..LOCKED }.recovered(), Became::AsOrdered);
    }

    /// Invariant 4: an order to make anew ends with what it waits for, and makes nothing that goes missing later.
    #[test]
    fn an_order_to_make_anew_ends_with_what_it_waits_for() {
        for (now, expected) in [
            (LOCKED, true),
            (Now { works: true, ..LOCKED }, false),
            (Now { asks_tpm: true, ..LOCKED }, true),
            (Now { asks_tpm: true, table_lost: true, ..LOCKED }, false),
        ] {
            assert_eq!(now.is_at_rest(), expected, "{now:?}");
        }
    }
}
