//! The way to rest once faults have stopped, and what rest is: the plan has nothing to do, the controller's view is the node's, and the
//! vault is as its operator wants it, but where an image that was put back is older than what it can be opened by.

use vault::condition::State as Is;
use vault::life::{Life, Listed, Phase};
use vault::policy::Door;
use vault::report::VaultReport;

use super::{Action, Scenario, State};
use crate::search::Model as _;

impl State {
    /// None: it is at rest, as it should be.
    pub(super) fn next_without_faults(&self, scenario: &Scenario) -> Option<Action> {
        if let Some(next) = self.under_way() {
            return Some(next);
        }
        if self.settles_by_asking(scenario) {
            return Some(Action::Ask);
        }
        self.views_agree();
        if self.controller.older.is_some() && self.memory.older_database {
            return Some(Action::BeginAnew);
        }
        // Seen-by-users 0b.9: an old word that was sent again shuts no node out beyond its next life.
        if self.controller.older.is_some() && !self.memory.anew {
            return Some(Action::LivesAnew);
        }
        assert!(self.controller.older.is_none(), "marked at rest, and it never was ahead");
        if self.controller.listed().is_some_and(|listed| matches!(listed.phase, Phase::Grace { .. })) {
            return Some(Action::GraceEnds);
        }
        self.as_wanted();
        None
    }

    fn under_way(&self) -> Option<Action> {
        let next = [
            (!self.node.reads_record(), Action::RecordOpens),
            (self.node.is_due(), Action::Step),
            (self.request.is_some(), Action::Hear),
            (!self.answers.is_empty(), Action::Answer(0)),
        ];
        next.into_iter().find(|(due, _)| *due).map(|(_, action)| action)
    }

    /// Whether one more request changes anything.
    fn settles_by_asking(&self, scenario: &Scenario) -> bool {
        let mut after = self.clone();
        let before = scenario.digest(&after);
        after.happen(Action::Ask, scenario);
        after.happen(Action::Hear, scenario);
        after.check();
        !after.answers.is_empty() || scenario.digest(&after) != before
    }

    fn views_agree(&self) {
        let (Some(VaultReport { state, epoch, .. }), Some(listed)) =
            (self.node.word().report, self.controller.listed())
        else {
            return;
        };
        let said = listed.said.expect("a node at rest has told of its vault");
        assert_eq!(
            (said.state, said.epoch),
            (state, epoch),
            "the controller shows another state than the node's"
        );
    }

    fn as_wanted(&self) {
        let report = self.node.word().report;
        let (is, epoch) = report.map_or((Is::Removed, None), |report| (report.state, report.epoch));
        let Some(Life::Listed(listed)) = &self.controller.life else {
            return self.is_gone(is);
        };
        let shut = self.controller.lost || self.controller.policy.operation == Door::Lock;
        let locked = shut || listed.phase == Phase::Retained;
        if locked {
            return assert_ne!(is, Is::Unlocked, "open, and to be locked");
        }
        let newest = self.controller.policy.node.custody.needs_controller().then(|| listed.epochs.current());
        let behind = epoch != newest && !self.memory.older_database && !self.may_stay_shut(listed);
        assert!(is != Is::Unlocked || !behind, "open at rest under {epoch:?}, and {newest:?} is the newest");
        assert!(
            is == Is::Unlocked || self.may_stay_shut(listed),
            "at rest as {is}: {listed:?}, {:?}",
            self.memory
        );
    }

    fn is_gone(&self, is: Is) {
        let bare = !self.node.has_data() && self.controller.life.is_none();
        assert!(
            bare || self.memory.older_disk || self.memory.older_database,
            "removed, and {is} on its node"
        );
    }

    /// A boot that is not approved gets no key; and what was put back may be older than an erase, than two rotations, or than the vault.
    fn may_stay_shut(&self, listed: &Listed) -> bool {
        let shut = !self.node.is_measured();
        let key_gone = |by: Option<Option<u32>>| {
            by.flatten().is_some_and(|key| {
                let out = [listed.epochs.current(), listed.epochs.last()]
                    .map(|epoch| self.controller.keys.get(&epoch.0));
                !out.contains(&Some(&key))
            })
        };
        let keys_gone = self.node.wrapped_by().into_iter().all(key_gone);
        let older = self.memory.older_disk || self.memory.older_database || self.memory.forced;
        let erased = self.memory.older_disk && (self.node.lost_its_table() || !self.node.has_data());
        // An operator removed it, and then put back a database of before that.
        let removed = self.memory.ended && self.memory.older_database;
        shut || (older && keys_gone) || erased || removed
    }
}
