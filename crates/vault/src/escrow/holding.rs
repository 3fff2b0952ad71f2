//! What a node knows, in one life, of what its controller holds of it in escrow, and what is to be sent by that. Nothing is put together, sealed or
//! opened here; whose word it is was judged before ([`crate::belief::Belief::voice`]).

use super::BundleId;
use crate::condition::{Escrow, Upcoming};
use crate::ids::Generation;

/// Which share table a bundle was made of: its generation and edition.
pub type Edition = (Generation, u64);

/// What the node's own controller says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperSays<K> {
    /// Who would keep bundles: the controller's key, and what it calls this device.
    pub keeper: Option<K>,
    /// It does keep them.
    pub keeps: bool,
    /// The newest that it holds; there where the node did not say that it knows.
    pub held: Option<BundleId>,
    /// What it holds is to be sent again.
    pub again: bool,
}

/// What is known of it. `K` is by what one keeper is told from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding<K> {
    keeper: Option<K>,
    /// The last that there was.
    kept_by: Option<K>,
    /// Something was heard of a keeper in this session.
    heard: bool,
    bundles: HeldBundles,
}

/// HeldBundles, by their identities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct HeldBundles {
    /// The newest that the controller says it holds.
    held: Option<BundleId>,
    /// The newest of the generation in force that it said.
    acknowledged: Option<BundleId>,
    /// That of the generation in force, of the parts as they were when it was put together.
    own: Option<BundleId>,
    made_of: Option<Edition>,
    /// What is to be there, sealed.
    sealed: Option<BundleId>,
}

impl<K> Default for Holding<K> {
    fn default() -> Self {
        Self { keeper: None, kept_by: None, heard: false, bundles: HeldBundles::default() }
    }
}

impl<K: PartialEq + Clone> Holding<K> {
    /// A word of the node's own controller, to this session. `after` is the generation after the one in force.
    pub fn hear(&mut self, word: KeeperSays<K>, after: Option<Generation>) {
        self.follow(word.keeper.as_ref());
        self.keeper = word.keeper.filter(|_| word.keeps);
        self.heard |= self.keeper.is_some();
        if let Some(held) = word.held {
            self.bundles.held = Some(held);
            if Some(held.generation) != after {
                self.bundles.acknowledged = Some(held);
            }
        }
        if word.again {
            (self.bundles.held, self.bundles.acknowledged) = (None, None);
        }
    }

    /// What one keeper holds another does not: another controller, or the same one that knows the device by another id since it was deleted.
    fn follow(&mut self, keeper: Option<&K>) {
        let Some(keeper) = keeper else { return };
        if self.kept_by.as_ref().is_some_and(|before| before != keeper) {
            self.bundles = HeldBundles::default();
        }
        self.kept_by = Some(keeper.clone());
    }

    /// Another controller was accepted: what one before it held is nothing to go by.
    pub fn leave(&mut self) {
        *self = Self::default();
    }

    /// Who keeps bundles now.
    #[must_use]
    pub fn keeper(&self) -> Option<&K> {
        self.keeper.as_ref()
    }

    /// The newest that the controller says it holds.
    #[must_use]
    pub fn held(&self) -> Option<BundleId> {
        self.bundles.held
    }

    /// That of the generation in force, once it was put together.
    #[must_use]
    pub fn own(&self) -> Option<BundleId> {
        self.bundles.own
    }

    /// As it is told. `remembered`: the share table says that a bundle may be in escrow, and before this session heard anything that is not called in
    /// question.
    #[must_use]
    pub fn standing(&self, remembered: bool) -> Escrow {
        let HeldBundles { held, acknowledged, own, .. } = self.bundles;
        match acknowledged {
            _ if own.is_some() && own == held => Escrow::Newest,
            Some(_) if acknowledged == own => Escrow::Newest,
            Some(_) => Escrow::Older,
            None if remembered && !self.heard => Escrow::Newest,
            None => Escrow::Nothing,
        }
    }

    /// How far the next generation is, by how far it is made here.
    #[must_use]
    pub fn upcoming(&self, made: Upcoming, after: Option<Generation>) -> Upcoming {
        let sealed = self.bundles.sealed;
        let held = made == Upcoming::Made && sealed.is_some() && sealed == self.bundles.held;
        if held && self.is_of(after) { Upcoming::Held } else { made }
    }

    /// Whether what is sealed is of that generation.
    fn is_of(&self, generation: Option<Generation>) -> bool {
        self.bundles.sealed.map(|id| id.generation) == generation
    }

    /// Whether a first bundle is to be made: there is none that it could take the place of.
    #[must_use]
    pub fn is_first(&self, remembered: bool) -> bool {
        !remembered && self.bundles.held.is_none()
    }

    /// Whether what is sealed is what there is to send, of the table as it is: the next generation's while that one is made, else that of the one in force.
    #[must_use]
    pub fn is_up_to_date(
        &self,
        table: Option<Edition>,
        after: Option<Generation>,
        is_next_made: bool,
    ) -> bool {
        let sealed = self.bundles.sealed.is_some();
        sealed && self.bundles.made_of == table && self.is_of(after) == is_next_made
    }

    /// The bundle of the generation in force was put together, of this table.
    pub fn put_together(&mut self, own: BundleId, of: Option<Edition>) {
        (self.bundles.own, self.bundles.made_of) = (Some(own), of);
    }

    /// Whether that one is sealed already.
    #[must_use]
    pub fn is_sealed(&self, id: BundleId) -> bool {
        self.bundles.sealed == Some(id)
    }

    /// This one is sealed, to be sent; or none is, for what is in escrow may be the only good one.
    pub fn seal(&mut self, id: Option<BundleId>) {
        self.bundles.sealed = id;
    }

    /// What is sealed, of which the controller may have said already that it holds it.
    #[must_use]
    pub fn sealed(&self) -> Option<BundleId> {
        self.bundles.sealed
    }

    /// What is to be sent.
    #[must_use]
    pub fn to_send(&self) -> Option<BundleId> {
        self.bundles.sealed.filter(|id| Some(*id) != self.bundles.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Generation = Generation(4);
    const NEXT: Option<Generation> = Some(Generation(5));

    fn id(generation: u32, byte: u8) -> BundleId {
        BundleId { generation: Generation(generation), digest: [byte; 32] }
    }

    fn word(keeper: &'static str, held: Option<BundleId>) -> KeeperSays<&'static str> {
        KeeperSays { keeper: Some(keeper), keeps: true, held, again: false }
    }

    /// One that has put together and sealed the bundle 4/1.
    fn sealed() -> Holding<&'static str> {
        let mut holding = Holding::default();
        holding.hear(word("ours", None), NEXT);
        holding.put_together(id(4, 1), Some((NOW, 9)));
        holding.seal(Some(id(4, 1)));
        holding
    }

    /// KO-1: what is told of the escrow, by what was heard in this session.
    #[test]
    fn what_is_in_escrow_is_what_the_controller_said_that_it_holds() {
        let mut silent = Holding::<&str>::default();
        assert_eq!(
            [false, true].map(|remembered| silent.standing(remembered)),
            [Escrow::Nothing, Escrow::Newest]
        );
        silent.hear(KeeperSays { keeps: false, ..word("ours", None) }, NEXT);
        assert_eq!(silent.standing(true), Escrow::Newest, "it keeps none, and said nothing of what it has");
        for (held, standing) in [
            (None, Escrow::Nothing),
            (Some(id(4, 1)), Escrow::Newest),
            (Some(id(4, 2)), Escrow::Older),
            (Some(id(5, 7)), Escrow::Nothing),
        ] {
            let mut holding = sealed();
            holding.hear(word("ours", held), NEXT);
            assert_eq!(holding.standing(true), standing, "{held:?}");
        }
        let mut before = sealed();
        before.hear(word("ours", Some(id(4, 2))), NEXT);
        before.hear(word("ours", Some(id(5, 7))), NEXT);
        assert_eq!(before.standing(true), Escrow::Older, "the next generation's says nothing of this one's");
    }

    /// What is held is not sent; what is to be sent again is, and so is all to another keeper.
    #[test]
    fn what_the_controller_holds_is_sent_once() {
        let mut holding = sealed();
        assert_eq!(holding.to_send(), Some(id(4, 1)));
        holding.hear(word("ours", Some(id(4, 1))), NEXT);
        assert_eq!(holding.to_send(), None);
        holding.hear(KeeperSays { again: true, ..word("ours", None) }, NEXT);
        assert_eq!((holding.to_send(), holding.standing(true)), (Some(id(4, 1)), Escrow::Nothing));
        for change in [|it: &mut Holding<_>| it.hear(word("other", None), NEXT), Holding::leave] {
            let mut holding = sealed();
            holding.hear(word("ours", Some(id(4, 1))), NEXT);
            change(&mut holding);
            assert_eq!((holding.held(), holding.own(), holding.sealed()), (None, None, None));
            assert!(!holding.is_up_to_date(Some((NOW, 9)), NEXT, false), "it is sealed to the other one");
        }
        let mut unnamed = sealed();
        unnamed.hear(KeeperSays { keeper: None, ..word("ours", None) }, NEXT);
        assert_eq!(
            (unnamed.keeper(), unnamed.sealed()),
            (None, Some(id(4, 1))),
            "nobody is named, nobody is another"
        );
    }

    /// What is sealed is made anew where the table changed, the next generation was made, or it was given up.
    #[test]
    fn what_is_sealed_is_of_the_table_as_it_is() {
        for (what, table, made, is) in [
            ("as it was", Some((NOW, 9)), false, true),
            ("the table changed", Some((NOW, 10)), false, false),
            ("the next generation was made", Some((NOW, 9)), true, false),
            ("the table is gone", None, false, false),
        ] {
            assert_eq!(sealed().is_up_to_date(table, NEXT, made), is, "{what}");
        }
        let mut next = sealed();
        next.seal(Some(id(5, 3)));
        assert!(next.is_sealed(id(5, 3)) && next.is_up_to_date(Some((NOW, 9)), NEXT, true));
        next.seal(None);
        assert!(!next.is_up_to_date(Some((NOW, 9)), NEXT, false));
    }

    /// Decision 60: the generation in force ends when the controller holds the next one's bundle, and not by another.
    #[test]
    fn the_next_generation_begins_when_its_bundle_is_held() {
        use Upcoming::{Free, Held, Made, Unmade};
        for (sealed_id, held, made, upcoming) in [
            (id(5, 3), id(5, 3), Made, Held),
            (id(5, 3), id(5, 2), Made, Made),
            (id(4, 1), id(4, 1), Made, Made),
            (id(5, 3), id(5, 3), Unmade, Unmade),
            (id(5, 3), id(5, 3), Free, Free),
        ] {
            let mut holding = sealed();
            holding.seal(Some(sealed_id));
            holding.hear(word("ours", Some(held)), NEXT);
            assert_eq!(holding.upcoming(made, NEXT), upcoming, "{sealed_id} {held} {made:?}");
        }
        assert_eq!(Holding::<&str>::default().upcoming(Made, NEXT), Made);
    }

    /// Only before the first bundle can none be the better one.
    #[test]
    fn a_first_bundle_is_one_that_takes_no_others_place() {
        let mut holding = Holding::default();
        assert_eq!([false, true].map(|remembered| holding.is_first(remembered)), [true, false]);
        holding.hear(word("ours", Some(id(4, 1))), NEXT);
        assert!(!holding.is_first(false));
    }
}
