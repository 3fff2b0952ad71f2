//! A new key for a vault (VC-3, VC-4). One that its node could miss is not made unless it is forced: a key that is over goes out no more,
//! and a node that has only that does not open the vault again.

use super::{Listed, Phase};
use crate::ids::Epoch;
use crate::ledger::Older;
use crate::rotation::Epochs;

/// How a rotation is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Also when the node has not taken the epoch before.
    pub force: bool,
    /// Only from this epoch on: a request that is said twice rotates once.
    pub expect_epoch: Option<Epoch>,
    /// Its device was further on than this database.
    pub older: Option<Older>,
}

/// What becomes of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// A new key is current; all but the one before it are over.
    Now {
        /// The vault.
        vault: Listed,
        /// The node is not known to open it with either: where it stands.
        shut_out: Option<NodeAt>,
    },
    /// The same request was carried out before.
    Before,
}

/// Which epoch a node is known to have taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeAt {
    /// This one.
    Epoch(Epoch),
    /// It never said that it took this one, which is the newest.
    Silent {
        /// The newest.
        newest: Epoch,
    },
}

/// Why no new key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRotated {
    /// Its custody leaves the controller out.
    #[error("the controller has no key in it")]
    NoKeyHere,
    /// The newer copy of the database may have given its next number to another key.
    #[error("the database is older than its device: {0}")]
    Older(Older),
    /// Its grace runs.
    #[error("it is being removed")]
    Removing,
    /// It is at another epoch than the request expects, and not by this request.
    #[error("it is at epoch {current}, not {expected}")]
    Elsewhere {
        /// The newest.
        current: Epoch,
        /// What was expected.
        expected: Epoch,
    },
    /// Its node knows an epoch that was never made here: that number must not get a second key.
    #[error("its node is at epoch {node}, and {newest} is the newest")]
    NeverMade {
        /// The node's.
        node: Epoch,
        /// The newest here.
        newest: Epoch,
    },
    /// Its node would not open it again once it restarts.
    #[error("its node has not taken epoch {newest}")]
    NotTaken {
        /// Where the node stands.
        node: NodeAt,
        /// The newest.
        newest: Epoch,
    },
}

impl Listed {
    /// Makes a new epoch current. `needs_controller`: its custody has the controller's key in it.
    ///
    /// # Errors
    /// [`NotRotated`]: its keys stay as they are.
    pub fn rotate(self, needs_controller: bool, how: Rotation) -> Result<Rotated, NotRotated> {
        if let Some(older) = how.older {
            return Err(NotRotated::Older(older));
        }
        if !needs_controller {
            return Err(NotRotated::NoKeyHere);
        }
        if self.phase != Phase::Wanted {
            return Err(NotRotated::Removing);
        }
        let current = self.epochs.current();
        if let Some(expected) = how.expect_epoch.filter(|expected| *expected != current) {
            return said_before(self.epochs, expected);
        }
        if let Some(node) = self.never_made() {
            return Err(NotRotated::NeverMade { node, newest: current });
        }
        let shut_out = (!self.epochs.may_rotate(self.taken)).then(|| self.node_at());
        if let Some(node) = shut_out.filter(|_| !how.force) {
            return Err(NotRotated::NotTaken { node, newest: current });
        }
        Ok(Rotated::Now { vault: Self { epochs: self.epochs.rotate(), ..self }, shut_out })
    }

    /// The epoch that its node speaks of, when it was never made here: this controller's database is older than its node.
    #[must_use]
    pub fn never_made(&self) -> Option<Epoch> {
        self.said?.epoch.filter(|epoch| *epoch > self.epochs.current())
    }

    fn node_at(&self) -> NodeAt {
        self.taken.map_or(NodeAt::Silent { newest: self.epochs.current() }, NodeAt::Epoch)
    }
}

/// It stands at another epoch than was expected: at the next one, what is asked for was done.
fn said_before(epochs: Epochs, expected: Epoch) -> Result<Rotated, NotRotated> {
    if epochs.last() == expected {
        return Ok(Rotated::Before);
    }
    Err(NotRotated::Elsewhere { current: epochs.current(), expected })
}
