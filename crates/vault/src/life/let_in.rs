//! A device that is let in as the one whose lists its node holds to, though this database knows it as another one: it was put back from a copy,
//! and the device was registered anew since that was made. The identity is by the node's word and an operator's; nobody else may have it here.
//! What was sent under it is not in this database: so nothing is released to the device until an operator begins the database anew.

use crate::decide::{Bar, Bars};
use crate::ids::{DeviceId, Incarnation, Name, SectionDigest, SectionVersion};
use crate::ledger::{Ledger, Older};

/// What is known of a device, and of the identity that it is to have.
#[derive(Debug, Clone, Copy)]
pub struct LetIn<'a> {
    /// As it is known here.
    pub own: DeviceId,
    /// As it is to be known.
    pub wished: DeviceId,
    /// What its node told last, in the session whose evidence stands: for which device the list was that it accepted, and which list. Nothing,
    /// where no evidence stands, or that session has told nothing.
    pub told: Option<(DeviceId, SectionVersion)>,
    /// What was said of it, and seen of it.
    pub bars: Bars,
    /// Who else has that identity here.
    pub bearer: Bearer<'a>,
    /// What its node has open under a controller's key, and no row is kept of: a list of this database locks it.
    pub open: &'a [Name],
}

/// Who has an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer<'a> {
    /// Nobody.
    Nobody,
    /// A device that is registered.
    Registered(&'a Name),
    /// One that was deleted, and of which something is kept.
    Deleted(&'a Name),
}

/// Why a device is not let in so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotLetIn {
    /// It is marked as lost.
    Lost,
    /// It may be two: whose word it was is not known.
    Doubled,
    /// Its present session has given no good evidence, or has not told since whose lists its node holds to.
    Unproved,
    /// The same, and none is asked for: the database was put back, and nobody went through it yet.
    HeldBack,
    /// Its node holds to the lists of this very device.
    Itself,
    /// Its node holds to the lists of another one than was said.
    Otherwise {
        /// Of which.
        held_to: DeviceId,
    },
    /// A device that is registered has the identity.
    Registered {
        /// Its name.
        name: Name,
    },
    /// A deleted device has it, of which something is kept: that goes back to it otherwise.
    Deleted {
        /// Its name.
        name: Name,
    },
    /// The first list that it gets would close for good what its node has open, and nothing would hold that list back.
    Closes {
        /// Which vaults.
        vaults: Vec<Name>,
    },
}

impl LetIn<'_> {
    /// Whether it is let in; and how this database is older than it from then on, which it is unless its node's list is of a life that this
    /// database had before: that one goes on with the first list of this life. `here`: the present life.
    ///
    /// # Errors
    /// [`NotLetIn`].
    pub fn decide(&self, here: Incarnation, past: &[Incarnation]) -> Result<Option<Older>, NotLetIn> {
        // That the database is older is what it is for.
        match self.bars.of_a_poll() {
            Some(Bar::Lost) => return Err(NotLetIn::Lost),
            Some(Bar::Doubled) => return Err(NotLetIn::Doubled),
            None => {}
        }
        let held_back = self.bars.older == Some(Older::PutBack);
        let unproved = if held_back { NotLetIn::HeldBack } else { NotLetIn::Unproved };
        let (held_to, told) = self.told.ok_or(unproved)?;
        match self.bearer {
            _ if held_to == self.own => Err(NotLetIn::Itself),
            _ if held_to != self.wished => Err(NotLetIn::Otherwise { held_to }),
            Bearer::Registered(name) => Err(NotLetIn::Registered { name: name.clone() }),
            Bearer::Deleted(name) => Err(NotLetIn::Deleted { name: name.clone() }),
            Bearer::Nobody => match shown(here, past, told) {
                None if !self.open.is_empty() => Err(NotLetIn::Closes { vaults: self.open.to_vec() }),
                older => Ok(older),
            },
        }
    }
}

/// What a list shows of a database that never sent one under that identity.
fn shown(here: Incarnation, past: &[Incarnation], told: SectionVersion) -> Option<Older> {
    let none = SectionVersion { incarnation: here, version: 0 };
    // Its digest is not told in a report, and is held against nothing here.
    Ledger::default().hear(none, past, (told, SectionDigest([0; 32]))).err()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Incarnation = Incarnation([1; 16]);
    const PAST: [Incarnation; 1] = [Incarnation([7; 16])];

    fn device(n: u128) -> DeviceId {
        DeviceId(uuid::Uuid::from_u128(n))
    }

    fn at(incarnation: Incarnation, version: u64) -> SectionVersion {
        SectionVersion { incarnation, version }
    }

    fn of<'a>() -> LetIn<'a> {
        LetIn {
            own: device(1),
            wished: device(2),
            told: Some((device(2), at(HERE, 9))),
            bars: Bars::default(),
            bearer: Bearer::Nobody,
            open: &[],
        }
    }

    /// AC-2, TH-1: by its node's proved word alone, for the identity that an operator named, and never in the place of another device.
    #[test]
    fn a_device_is_let_in_as_whom_its_proved_word_and_an_operators_name_alone() {
        let (name, none) = ("edge-2".parse::<Name>().expect("a name"), Bars::default());
        let (lost, doubled) = (Bars { lost: true, ..none }, Bars { doubled: true, ..none });
        let older = Bars { older: Some(Older::PutBack), ..none };
        let behind = Some(Older::Behind { reported: 9, own: 0 });
        let (registered, deleted) = (Bearer::Registered(&name), Bearer::Deleted(&name));
        let elsewhere = Some((device(3), at(HERE, 9)));
        for (what, asked, expected) in [
            ("as it is", of(), Ok(behind)),
            ("of a database that was put back", LetIn { bars: older, ..of() }, Ok(behind)),
            ("lost", LetIn { bars: lost, ..of() }, Err(NotLetIn::Lost)),
            ("may be two", LetIn { bars: doubled, ..of() }, Err(NotLetIn::Doubled)),
            (
                "may be two, of a database that was put back",
                LetIn { bars: Bars { doubled: true, ..older }, ..of() },
                Err(NotLetIn::Doubled),
            ),
            ("not proved", LetIn { told: None, ..of() }, Err(NotLetIn::Unproved)),
            ("not proved, and put back", LetIn { told: None, bars: older, ..of() }, Err(NotLetIn::HeldBack)),
            ("its own", LetIn { told: Some((device(1), at(HERE, 9))), ..of() }, Err(NotLetIn::Itself)),
            (
                "its own, and named",
                LetIn { wished: device(1), told: Some((device(1), at(HERE, 9))), ..of() },
                Err(NotLetIn::Itself),
            ),
            ("another", LetIn { told: elsewhere, ..of() }, Err(NotLetIn::Otherwise { held_to: device(3) })),
            (
                "registered",
                LetIn { bearer: registered, ..of() },
                Err(NotLetIn::Registered { name: name.clone() }),
            ),
            ("deleted", LetIn { bearer: deleted, ..of() }, Err(NotLetIn::Deleted { name: name.clone() })),
        ] {
            assert_eq!(asked.decide(HERE, &PAST), expected, "{what}");
        }
    }

    /// Invariant 4: a database that never sent a list under that identity is older than the device, but where it had that life before.
    #[test]
    fn the_database_is_older_than_what_its_node_accepted() {
        let later = Incarnation([9; 16]);
        for (told, older) in [
            (at(HERE, 1), Some(Older::Behind { reported: 1, own: 0 })),
            (at(later, 1), Some(Older::LaterLife(later))),
            (at(PAST[0], 40), None),
        ] {
            let asked = LetIn { told: Some((device(2), told)), ..of() };
            assert_eq!(asked.decide(HERE, &PAST), Ok(older), "{told:?}");
        }
    }

    /// Seen-by-users 0.1, decision 92: what is open is taken in before a list locks it. A mark holds the lists back; where there is none, the device stays
    /// who it is.
    #[test]
    fn no_list_closes_what_is_open_without_a_row() {
        let open = ["day".parse::<Name>().expect("a name")];
        let closes = NotLetIn::Closes { vaults: open.to_vec() };
        for (told, decided) in
            [(at(PAST[0], 40), Err(closes)), (at(HERE, 9), Ok(Some(Older::Behind { reported: 9, own: 0 })))]
        {
            let asked = LetIn { told: Some((device(2), told)), open: &open, ..of() };
            assert_eq!(asked.decide(HERE, &PAST), decided, "{told:?}");
        }
    }
}
