//! What keeps every key from a device, whatever it shows: said in one order, to who decides and to who tells.

use super::Bar;
use crate::ledger::Older;

/// What was said of a device, and seen of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bars {
    /// Its operator said that it is lost.
    pub lost: bool,
    /// It is past what this database says of it, or may be: [`held_back`](crate::ledger::held_back).
    pub older: Option<Older>,
    /// It may be two.
    pub doubled: bool,
}

/// What keeps every key from it before all else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    /// As [`Bar::Lost`]: that it is to lock goes out whatever the database is.
    Lost,
    /// No poll of its is taken in: [`Ledger::after`](crate::ledger::Ledger::after).
    Older(Older),
    /// As [`Bar::Doubled`].
    Doubled,
}

impl Bars {
    /// What counts of them.
    #[must_use]
    pub fn barred(self) -> Option<Barred> {
        match self {
            Self { lost: true, .. } => Some(Barred::Lost),
            Self { older: Some(older), .. } => Some(Barred::Older(older)),
            Self { doubled: true, .. } => Some(Barred::Doubled),
            Self { lost: false, older: None, doubled: false } => None,
        }
    }

    /// The same, as a decision on a poll takes it: one that was taken in.
    #[must_use]
    pub fn of_a_poll(self) -> Option<Bar> {
        match (Self { older: None, ..self }).barred()? {
            Barred::Lost => Some(Bar::Lost),
            Barred::Doubled => Some(Bar::Doubled),
            Barred::Older(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AC-7, TH-1: a device that is lost is told so before all else, and a doubt of the database comes before one of the device.
    #[test]
    fn what_bars_a_device_is_said_in_one_order() {
        let (put_back, none) = (Older::PutBack, Bars::default());
        let older = Some(put_back);
        for (bars, barred, of_a_poll) in [
            (none, None, None),
            (Bars { doubled: true, ..none }, Some(Barred::Doubled), Some(Bar::Doubled)),
            (Bars { older, ..none }, Some(Barred::Older(put_back)), None),
            (Bars { older, doubled: true, ..none }, Some(Barred::Older(put_back)), Some(Bar::Doubled)),
            (Bars { lost: true, ..none }, Some(Barred::Lost), Some(Bar::Lost)),
            (Bars { lost: true, older, doubled: true }, Some(Barred::Lost), Some(Bar::Lost)),
            (Bars { lost: true, doubled: true, ..none }, Some(Barred::Lost), Some(Bar::Lost)),
        ] {
            assert_eq!((bars.barred(), bars.of_a_poll()), (barred, of_a_poll), "{bars:?}");
        }
    }
}
