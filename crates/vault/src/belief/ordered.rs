//! The controller's orders to lock, which come beside a challenge while the section is withheld: a node whose evidence satisfies no policy
//! hears of no list, and yet is to lock what is open on it.
//!
//! An order only locks. It holds, over boots where the record could be written, until a live section of this node's own history says what
//! is wanted of each vault. One that is older than the section that was accepted last is over: whoever recorded it can't give it again.
//!
//! A controller that knows this node as another device than before (it was deleted, and let in anew) is obeyed in this alone: its word is for this
//! node's key and for this session, and hangs on the accepted root. Nobody else can make it, and what was recorded for an earlier session is none.
//! Nothing is deleted, made or opened by it.

use super::words::{Doubt, Saying};
use super::{Belief, Effect, Kept, LockOrders, Roots};
use crate::ids::SectionVersion;
use crate::shares::RootPin;
use crate::wanted::{Accepted, NotTaken, OrderedAt};

impl Belief {
    /// Orders of a live answer.
    pub(super) fn ordered(&mut self, root: RootPin, orders: LockOrders) -> Vec<Effect> {
        if self.is_early() {
            self.early_orders = Some((root, orders));
            return Vec::new();
        }
        let doubt = self.doubts(root, &orders);
        let at = match &doubt {
            Some(doubt) => Err((*doubt).into()),
            None => self.placed(&orders),
        };
        match at {
            Ok(at) => self.obey(LockOrders { at, ..orders }),
            Err(why) => {
                // A table that was lost may come back while this session lasts.
                self.early_orders = (doubt == Some(Doubt::TableLost)).then_some((root, orders));
                self.unheard = true;
                vec![Effect::Log(Saying::NotObeyed(Box::new(why)))]
            }
        }
    }

    /// Those that came before the device key and the pin were known.
    pub(super) fn early_orders(&mut self) -> Vec<Effect> {
        let orders = self.early_orders.take();
        orders.map(|(root, orders)| self.ordered(root, orders)).unwrap_or_default()
    }

    fn doubts(&self, root: RootPin, orders: &LockOrders) -> Option<Doubt> {
        if self.is_of_another_root(root) {
            return Some(Doubt::OtherRoot);
        }
        if self.roots == Roots::Lost {
            return Some(Doubt::TableLost);
        }
        if self.device_key != Some(orders.device_key) {
            return Some(Doubt::OtherDevice(orders.device));
        }
        (orders.session != self.session).then_some(Doubt::OtherSession)
    }

    /// Their place among the sections of this node's own history, or why they are over. Those for another device that it is taken for are
    /// numbered by that one's sections: they stand before the next of its own, and are over for good once such a one has lifted them.
    fn placed(&mut self, orders: &LockOrders) -> Result<SectionVersion, Saying> {
        let before = self.memory.kept().into_iter().chain(self.unsaved.as_deref());
        let accepted = before.map(|kept| &kept.record.accepted);
        match Accepted::next(accepted, orders.device, orders.at) {
            Ok(_) => Ok(orders.at),
            Err(NotTaken::OtherDevice { given, .. }) if !self.no_more_as.contains(&given) => {
                self.obeyed_as.insert(given);
                let next =
                    |at: SectionVersion| SectionVersion { version: at.version.saturating_add(1), ..at };
                Ok(self.accepted().map_or(orders.at, next))
            }
            Err(refused) => Err(refused.into()),
        }
    }

    fn obey(&mut self, orders: LockOrders) -> Vec<Effect> {
        // Those of before that are sent again are no later ones.
        let at = OrderedAt { device: orders.device, version: orders.at };
        self.ordered_at = self.ordered_at.filter(|known| is_after(known.version, at.version)).or(Some(at));
        if orders.vaults.is_subset(&self.desired.ordered) {
            return Vec::new();
        }
        let told = Saying::Ordered(orders.vaults.len());
        self.desired.ordered.extend(orders.vaults);
        let mut effects = vec![Effect::Log(told)];
        effects.extend(self.keep_ordered());
        effects.push(Effect::StartAfresh);
        effects
    }

    /// Writes the orders into the record, if that can be read. What waits to be written of a newer section came before them, and goes first.
    pub(super) fn keep_ordered(&self) -> Option<Effect> {
        let kept = self.memory.kept().filter(|_| self.is_readable() && self.unsaved.is_none())?;
        let (ordered, ordered_at) = (self.desired.ordered.clone(), self.own_ordered_at());
        let is_kept = (&kept.ordered, kept.ordered_at) == (&ordered, ordered_at);
        (!is_kept).then(|| Effect::Save(Box::new(Kept { ordered, ordered_at, ..kept.clone() })))
    }

    /// The place of the orders that hold, for the controller that gave them: one whose database is older, or another copy, did not number that far.
    /// Those that another device was given are placed here, and by no controller.
    #[must_use]
    pub fn own_ordered_at(&self) -> Option<OrderedAt> {
        self.ordered_at.filter(|_| self.obeyed_as.is_empty() && !self.desired.ordered.is_empty())
    }

    /// Whether a section follows what was ordered, and so says what of it holds. One that was accepted before and is sent again does not.
    pub(super) fn is_after_orders(&self, section: SectionVersion, anew: bool) -> bool {
        self.ordered_at.is_none_or(|OrderedAt { version: at, .. }| {
            if at.incarnation == section.incarnation { section.version >= at.version } else { anew }
        })
    }

    /// No order holds any longer.
    pub(super) fn lift(&mut self) {
        self.desired.ordered.clear();
        self.no_more_as.append(&mut self.obeyed_as);
        (self.ordered_at, self.early_orders, self.desired.lacks) = (None, None, None);
    }

    /// A record was read: also what was ordered in an earlier life, unless this one accepted a later section; and what it shows of this life's.
    pub(super) fn remember_all(&mut self, kept: Box<Kept>) {
        let accepted = kept.record.accepted.version;
        if self.ordered_at.take_if(|at| is_after(accepted, at.version)).is_some() {
            self.desired.ordered.clear();
        }
        if self.unsaved.is_none() {
            self.desired.ordered.extend(&kept.ordered);
            let later =
                |kept: &OrderedAt| self.ordered_at.is_none_or(|at| is_after(kept.version, at.version));
            self.ordered_at = kept.ordered_at.filter(later).or(self.ordered_at);
        }
        self.remember(kept);
    }
}

/// Whether a place is after another one of the same life of the controller's database. Of two lives nothing tells.
fn is_after(one: SectionVersion, other: SectionVersion) -> bool {
    one.incarnation == other.incarnation && one.version > other.version
}
