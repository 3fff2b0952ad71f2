//! What may yet come back from escrow: while it may, nothing is made anew in its place, but by root who gives it up. A controller's order waits for
//! its word on the bundle alone: that it may be given, its operator was asked.

use std::collections::{BTreeMap, BTreeSet};

use super::BundleId;
use super::restore::{asks_for_files, can_help, hangs_on_a_bundle, lacking};
use crate::cause::Cause;
use crate::condition::Node;
use crate::ids::VaultId;
use crate::plan::{Known, lacks_line};
use crate::wanted::Desired;

/// What the controller said last, in this session, of a bundle that was asked back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// One came. What the newest did not help is not hoped for any more.
    Came,
    /// It is withheld.
    Withheld,
    /// It holds none.
    NoneHeld,
}

impl Back {
    /// While it waits for evidence it has said nothing of the bundle; and so it is where this program does not know the cause, for on the word of a
    /// refusal things are made anew.
    #[must_use]
    pub fn of_refusal(why: &Cause) -> Option<Self> {
        match why {
            _ if why.waits_for_evidence() => None,
            Cause::Other { .. } => None,
            Cause::NoBundle => Some(Self::NoneHeld),
            _ => Some(Self::Withheld),
        }
    }
}

/// Which bundle came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The newest of its generation that the controller holds: there is no better one.
    Newest,
    /// An older one, which an operator chose.
    Older,
}

impl Which {
    /// `named`: the newest that the controller says it holds. One of another generation opens under other roots, and says nothing of this one.
    #[must_use]
    pub fn of(came: BundleId, named: Option<BundleId>) -> Self {
        match named {
            Some(newest) if newest.generation == came.generation && newest != came => Self::Older,
            _ => Self::Newest,
        }
    }
}

/// What the newest bundle was seen not to bring back, in this life: it is not asked for again, and nothing waits for it. An older one takes no hope away:
/// the newest is asked for still.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Hopeless {
    vaults: BTreeSet<VaultId>,
    /// Of these it has no line of the share table.
    lines: BTreeSet<VaultId>,
    table: bool,
}

impl Hopeless {
    /// Root gives up what the vault lacks, and with it the table where that is lost.
    pub fn give_up(&mut self, id: VaultId, table: bool) {
        self.vaults.insert(id);
        self.lines.insert(id);
        self.table |= table;
    }

    /// A bundle came, and has no line of the share table for these.
    pub fn has_no_line(&mut self, which: Which, of: impl IntoIterator<Item = VaultId>) {
        if which == Which::Newest {
            self.lines.extend(of);
        }
    }

    /// The bundle had no table of the roots that are there, or, if `false`, may have one yet.
    pub fn set_table(&mut self, which: Which, hopeless: bool) {
        self.table = hopeless && which == Which::Newest;
    }

    /// A bundle came, and these lack what they lacked. What could not be written, for want of room perhaps, the bundle has still: it is asked for
    /// again, and nothing takes its place until then.
    pub fn came(
        &mut self,
        which: Which,
        lacking: impl IntoIterator<Item = VaultId>,
        unwritten: &BTreeSet<VaultId>,
    ) {
        if which == Which::Newest {
            self.vaults.extend(lacking.into_iter().filter(|id| !unwritten.contains(id)));
        }
    }

    /// Whether a vault may be one that a bundle still helps, by a glance.
    #[must_use]
    pub fn leaves_hope(&self, id: VaultId, glance: KeyFilesSeen) -> bool {
        let bare = !glance.has_files || glance.none_fits;
        bare && !glance.discarded && !self.vaults.contains(&id)
    }

    /// The vault opened by its key files: what it loses later is asked for again.
    pub fn is_back(&mut self, id: VaultId) {
        self.lines.remove(&id);
        self.vaults.remove(&id);
    }
}

/// What is seen of a vault at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFilesSeen {
    /// A whole copy of its key files is there.
    pub has_files: bool,
    /// None of the keys that they name opened them.
    pub none_fits: bool,
    /// What was left of it was discarded, to make it anew.
    pub discarded: bool,
}

/// By what hopes are judged.
#[derive(Debug, Clone, Copy)]
pub struct Hopes<'a> {
    /// What is wanted.
    pub desired: &'a Desired,
    /// The node.
    pub node: &'a Node,
    /// The TPM gives its own root: without it nothing of a bundle is believed.
    pub gives_root: bool,
    /// What is not hoped for any more.
    pub hopeless: &'a Hopeless,
    /// What the controller said.
    pub back: Option<Back>,
}

impl Hopes<'_> {
    /// Whether a vault may be one that a bundle still helps, by a glance.
    #[must_use]
    pub fn is_hoped_for(&self, id: VaultId, glance: KeyFilesSeen) -> bool {
        self.hopeless.leaves_hope(id, glance)
    }

    /// Whether the bundle is to be asked back for files, of the vaults that are hoped for.
    #[must_use]
    pub fn asks_for_files(&self, hoped_for: &BTreeMap<VaultId, Known>) -> bool {
        if self.node.table_lost() {
            self.gives_root && !self.hopeless.table
        } else {
            asks_for_files(self.desired, hoped_for, self.node)
        }
    }

    /// Whether a bundle may have the line of a vault that the share table has none of, and that has key files: of one that has neither, what a
    /// bundle may have of it is [`lacking`]'s to say.
    #[must_use]
    pub fn may_have_line(&self, id: VaultId, glance: KeyFilesSeen, known: &Known) -> bool {
        let hopeless = self.hopeless.table || self.hopeless.lines.contains(&id);
        let hoped = self.gives_root && glance.has_files && !glance.discarded && !hopeless;
        hoped && lacks_line(id, known, self.desired, self.node)
    }

    /// Whether a bundle may have better key files of a vault than what lies there.
    #[must_use]
    pub fn can_help(&self, id: VaultId, known: &Known) -> bool {
        can_help(known) && !self.hopeless.vaults.contains(&id)
    }

    /// Whether a bundle may bring back what the vault lacks. With a lost table that is so of every vault: another table would take its place.
    fn may_come_back(&self, id: VaultId, glance: KeyFilesSeen, known: &Known) -> bool {
        if !self.gives_root {
            return false;
        }
        if self.node.table_lost() {
            return !self.hopeless.table;
        }
        let lacks = || !lacking(self.desired, &BTreeMap::from([(id, known.clone())]), self.node).is_empty();
        self.is_hoped_for(id, glance) && lacks() || self.may_have_line(id, glance, known)
    }

    /// Whether no order of the controller's makes it anew: that is so, and the controller was not heard on it.
    #[must_use]
    pub fn is_hoped(&self, id: VaultId, glance: KeyFilesSeen, known: &Known) -> bool {
        self.back.is_none() && self.may_come_back(id, glance, known)
    }

    /// Whether no order of root's makes it anew, but one that gives it up: root may put the directory back, and what the bundle has of it is asked for
    /// then.
    #[must_use]
    pub fn is_in_escrow(&self, id: VaultId, glance: KeyFilesSeen, known: &Known) -> bool {
        let away = self.gives_root && hangs_on_a_bundle(known);
        self.back != Some(Back::NoneHeld) && (away || self.may_come_back(id, glance, known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::{Dir, Key, Past, Seen, TableSeen, TpmSeen};
    use crate::decide::{Unmet, Withheld};
    use crate::ids::{Generation, IMAGE_VAULT};
    use crate::policy::Check;
    use crate::section::{BySeal, Encryption};
    use crate::shares::Mark;

    const BARE: KeyFilesSeen = KeyFilesSeen { has_files: false, none_fits: false, discarded: false };

    fn node(table: TableSeen) -> Node {
        Node {
            tpm: TpmSeen::Present { table, pcrs: true },
            measured: true,
            past: Past::NOTHING,
            escrow: crate::condition::Escrow::Nothing,
            since_boot: crate::lease::SinceBoot::default(),
            disk_went: false,
            table_lent: false,
        }
    }

    /// A made vault without key files.
    fn bare(dir: Dir) -> Known {
        let shares = BySeal { tpm: Some(Mark::Made), pcrs: None };
        Known { seen: Seen { dir, shares, key: Key::Absent, ..Seen::default() }, ..Known::default() }
    }

    /// UC-D, invariant 4: a controller that has no evidence yet refuses nothing, and has said nothing of the bundle; one that will not give it says so.
    /// What is said in words alone, or by a code of later, is no such word.
    #[test]
    fn what_only_waits_for_evidence_is_no_refusal() {
        for (why, back) in [
            (Withheld::NoEvidence.coarse(), None),
            (Withheld::MustQuote.coarse(), None),
            (Withheld::FromTheFuture.coarse(), None),
            (Withheld::Failed { check: Check::Pcrs, why: Unmet::NoTpm }.coarse(), Some(Back::Withheld)),
            (Withheld::DeviceLost.coarse(), Some(Back::Withheld)),
            (Cause::NoBundle, Some(Back::NoneHeld)),
            (Cause::Other { code: 99, words: "of a later controller".to_owned() }, None),
            (Cause::Other { code: 0, words: Cause::NoBundle.to_string() }, None),
            (Cause::Other { code: 0, words: Cause::DeviceLost.to_string() }, None),
        ] {
            assert_eq!(Back::of_refusal(&why), back, "{why:?}");
        }
    }

    /// Invariant 4: a line that the share table lacks is hoped for until a bundle came without it, or it is given up; and none that was discarded.
    #[test]
    fn a_line_is_hoped_for_until_a_bundle_came_without_it() {
        let good = crate::condition::MetaCopy::Good(crate::condition::Hint::NoEpoch);
        let dir = Dir::Vault(Encryption::Aes256Xts);
        let known =
            Known { seen: Seen { dir, first: good, second: good, ..Seen::default() }, ..Known::default() };
        let (desired, node) = (Desired::default(), node(TableSeen::Open));
        let seen = KeyFilesSeen { has_files: true, ..BARE };
        let may = |hopeless: &Hopeless, glance, gives_root| {
            let hopes = Hopes { desired: &desired, node: &node, gives_root, hopeless, back: None };
            hopes.may_have_line(IMAGE_VAULT, glance, &known)
        };
        let mut hopeless = Hopeless::default();
        assert!(may(&hopeless, seen, true) && !may(&hopeless, seen, false));
        assert!(!may(&hopeless, KeyFilesSeen { discarded: true, ..seen }, true));
        assert!(!may(&hopeless, BARE, true), "it is made anew, and a life ended after its files went");
        hopeless.has_no_line(Which::Older, [IMAGE_VAULT]);
        assert!(may(&hopeless, seen, true), "an older one came");
        hopeless.has_no_line(Which::Newest, [IMAGE_VAULT]);
        assert!(!may(&hopeless, seen, true), "a bundle came");
        hopeless.is_back(IMAGE_VAULT);
        assert!(may(&hopeless, seen, true), "it opened since, and lacks it anew");
        hopeless.give_up(IMAGE_VAULT, false);
        assert!(!may(&hopeless, seen, true));
        let mut of_others = Hopeless::default();
        of_others.set_table(Which::Older, true);
        assert!(may(&of_others, seen, true), "an older one has none");
        of_others.set_table(Which::Newest, true);
        assert!(!may(&of_others, seen, true), "the bundle has no table of these roots");
    }

    /// Invariant 4: what a bundle may bring back is made anew by no order, as long as that may be: the controller's until it was heard on the
    /// bundle, root's until it is known that there is none.
    #[test]
    fn nothing_is_made_anew_in_the_place_of_what_may_come_back() {
        let stands = Dir::Vault(Encryption::Aes256Xts);
        let given_up = Hopeless { vaults: [IMAGE_VAULT].into(), table: true, ..Hopeless::default() };
        let none = Hopeless::default();
        let seen = KeyFilesSeen { has_files: true, ..BARE };
        for (what, dir, glance, gives_root, hopeless, expected) in [
            (
                "it lacks its files",
                stands,
                BARE,
                true,
                &none,
                [(true, true), (false, true), (false, true), (false, false)],
            ),
            ("no TPM root", stands, BARE, false, &none, [(false, false); 4]),
            ("given up", stands, BARE, true, &given_up, [(false, false); 4]),
            ("whole", stands, seen, true, &none, [(false, false); 4]),
            ("discarded", stands, KeyFilesSeen { discarded: true, ..BARE }, true, &none, [(false, false); 4]),
            (
                "its directory is away",
                Dir::Absent,
                BARE,
                true,
                &none,
                [(false, true), (false, true), (false, true), (false, false)],
            ),
        ] {
            let (desired, node, known) = (Desired::default(), node(TableSeen::Open), bare(dir));
            let said = [None, Some(Back::Came), Some(Back::Withheld), Some(Back::NoneHeld)];
            let orders = said.map(|back| {
                let hopes = Hopes { desired: &desired, node: &node, gives_root, hopeless, back };
                (hopes.is_hoped(IMAGE_VAULT, glance, &known), hopes.is_in_escrow(IMAGE_VAULT, glance, &known))
            });
            assert_eq!(orders, expected, "{what}");
        }
    }

    /// Invariant 4: the newest is the one that the controller names; of another generation it is none that could come in place of this one.
    #[test]
    fn the_newest_is_the_one_that_the_controller_names() {
        let id = |generation, digest| BundleId { generation: Generation(generation), digest: [digest; 32] };
        for (named, expected) in [
            (Some(id(1, 1)), Which::Newest),
            (Some(id(1, 2)), Which::Older),
            (Some(id(2, 2)), Which::Newest),
            (None, Which::Newest),
        ] {
            assert_eq!(Which::of(id(1, 1), named), expected, "{named:?}");
        }
    }

    /// A lost table is every vault's: it is asked for by a TPM that gives its root, until it is given up.
    #[test]
    fn a_lost_table_is_hoped_for_by_all() {
        let (desired, node, whole) = (Desired::default(), node(TableSeen::Lost), Known::default());
        let seen = KeyFilesSeen { has_files: true, ..BARE };
        for (gives_root, table, hoped) in [(true, false, true), (false, false, false), (true, true, false)] {
            let mut hopeless = Hopeless::default();
            hopeless.set_table(Which::Newest, table);
            let hopes = Hopes { desired: &desired, node: &node, gives_root, hopeless: &hopeless, back: None };
            assert_eq!(hopes.asks_for_files(&BTreeMap::new()), hoped, "{gives_root} {table}");
            assert_eq!(hopes.is_hoped(IMAGE_VAULT, seen, &whole), hoped, "{gives_root} {table}");
        }
    }

    /// What a bundle did not bring is not asked for again, but where it could only not be written; what opened since is.
    #[test]
    fn what_did_not_come_back_is_not_asked_for_again() {
        let user = VaultId(uuid::Uuid::from_u128(5));
        let mut hopeless = Hopeless::default();
        hopeless.came(Which::Older, [IMAGE_VAULT, user], &BTreeSet::new());
        assert_eq!(hopeless, Hopeless::default(), "the newest is asked for still");
        hopeless.came(Which::Newest, [IMAGE_VAULT, user], &[user].into());
        let (desired, node) = (Desired::default(), node(TableSeen::Open));
        let is = |hopeless: &Hopeless, id| {
            Hopes { desired: &desired, node: &node, gives_root: true, hopeless, back: None }
                .is_hoped_for(id, BARE)
        };
        assert_eq!((is(&hopeless, IMAGE_VAULT), is(&hopeless, user)), (false, true));
        hopeless.is_back(IMAGE_VAULT);
        assert!(is(&hopeless, IMAGE_VAULT));
    }
}
