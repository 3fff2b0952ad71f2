//! What of all that came to vaultmgr is taken next, and what may come between two steps of a work. A lock goes before everything that makes or opens.

use std::collections::VecDeque;

use super::OrderKind;
use crate::ids::VaultId;

/// What comes to vaultmgr, and waits while it works: of each but orders the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Root orders something of a vault.
    Order,
    /// The TPM answered.
    Errand,
    /// What the TPM is.
    Tpm,
    /// Root accepts another controller.
    Accept,
    /// The controller's list.
    Config,
    /// The controller's word on the escrow.
    Word,
}

impl Heard {
    /// In the order in which they are taken: first root, who waits; then the TPM, which shows whom the node belongs to; whom root accepts, before
    /// what that one says; and the escrow last, which is given back for what the list wants.
    pub const IN_TURN: [Self; 6] =
        [Self::Order, Self::Errand, Self::Tpm, Self::Accept, Self::Config, Self::Word];
}

/// Where vaultmgr is when something comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Between two steps of its own work.
    Work,
    /// Among writes that are made durable together: nothing may be carried out.
    Together,
    /// Between two steps of an order.
    Order,
}

/// When an order is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Now,
    /// It is the next, and what it waits for is to make haste.
    Next,
    /// After what is under way, in the order in which they came.
    Later,
}

/// When an order that comes is carried out. A lock waits for one step at most.
#[must_use]
pub fn turn(pause: Pause, kind: OrderKind) -> Turn {
    match (pause, kind) {
        (Pause::Work, _) | (Pause::Order, OrderKind::Lock) => Turn::Now,
        (Pause::Together, OrderKind::Lock) => Turn::Next,
        (Pause::Order | Pause::Together, _) => Turn::Later,
    }
}

/// Orders that wait, each with what it takes.
#[derive(Debug)]
pub struct OrderQueue<T> {
    waiting: VecDeque<(OrderKind, VaultId, T)>,
}

impl<T> Default for OrderQueue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> OrderQueue<T> {
    /// One that came. A lock goes before all that makes or opens, and behind other locks.
    ///
    /// Returns those that are over by it: what was ordered of a vault before a lock of it does not come after that.
    #[must_use]
    pub fn next_is(&mut self, kind: OrderKind, id: VaultId, order: T) -> Vec<T> {
        let over = if kind == OrderKind::Lock { self.is_locked(id) } else { Vec::new() };
        let others = self.waiting.iter().position(|(kind, ..)| *kind != OrderKind::Lock);
        self.waiting.insert(others.unwrap_or(self.waiting.len()), (kind, id, order));
        over
    }

    /// One that came, behind all others.
    pub fn keep(&mut self, kind: OrderKind, id: VaultId, order: T) {
        self.waiting.push_back((kind, id, order));
    }

    /// A lock of a vault is carried out before these: returns those that are over by it.
    #[must_use]
    pub fn is_locked(&mut self, id: VaultId) -> Vec<T> {
        let is_over = |(kind, of, _): &(OrderKind, VaultId, T)| *of == id && *kind != OrderKind::Lock;
        let (over, kept) = self.waiting.drain(..).partition(is_over);
        self.waiting = kept;
        let over: VecDeque<_> = over;
        over.into_iter().map(|(.., order)| order).collect()
    }

    /// The next.
    pub fn take(&mut self) -> Option<T> {
        self.waiting.pop_front().map(|(.., order)| order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::IMAGE_VAULT;
    use OrderKind::{Lock, Recover, Recreate, Unlock};

    const OTHER: VaultId = VaultId(uuid::Uuid::from_u128(0xbe));

    fn all(queue: &mut OrderQueue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    /// TH-3: what was ordered of a vault before a lock of it does not open the vault after that. Of another vault it goes on.
    #[test]
    fn th3_no_order_of_before_a_lock_is_carried_out_after_it() {
        let mut queue = OrderQueue::default();
        for (kind, id, order) in [
            (Unlock, IMAGE_VAULT, "opens"),
            (Unlock, OTHER, "another"),
            (Recover, IMAGE_VAULT, "recovers"),
            (Recreate, IMAGE_VAULT, "makes"),
            (Lock, IMAGE_VAULT, "locks"),
        ] {
            queue.keep(kind, id, order);
        }
        assert_eq!(queue.is_locked(IMAGE_VAULT), ["opens", "recovers", "makes"]);
        assert_eq!(all(&mut queue), ["another", "locks"]);
    }

    /// TH-3: a lock that came while nothing may be carried out is the first that is, before orders of before it too; locks keep their order among them, and
    /// one that was given twice is carried out, and answered, twice.
    #[test]
    fn th3_a_lock_that_was_kept_is_the_first_that_is_carried_out() {
        let mut queue = OrderQueue::default();
        queue.keep(Unlock, IMAGE_VAULT, "opens");
        queue.keep(Unlock, OTHER, "another");
        assert_eq!(queue.next_is(Lock, IMAGE_VAULT, "first"), ["opens"]);
        assert!(queue.next_is(Lock, IMAGE_VAULT, "twice").is_empty());
        assert_eq!(queue.next_is(Lock, OTHER, "third"), ["another"]);
        queue.keep(Unlock, OTHER, "opens again");
        assert_eq!(all(&mut queue), ["first", "twice", "third", "opens again"]);
    }

    /// TH-3: between the steps of another order only a lock is carried out, and while writes are made durable together none is: a lock is the next.
    #[test]
    fn th3_a_lock_waits_for_one_step_at_most() {
        for kind in [Unlock, Recover, Recreate] {
            assert_eq!(turn(Pause::Work, kind), Turn::Now);
            assert_eq!(turn(Pause::Order, kind), Turn::Later);
            assert_eq!(turn(Pause::Together, kind), Turn::Later);
        }
        assert_eq!(
            [Pause::Work, Pause::Order, Pause::Together].map(|pause| turn(pause, Lock)),
            [Turn::Now, Turn::Now, Turn::Next]
        );
    }
}
