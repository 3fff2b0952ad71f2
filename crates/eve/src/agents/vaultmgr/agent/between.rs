//! What is heard while vaultmgr works. Between two of its steps orders are carried out and questions answered, and it is told how far it is:
//! others wait for the default vaults, and people for the rest. All else waits for the end of the work.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use vault::ids::VaultId;
use vault::report::VaultReport;
use vault::shares::RootPin;

use super::{Input, OurManager, Reply};
use crate::agents::vaultmgr::belief::orders::{GIVEN_UP, Order};
use crate::agents::vaultmgr::telling::{Telling, Touched};
use crate::bus::messages::{OrderError, Ordered, SignedConfig, SignedWord, TpmStatus, VaultStatus};

/// While many vaults are taken, how often it is told how far that is.
const MEANWHILE: Duration = Duration::from_secs(1);

/// An order of root's, when it was given, and where it is answered.
pub(super) type Given = (Order, Instant, Reply<VaultReport>);

/// What came and has to wait: of each topic the newest.
#[derive(Default)]
pub(super) struct Later {
    /// They came between two steps of another one.
    pub(super) orders: VecDeque<Given>,
    pub(super) errand: bool,
    pub(super) tpm: Option<TpmStatus>,
    pub(super) config: Option<SignedConfig>,
    pub(super) word: Option<SignedWord>,
    pub(super) accept: VecDeque<(RootPin, Reply<VaultStatus>)>,
}

impl Later {
    fn keep(&mut self, input: Input) {
        match input {
            Input::Order(given) => self.orders.push_back(given),
            Input::Errand => self.errand = true,
            Input::Tpm(status) => self.tpm = Some(status),
            Input::Config(config) => self.config = Some(config),
            Input::Word(word) => self.word = Some(word),
            Input::Accept(root, reply) => self.accept.push_back((root, reply)),
            Input::Vaults(_) => unreachable!("questions are answered at once"),
        }
    }

    /// What was ordered of a vault before a lock of it does not come after that.
    fn drop_orders(&mut self, id: VaultId) {
        let is_over = |(order, ..): &Given| order.about() == id && !is_lock(order);
        let (over, kept) = self.orders.drain(..).partition(is_over);
        self.orders = kept;
        let over: VecDeque<Given> = over;
        over.into_iter().for_each(|(_, _, reply)| drop(reply.send(Err(OrderError::OutOfDate))));
    }

    /// A lock goes before all other orders.
    fn keep_lock(&mut self, lock: Given) {
        self.drop_orders(lock.0.about());
        let others = self.orders.iter().position(|(order, ..)| !is_lock(order));
        self.orders.insert(others.unwrap_or(self.orders.len()), lock);
    }

    fn order(&mut self) -> Option<Input> {
        self.orders.pop_front().map(Input::Order)
    }

    fn take(&mut self) -> Option<Input> {
        let accept = |(root, reply)| Input::Accept(root, reply);
        let errand = |later: &mut Self| std::mem::take(&mut later.errand).then_some(Input::Errand);
        self.order()
            .or_else(|| errand(self))
            .or_else(|| self.tpm.take().map(Input::Tpm))
            .or_else(|| self.accept.pop_front().map(accept))
            .or_else(|| self.config.take().map(Input::Config))
            .or_else(|| self.word.take().map(Input::Word))
    }
}

fn is_lock(order: &Order) -> bool {
    matches!(order, Order::Lock(_))
}

/// An order that goes on by itself.
struct Waiting {
    id: VaultId,
    wanted: Ordered,
    asked: Instant,
    reply: Reply<VaultReport>,
}

/// Whom vaultmgr hears, and whom it answers.
pub(super) struct Between {
    inputs: Receiver<Input>,
    later: Later,
    telling: Telling,
    /// Who waits until a vault is as ordered, and since when.
    waiting: Vec<Waiting>,
    /// When it was told last how far a work is.
    told: Instant,
}

impl Between {
    /// With what came before.
    pub(super) fn new(inputs: Receiver<Input>, later: Later, telling: Telling) -> Self {
        Self { inputs, later, telling, waiting: Vec::new(), told: Instant::now() }
    }

    /// What is to be heard next.
    ///
    /// # Errors
    /// Nothing came for so long, or the bus is gone.
    pub(super) fn next(&mut self, patience: Duration) -> Result<Input, RecvTimeoutError> {
        match self.later.take() {
            Some(input) => Ok(input),
            None => self.inputs.recv_timeout(patience),
        }
    }

    /// Tells what may be new.
    pub(super) fn tell(&mut self, manager: &OurManager, touched: &Touched) {
        self.telling.tell(manager, touched);
    }

    /// A work begins.
    pub(super) fn begin(&mut self) {
        self.told = Instant::now();
    }

    /// Between two steps of a work; `taken`: that vault is done with.
    pub(super) fn pause(&mut self, manager: &mut OurManager, taken: Option<VaultId>) {
        if manager.writes_together() {
            return self.gather(manager);
        }
        while let Some(input) = self.later.order().or_else(|| self.inputs.try_recv().ok()) {
            self.meanwhile(manager, input);
        }
        manager.take_up_holders(Instant::now());
        self.answer(manager, |waiting| waiting.wanted == Ordered::Locked);
        if self.told.elapsed() >= MEANWHILE {
            self.tell(manager, &Touched::All);
            self.told = Instant::now();
        } else if let Some(id) = taken.filter(|id| id.is_default()) {
            self.telling.tell_default(manager, id);
        }
    }

    /// What came is kept, and questions are answered, while nothing may be carried out; a lock is the next that is.
    fn gather(&mut self, manager: &mut OurManager) {
        while let Ok(input) = self.inputs.try_recv() {
            match input {
                Input::Vaults(_) => self.meanwhile(manager, input),
                Input::Order(given) if is_lock(&given.0) => {
                    self.later.keep_lock(given);
                    manager.hurry();
                }
                input => self.later.keep(input),
            }
        }
    }

    /// Between two steps of an order: another vault's lock waits for no more than one, and any other order until this one is done.
    fn pause_of_order(&mut self, manager: &mut OurManager) {
        while let Ok(input) = self.inputs.try_recv() {
            match input {
                Input::Order((Order::Lock(id), ..)) => {
                    self.later.drop_orders(id);
                    self.meanwhile(manager, input);
                }
                Input::Vaults(_) => self.meanwhile(manager, input),
                input => self.later.keep(input),
            }
        }
    }

    fn meanwhile(&mut self, manager: &mut OurManager, input: Input) {
        match input {
            Input::Order(given) => {
                let touched = self.obey(manager, given);
                self.tell(manager, &touched);
            }
            Input::Vaults(reply) => drop(reply.send(Ok(manager.vault_status()))),
            input => self.later.keep(input),
        }
    }

    /// Carries an order out, and says of which vaults something may be new by that.
    pub(super) fn obey(&mut self, manager: &mut OurManager, (order, asked, reply): Given) -> Touched {
        let goes_on = match &order {
            Order::Recreate(id, ..) => Some((*id, Ordered::MadeAnew)),
            Order::Unlock(id) => Some((*id, Ordered::Open)),
            Order::Lock(id) => Some((*id, Ordered::Locked)),
            Order::Recover(..) => None,
        };
        let between = &mut |manager: &mut OurManager| self.pause_of_order(manager);
        let (answer, touched) = manager.obey_telling(&order, asked.elapsed(), between);
        match (answer, goes_on) {
            (Err(OrderError::UnderWay { .. }), Some((id, wanted))) => {
                self.waiting.push(Waiting { id, wanted, asked, reply });
            }
            // Whoever asked may have given up.
            (answer, _) => drop(reply.send(answer)),
        }
        touched
    }

    /// Answers those whose vault came to rest, and those who have waited for long.
    pub(super) fn answer_waiting(&mut self, manager: &OurManager) {
        self.answer(manager, |_| true);
    }

    /// Those of them. While vaults are being taken only a lock may be judged by what is: the others' turn may not have come.
    fn answer(&mut self, manager: &OurManager, whom: impl Fn(&Waiting) -> bool) {
        let become_of = |waiting: &Waiting| match waiting.wanted {
            Ordered::MadeAnew => manager.made_anew(waiting.id),
            Ordered::Open => manager.opened(waiting.id),
            Ordered::Locked => manager.locked(waiting.id, waiting.asked.elapsed()),
        };
        self.waiting.retain(|waiting| match become_of(waiting) {
            _ if !whom(waiting) => true,
            Err(OrderError::UnderWay { .. }) if waiting.asked.elapsed() < GIVEN_UP => true,
            answer => {
                drop(waiting.reply.send(answer));
                false
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use vault::ids::IMAGE_VAULT;

    use super::*;

    fn given(order: Order) -> (Given, Receiver<Result<VaultReport, OrderError>>) {
        let (reply, answer) = channel();
        ((order, Instant::now(), reply), answer)
    }

    /// TH-3: orders on one vault keep their order: what was ordered before a lock that comes between the steps of another one does not open the vault after it.
    #[test]
    fn no_order_of_before_a_lock_is_carried_out_after_it() {
        let other = VaultId(uuid::Uuid::from_u128(0xbe));
        let ((before, refused), (kept, waits)) =
            (given(Order::Unlock(IMAGE_VAULT)), given(Order::Unlock(other)));
        let mut later = Later::default();
        [before, kept].into_iter().for_each(|order| later.keep(Input::Order(order)));
        later.drop_orders(IMAGE_VAULT);
        assert!(matches!(refused.try_recv(), Ok(Err(OrderError::OutOfDate))));
        assert!(waits.try_recv().is_err(), "of another vault");
        let next = later.take();
        assert!(matches!(next, Some(Input::Order((Order::Unlock(id), ..))) if id == other));
        assert!(later.take().is_none());
    }

    /// TH-3: a lock that came while nothing may be carried out is the first that is, before orders of before it too; one of the same vault that was
    /// given twice is answered twice.
    #[test]
    fn th3_a_lock_that_was_kept_is_the_first_that_is_carried_out() {
        let other = VaultId(uuid::Uuid::from_u128(0xbe));
        let ((before, refused), (kept, waits)) =
            (given(Order::Unlock(IMAGE_VAULT)), given(Order::Unlock(other)));
        let mut later = Later::default();
        [before, kept].into_iter().for_each(|order| later.keep(Input::Order(order)));
        let (first, _first) = given(Order::Lock(IMAGE_VAULT));
        let (second, twice) = given(Order::Lock(IMAGE_VAULT));
        [first, second].into_iter().for_each(|lock| later.keep_lock(lock));
        assert!(matches!(refused.try_recv(), Ok(Err(OrderError::OutOfDate))));
        assert!(waits.try_recv().is_err() && twice.try_recv().is_err(), "these are carried out");
        for is_next in [true, true, false] {
            let next = later.take();
            assert!(matches!(next, Some(Input::Order((order, ..))) if is_lock(&order) == is_next));
        }
        assert!(later.take().is_none());
    }
}
