//! What is heard while vaultmgr works. Between two of its steps orders are carried out and questions answered, and it is told how far it is:
//! others wait for the default vaults, and people for the rest. All else waits for the end of the work.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use vault::ids::VaultId;
use vault::ordered::{GIVEN_UP, Heard, OrderKind, OrderQueue, Ordered, Pause, Turn, turn};
use vault::report::VaultReport;
use vault::shares::RootPin;

use super::{Input, OurManager, Reply};
use crate::agents::vaultmgr::belief::orders::Order;
use crate::agents::vaultmgr::telling::{Telling, Touched};
use crate::bus::messages::{OrderError, SignedConfig, SignedWord, TpmStatus, VaultStatus};

/// While many vaults are taken, how often it is told how far that is.
const MEANWHILE: Duration = Duration::from_secs(1);

/// An order of root's, when it was given, and where it is answered.
pub(super) type Given = (Order, Instant, Reply<VaultReport>);

/// What came and has to wait: of each topic the newest.
#[derive(Default)]
pub(super) struct Later {
    /// They came between two steps of another one.
    pub(super) orders: OrderQueue<Given>,
    pub(super) errand: bool,
    pub(super) tpm: Option<TpmStatus>,
    pub(super) config: Option<SignedConfig>,
    pub(super) word: Option<SignedWord>,
    pub(super) accept: VecDeque<(RootPin, Reply<VaultStatus>)>,
}

impl Later {
    fn keep(&mut self, input: Input) {
        match input {
            Input::Order(given) => self.orders.keep(given.0.kind(), given.0.about(), given),
            Input::Errand => self.errand = true,
            Input::Tpm(status) => self.tpm = Some(status),
            Input::Config(config) => self.config = Some(config),
            Input::Word(word) => self.word = Some(word),
            Input::Accept(root, reply) => self.accept.push_back((root, reply)),
            Input::Vaults(_) => unreachable!("questions are answered at once"),
        }
    }

    fn order(&mut self) -> Option<Input> {
        self.orders.take().map(Input::Order)
    }

    fn take(&mut self) -> Option<Input> {
        Heard::IN_TURN.into_iter().find_map(|heard| match heard {
            Heard::Order => self.order(),
            Heard::Errand => std::mem::take(&mut self.errand).then_some(Input::Errand),
            Heard::Tpm => self.tpm.take().map(Input::Tpm),
            Heard::Accept => self.accept.pop_front().map(|(root, reply)| Input::Accept(root, reply)),
            Heard::Config => self.config.take().map(Input::Config),
            Heard::Word => self.word.take().map(Input::Word),
        })
    }
}

/// They are over by a lock that is carried out before them.
fn refuse(over: Vec<Given>) {
    over.into_iter().for_each(|(_, _, reply)| drop(reply.send(Err(OrderError::OutOfDate))));
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
        self.hear_all(manager);
        manager.take_up_holders(Instant::now());
        self.answer(manager, |waiting| waiting.wanted == Ordered::Locked);
        if self.told.elapsed() >= MEANWHILE {
            self.tell(manager, &Touched::All);
            self.told = Instant::now();
        } else if let Some(id) = taken.filter(|id| id.is_default()) {
            self.telling.tell_default(manager, id);
        }
    }

    /// What waited before what comes.
    fn hear_all(&mut self, manager: &mut OurManager) {
        loop {
            if let Some(input) = self.later.order() {
                self.meanwhile(manager, input);
            } else if let Ok(input) = self.inputs.try_recv() {
                self.comes(manager, input, Pause::Work);
            } else {
                return;
            }
        }
    }

    /// What came is kept, and questions are answered, while nothing may be carried out.
    fn gather(&mut self, manager: &mut OurManager) {
        while let Ok(input) = self.inputs.try_recv() {
            self.comes(manager, input, Pause::Together);
        }
    }

    /// Between two steps of an order.
    fn pause_of_order(&mut self, manager: &mut OurManager) {
        while let Ok(input) = self.inputs.try_recv() {
            self.comes(manager, input, Pause::Order);
        }
    }

    fn comes(&mut self, manager: &mut OurManager, input: Input, pause: Pause) {
        let Input::Order(given) = input else { return self.meanwhile(manager, input) };
        let (kind, id) = (given.0.kind(), given.0.about());
        match turn(pause, kind) {
            Turn::Now => {
                if kind == OrderKind::Lock {
                    refuse(self.later.orders.is_locked(id));
                }
                self.meanwhile(manager, Input::Order(given));
            }
            Turn::Next => {
                refuse(self.later.orders.next_is(kind, id, given));
                manager.hurry();
            }
            Turn::Later => self.later.keep(Input::Order(given)),
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
        let become_of =
            |waiting: &Waiting| manager.has_become(waiting.id, waiting.wanted, waiting.asked.elapsed());
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

    /// TH-3: whoever ordered what a lock makes out of date is told so, and does not wait; what is kept is taken in turn.
    #[test]
    fn whoever_ordered_what_a_lock_ends_is_told_so() {
        let other = VaultId(uuid::Uuid::from_u128(0xbe));
        let ((before, refused), (kept, waits)) =
            (given(Order::Unlock(IMAGE_VAULT)), given(Order::Unlock(other)));
        let mut later = Later::default();
        later.keep(Input::Errand);
        [before, kept].into_iter().for_each(|order| later.keep(Input::Order(order)));
        refuse(later.orders.is_locked(IMAGE_VAULT));
        assert!(matches!(refused.try_recv(), Ok(Err(OrderError::OutOfDate))));
        assert!(waits.try_recv().is_err(), "of another vault");
        let next = later.take();
        assert!(matches!(next, Some(Input::Order((Order::Unlock(id), ..))) if id == other));
        assert!(matches!(later.take(), Some(Input::Errand)));
        assert!(later.take().is_none());
    }
}
