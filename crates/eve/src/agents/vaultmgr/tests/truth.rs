//! What is told of each vault, held against the kernel's own word and what lies on the disk: no status may say what is not so.

use vault::condition::{Key, MetaPlace};
use vault::ids::{Epoch, VaultId};
use vault::report::{State, VaultReport};

use super::node::Node;
use crate::agents::vaultmgr::hands::crypt::{CopyRead, Crypt, Found};
use crate::agents::vaultmgr::hands::kernel::Kernel;

/// Nothing is told as open, closed or gone that is not. What is damaged may be told as missing though all its files are there.
pub(super) fn openness_is_told_truly(node: &mut Node, when: &str) {
    for report in
        node.manager().vault_status().vaults.into_iter().filter(|report| report.state != State::Missing)
    {
        let truth = Truth::of(node, report.id);
        assert!(truth.allows_state(&report), "{when}: it is told {report:?}, and this is so: {truth:?}");
    }
}

/// No status says what is not so.
pub(super) fn told_truly(node: &mut Node, when: &str) {
    let reports = node.manager().vault_status().vaults;
    for report in reports {
        let truth = Truth::of(node, report.id);
        assert!(truth.allows(&report), "{when}: it is told {report:?}, and this is so: {truth:?}");
    }
}

/// What a vault is by the kernel's own word, and by what lies on the disk.
#[derive(Debug)]
struct Truth {
    /// The kernel's word on the key of the policy at its place, where there is one.
    key: Option<Key>,
    anything: bool,
    copies: [CopyRead; 2],
    share: bool,
}

impl Truth {
    fn of(node: &mut Node, id: VaultId) -> Self {
        let path = node.paths.vault(id);
        let manager = node.manager();
        let kernel: &Kernel = &manager.crypt.inner;
        let copies =
            [MetaPlace::First, MetaPlace::Second].map(|place| kernel.read(id, place).expect("reads"));
        let found = kernel.find(&path).expect("looks");
        let anything = found != Found::Nothing || copies.iter().any(|copy| *copy != CopyRead::Absent);
        let key = match found {
            Found::Policy { key, .. } => Some(kernel.key(key).expect("says")),
            _ => None,
        };
        Self { key, anything, copies, share: manager.known(id).seen.has_share() }
    }

    fn allows(&self, told: &VaultReport) -> bool {
        self.allows_state(told) && told.epoch.is_none_or(|epoch| !self.is_below(epoch))
    }

    fn allows_state(&self, told: &VaultReport) -> bool {
        match told.state {
            State::Unlocked => self.key == Some(Key::Present),
            State::Locked | State::Orphan => self.key == Some(Key::Absent),
            State::LockIncomplete => self.key == Some(Key::Incomplete),
            State::Waiting | State::Creating => self.key.is_none(),
            State::Missing => !self.is_whole(),
            State::Removed => !self.anything && !self.share,
            State::Failed => told.last.is_some() || !told.detail.is_empty(),
        }
    }

    fn is_whole(&self) -> bool {
        let copy = self.copies.iter().any(|copy| matches!(copy, CopyRead::Whole { .. }));
        self.key.is_some() && copy && self.share
    }

    /// A copy is still under less than the epoch that is told: the controller drops the keys of before then.
    fn is_below(&self, told: Epoch) -> bool {
        self.copies.iter().any(|copy| match copy {
            CopyRead::Whole { hint, .. } => hint.epoch().is_none_or(|epoch| epoch < told),
            CopyRead::Absent | CopyRead::Damaged => false,
        })
    }
}
