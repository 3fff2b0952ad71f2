//! The table of what damage does: from what was damaged, and how, to what opens, before any contact and after it, and what is said.
//! It is derived from what each vault needs; what does not follow from that stands as a row of its own.

use std::path::PathBuf;

use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT, VaultId};

use super::{BERLIN, Damage, Files, OTHER, damage, key_files};
use crate::agents::vaultmgr::tests::node::Node;

/// A file of ours: of a vault that the TPM opens, of one that needs the controller too, and of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// A vault's protector, in the first place or the second.
    Protector(VaultId, usize),
    /// Its policy.
    Policy(VaultId, usize),
    /// The share table, in the first place or the second.
    Table(usize),
    /// The record of sections, in the Config Vault: it can be reached while that is open alone.
    Record,
    /// A record that was put aside, there too.
    Aside,
    /// Whom the node believes, as installed.
    Root,
}

use Subject::{Aside, Policy, Protector, Record, Root, Table};

pub(super) const SUBJECTS: [Subject; 12] = [
    Protector(CONFIG_VAULT, 0),
    Protector(CONFIG_VAULT, 1),
    Policy(CONFIG_VAULT, 0),
    Policy(CONFIG_VAULT, 1),
    Protector(BERLIN, 0),
    Protector(BERLIN, 1),
    Policy(BERLIN, 0),
    Policy(BERLIN, 1),
    Table(0),
    Table(1),
    Record,
    Root,
];

/// The other vaults that the TPM alone opens, and what only people read. Each is tried alone, and with those of its own vault.
pub(super) const MORE: [Subject; 9] = [
    Protector(IMAGE_VAULT, 0),
    Protector(IMAGE_VAULT, 1),
    Policy(IMAGE_VAULT, 0),
    Policy(IMAGE_VAULT, 1),
    Protector(OTHER, 0),
    Protector(OTHER, 1),
    Policy(OTHER, 0),
    Policy(OTHER, 1),
    Aside,
];

/// What is damaged, and how.
pub(super) type Damaged = [(Subject, Damage)];

/// Whether the node mends its files by itself, by the next word of its controller: as far as the vaults open that lie in them.
pub(super) fn mends(damaged: &Damaged) -> bool {
    let is = expected(damaged);
    is.defaults == [true, true] && is.users[0] && has_keys(damaged, OTHER)
}

impl Subject {
    pub(super) fn path(self, node: &Node) -> PathBuf {
        match self {
            Protector(id, place) => key_files(node, id)[2 * place].clone(),
            Policy(id, place) => key_files(node, id)[2 * place + 1].clone(),
            Table(place) => node.paths.table(Generation::FIRST)[place].clone(),
            Record => node.paths.record(),
            Aside => node.paths.record_aside(),
            Root => node.paths.root_certificate(),
        }
    }

    /// Whose key file it is.
    pub(super) fn vault(self) -> Option<VaultId> {
        match self {
            Protector(id, _) | Policy(id, _) => Some(id),
            Table(_) | Record | Aside | Root => None,
        }
    }

    /// Whether it lies in the Config Vault.
    pub(super) fn is_inside(self) -> bool {
        matches!(self, Record | Aside)
    }

    /// A vault that was not made yet has no key files.
    fn is_there(self, node: &Node) -> bool {
        self.vault().is_none_or(|id| node.paths.metas().join(id.to_string()).exists())
    }
}

/// Of every subject that the node has, what `of` makes of it.
pub(super) fn of_each<T>(node: &Node, of: impl Fn(Subject) -> T) -> Vec<T> {
    SUBJECTS.into_iter().chain(MORE).filter(|subject| subject.is_there(node)).map(of).collect()
}

/// All of them, as they lie there. The Config Vault must be open.
pub(super) fn copies(node: &Node) -> Files {
    let read = |subject: Subject| (subject.path(node), std::fs::read(subject.path(node)).expect("reads"));
    of_each(node, read).into_iter().collect()
}

/// What is to be put in their places: what they were, and what another node's are.
pub(super) struct Others {
    pub(super) older: Files,
    pub(super) foreign: Files,
}

impl Others {
    pub(super) fn put(&self, path: &std::path::Path, what: Damage) {
        damage(path, what, if what == Damage::Foreign { &self.foreign } else { &self.older });
    }
}

/// What is expected of a damaged node.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// The Config Vault and the Image Vault open with no contact.
    pub(super) defaults: [bool; 2],
    /// After a word of the controller's: the vault that needs it, and the one that came later and needs the TPM alone.
    pub(super) users: [bool; 2],
    /// What is to be said of the node, in one of these words; nothing where there are none.
    pub(super) says: &'static [&'static str],
}

/// Another certificate, or what is none.
const NOT_BELIEVED: &[&str] =
    &["another root certificate than at first contact", "configuration was refused"];

fn done(damaged: &Damaged, subject: Subject) -> Damage {
    damaged.iter().find(|(of, _)| *of == subject).map_or(Damage::None, |(_, what)| *what)
}

/// What it was before a change opens by the key of before.
fn is_good(damaged: &Damaged, subject: Subject) -> bool {
    matches!(done(damaged, subject), Damage::None | Damage::Older)
}

/// Whether one protector and one policy are left, wherever.
pub(super) fn has_keys(damaged: &Damaged, id: VaultId) -> bool {
    let either =
        |of: fn(VaultId, usize) -> Subject| is_good(damaged, of(id, 0)) || is_good(damaged, of(id, 1));
    either(Protector) && either(Policy)
}

pub(super) fn expected(damaged: &Damaged) -> Expected {
    let is = |subject| done(damaged, subject);
    let good = |subject| is_good(damaged, subject);
    let has_keys = |id| has_keys(damaged, id);
    let table = good(Table(0)) || good(Table(1));
    // The vault that came later has its share in the newest table alone.
    let newest = is(Table(0)) == Damage::None || is(Table(1)) == Damage::None;
    let config = table && has_keys(CONFIG_VAULT);
    let heard = table && good(Root);
    let says = if good(Root) { &[][..] } else { NOT_BELIEVED };
    let image = table && has_keys(IMAGE_VAULT);
    let users = [heard && has_keys(BERLIN), heard && newest && has_keys(OTHER)];
    Expected { defaults: [config, image], users, says }
}

/// The rows that the derivation is held against: what it says where somebody would ask.
#[test]
fn the_table_says_what_a_person_would() {
    use Damage::{Flipped, Foreign, Older, Removed};
    let all = Expected { defaults: [true, true], users: [true, true], says: &[] };
    let rows: [(&str, &Damaged, Expected); 11] = [
        ("nothing is damaged", &[], all),
        (
            "a protector and the other place's policy",
            &[(Protector(BERLIN, 0), Removed), (Policy(BERLIN, 1), Removed)],
            Expected { defaults: [true, true], users: [true, true], says: &[] },
        ),
        (
            "both protectors of one vault",
            &[(Protector(BERLIN, 0), Flipped(9)), (Protector(BERLIN, 1), Removed)],
            Expected { defaults: [true, true], users: [false, true], says: &[] },
        ),
        (
            "both policies of the Config Vault",
            &[(Policy(CONFIG_VAULT, 0), Removed), (Policy(CONFIG_VAULT, 1), Foreign)],
            Expected { defaults: [false, true], users: [true, true], says: &[] },
        ),
        (
            "both protectors of the Image Vault",
            &[(Protector(IMAGE_VAULT, 0), Removed), (Protector(IMAGE_VAULT, 1), Flipped(0))],
            Expected { defaults: [true, false], users: [true, true], says: &[] },
        ),
        (
            "both policies of a vault that the TPM alone opens",
            &[(Policy(OTHER, 0), Foreign), (Policy(OTHER, 1), Removed)],
            Expected { defaults: [true, true], users: [true, false], says: &[] },
        ),
        (
            "both tables",
            &[(Table(0), Removed), (Table(1), Foreign)],
            Expected { defaults: [false, false], users: [false, false], says: &[] },
        ),
        (
            "both tables are older",
            &[(Table(0), Older), (Table(1), Older)],
            Expected { defaults: [true, true], users: [true, false], says: &[] },
        ),
        (
            "the record",
            &[(Record, Flipped(0))],
            Expected { defaults: [true, true], users: [true, true], says: &[] },
        ),
        (
            "another node's record",
            &[(Record, Foreign)],
            Expected { defaults: [true, true], users: [true, true], says: &[] },
        ),
        (
            "the root certificate",
            &[(Root, Removed)],
            Expected { defaults: [true, true], users: [false, false], says: NOT_BELIEVED },
        ),
    ];
    for (what, damaged, is) in rows {
        assert_eq!(expected(damaged), is, "{what}");
    }
}
