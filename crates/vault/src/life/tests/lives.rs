//! Random lives: an operator, a node and the time do what they like, through this module's functions alone, and what must hold is looked at
//! after each act. The keys, and what the node's protector is truly wrapped under, are kept beside it.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::{NOW, name, report, user};
use crate::condition::State;
use crate::ids::{CONFIG_VAULT, Epoch, Incarnation, SectionVersion, VaultId};
use crate::life::ListOf;
use crate::life::{
    Applied, AskedRemoval, AskedVault, Bundles, Contact, Deleted, Deletion, Disk, Gone, GraceEnd, Life,
    Listed, Move, NotDeleted, Phase, Rotated, Rotation, Target, Writer, applied,
};
use crate::policy::Removal;
use crate::section::{Custody, Encryption};

const HERE: Incarnation = Incarnation([1; 16]);

#[derive(Debug, Clone)]
enum Act {
    Apply {
        by: Writer,
        other: bool,
    },
    Delete {
        /// None: it is retained.
        grace_s: Option<u64>,
        /// In the place of what the policy says.
        said: bool,
        confirmed: bool,
    },
    Pass(u64),
    EndGrace,
    Rotate {
        force: bool,
    },
    Recreate {
        new_disk: bool,
    },
    /// The node takes the list, and the newest key if there is one.
    Contact,
    Report(State),
    Rehome {
        lost: bool,
    },
    BeginAnew,
}

fn act() -> impl Strategy<Value = Act> {
    let states = [State::Waiting, State::Locked, State::Unlocked, State::Missing, State::Removed];
    prop_oneof![
        (prop::sample::select(vec![Writer::Document, Writer::Rule]), any::<bool>())
            .prop_map(|(by, other)| Act::Apply { by, other }),
        (prop::option::weighted(0.8, prop_oneof![Just(0), 0..100_u64]), any::<bool>(), any::<bool>())
            .prop_map(|(grace_s, said, confirmed)| Act::Delete { grace_s, said, confirmed }),
        (0..80_u64).prop_map(Act::Pass),
        Just(Act::EndGrace),
        prop::bool::weighted(0.2).prop_map(|force| Act::Rotate { force }),
        any::<bool>().prop_map(|new_disk| Act::Recreate { new_disk }),
        Just(Act::Contact),
        prop::sample::select(states.to_vec()).prop_map(Act::Report),
        any::<bool>().prop_map(|lost| Act::Rehome { lost }),
        Just(Act::BeginAnew),
    ]
}

/// A vault, and all that its life must be true to.
#[derive(Debug)]
struct World {
    id: VaultId,
    life: Option<Life>,
    keys: BTreeSet<Epoch>,
    now: u64,
    version: u64,
    /// When the grace that runs may end at the soonest.
    promised: Option<u64>,
    /// What the node's protector is wrapped under, and the list that it has.
    node: Option<Epoch>,
    accepted: Option<SectionVersion>,
    /// The last state that the node said.
    said: Option<State>,
    forced: bool,
}

impl World {
    fn new(id: VaultId) -> Self {
        let life = Some(Life::Listed(Listed::new(Some(name("p")))));
        let keys = BTreeSet::from([Epoch(1)]);
        Self {
            id,
            life,
            keys,
            now: NOW,
            version: 1,
            promised: None,
            node: None,
            accepted: None,
            said: None,
            forced: false,
        }
    }

    fn act(&mut self, act: &Act) {
        match self.life.clone() {
            Some(Life::Listed(vault)) => self.listed(vault, act),
            Some(Life::Gone(gone)) => self.gone(gone, act),
            None => {}
        }
    }

    fn listed(&mut self, vault: Listed, act: &Act) {
        match *act {
            Act::Apply { by, other } => self.apply(vault, by, other),
            Act::Delete { grace_s, said, confirmed } => self.delete(vault, grace_s, (said, confirmed)),
            Act::Pass(seconds) => self.now += seconds,
            Act::EndGrace => {
                if let Ok(gone) =
                    vault.end_grace(GraceEnd { now: self.now, next_version: self.version + 1, older: false })
                {
                    self.leave(gone);
                }
            }
            Act::Rotate { force } => self.rotate(vault, force),
            Act::Recreate { new_disk } => {
                let disk = if new_disk { Disk::New } else { Disk::by([self.said, Some(State::Locked)]) };
                if let Ok(vault) = vault.order_anew(disk, Bundles::None) {
                    assert_eq!(self.said, Some(State::Missing), "only what the node misses is made anew");
                    self.life = Some(Life::Listed(vault));
                }
            }
            Act::Contact => {
                self.node = Some(vault.epochs.current());
                self.accepted = Some(SectionVersion { incarnation: HERE, version: self.version });
            }
            Act::Report(state) => {
                self.said = Some(state);
                let vault = vault.hear(&report(state, self.node.map(|epoch| epoch.0)), ListOf::Ours);
                self.life = Some(Life::Listed(vault));
            }
            Act::Rehome { lost } => self.rehome(vault, lost),
            Act::BeginAnew => self.begin_anew(vault),
        }
    }

    fn apply(&mut self, vault: Listed, by: Writer, other: bool) {
        let policy = name(if other { "q" } else { "p" });
        let encryption = Encryption::Aes256Xts;
        let wanted = vault.phase == Phase::Wanted;
        let wish = AskedVault { by, policy: &policy, encryption, present: Some(encryption) };
        match applied(self.id, Some(vault), wish, 0).expect("nothing is in the way") {
            Applied::Created(_) => panic!("it was there"),
            Applied::Unchanged => {}
            Applied::Left => assert!(!wanted && by == Writer::Rule, "a document counts"),
            Applied::Changed(vault) => {
                assert!(wanted || by == Writer::Document, "a rule kept what was removed");
                self.promised = None;
                self.life = Some(Life::Listed(vault));
            }
        }
    }

    fn delete(&mut self, vault: Listed, grace_s: Option<u64>, (said, confirmed): (bool, bool)) {
        let end = grace_s.map(|grace_s| self.now + grace_s);
        let removal = grace_s.map_or(Removal::Retain, |s| Removal::DeleteAfter(Duration::from_secs(s)));
        let asked = AskedRemoval { policy: removal, said: said.then_some(removal), confirmed };
        let how = Deletion { now: self.now, asked, next_version: self.version + 1, older: false };
        let became = match vault.delete(self.id, how) {
            Ok(became) => became,
            Err(NotDeleted::NoGrace) => {
                return assert!(!confirmed && grace_s == Some(0), "refused for nothing");
            }
        };
        match became {
            Deleted::Default(vault) => self.life = Some(Life::Listed(vault)),
            Deleted::Already { until } => {
                assert!(!said, "an end that was said counts");
                assert_eq!(Some(until), self.promised, "else a second word moves no end")
            }
            Deleted::Grace { vault, .. } | Deleted::Held { vault, .. } => {
                self.promised = end;
                self.life = Some(Life::Listed(vault));
            }
            Deleted::Retained { vault } => {
                self.promised = None;
                self.life = Some(Life::Listed(vault));
            }
            Deleted::AtOnce { vault, .. } => {
                assert!(confirmed, "erased at once by a word that was said once");
                self.promised = end;
                self.leave(vault);
            }
        }
    }

    /// As the controller does: the version counts up, and the keys go.
    fn leave(&mut self, gone: Gone) {
        assert!(self.promised.is_some_and(|end| end <= self.now), "a grace ended early, or none ran");
        self.version += 1;
        self.keys.clear();
        self.life = Some(Life::Gone(gone));
    }

    fn rotate(&mut self, vault: Listed, force: bool) {
        if let Ok(Rotated::Now { vault, .. }) = vault.rotate(true, Rotation { force, ..Rotation::default() })
        {
            self.forced |= force;
            assert!(self.keys.insert(vault.epochs.current()), "a number got a second key");
            self.life = Some(Life::Listed(vault));
        }
    }

    fn rehome(&mut self, vault: Listed, lost: bool) {
        let how = Move {
            same_device: false,
            lost,
            custody: Custody::Controller,
            in_tpm: false,
            older: None,
            others: Some(0),
            target: Target::Free,
        };
        if let Ok(moved) = vault.rehome(how) {
            assert!(lost, "a device that may be there lost a vault");
            self.said = None;
            self.life = Some(Life::Listed(moved.vault));
        }
    }

    fn begin_anew(&mut self, vault: Listed) {
        let wanted = vault.phase == Phase::Wanted;
        let Life::Listed(vault) = Life::Listed(vault).begun_anew() else { panic!("its keys are gone") };
        assert_eq!(vault.phase == Phase::Wanted, wanted, "opened, or locked, by no word of an operator's");
        (self.promised, self.said, self.accepted, self.version) = (None, None, None, 1);
        self.life = Some(Life::Listed(vault));
    }

    fn gone(&mut self, gone: Gone, act: &Act) {
        match *act {
            Act::Pass(seconds) => self.now += seconds,
            Act::Contact => {
                self.accepted = Some(SectionVersion { incarnation: HERE, version: self.version });
            }
            Act::Report(state) => {
                let said = Contact { accepted: self.accepted, state: Some(state) };
                if gone.forget(HERE, said).is_ok() {
                    assert_eq!(state, State::Removed, "a vault that is there was forgotten");
                    assert!(self.accepted.is_some_and(|at| at.version >= gone.left), "before its node knew");
                    self.life = None;
                }
            }
            _ => {}
        }
    }

    /// What is true after every act.
    fn holds(&self, before: Option<&Life>) {
        match (before, &self.life) {
            (Some(Life::Gone(_)), Some(Life::Listed(_))) => panic!("what is gone came back"),
            (None, Some(_)) => panic!("what is forgotten came back"),
            (Some(Life::Listed(before)), Some(Life::Listed(vault))) => {
                assert!(vault.epochs.current() >= before.epochs.current(), "an epoch fell");
                assert!(vault.made || !before.made, "what was made was never made");
            }
            _ => {}
        }
        match &self.life {
            Some(Life::Listed(vault)) => {
                let epochs = [vault.epochs.current(), vault.epochs.last()];
                assert!(epochs.iter().all(|epoch| self.keys.contains(epoch)), "listed, and without its keys");
                assert!(
                    self.forced || self.node.is_none_or(|epoch| vault.epochs.may_release(epoch)),
                    "the node is shut out, and nobody forced it"
                );
            }
            Some(Life::Gone(_)) | None => {
                assert!(self.keys.is_empty(), "gone, and with keys");
                assert!(!self.id.is_default(), "a default vault is gone");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_life_keeps_its_promises(
        default in prop::bool::weighted(0.2),
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let mut world = World::new(if default { CONFIG_VAULT } else { user() });
        for act in acts {
            let before = world.life.clone();
            world.act(&act);
            world.holds(before.as_ref());
        }
    }
}
