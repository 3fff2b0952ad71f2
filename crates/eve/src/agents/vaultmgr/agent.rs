//! vaultmgr on the bus: one thread decides, the others only carry what they hear to it. Here alone bus types meet ours.

mod alone;
mod away;
mod between;
mod due;
mod over_bus;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use disk::Disk;
use vault::ids::{DeviceKey, VaultId};
use vault::report::VaultReport;
use vault::shares::RootPin;
use vault::wanted::Authority;
use wire::P256PublicKey;

use crate::agents::vaultmgr::belief::intake::TpmHeard;
use crate::agents::vaultmgr::belief::orders::Order;
use crate::agents::vaultmgr::generation::desk::ErrandThread;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::kernel::Kernel;
use crate::agents::vaultmgr::hands::prepare;
use crate::agents::vaultmgr::hands::tree::GiveWay;
use crate::agents::vaultmgr::manager::{Manager, Owner};
use crate::agents::vaultmgr::paths::Paths;
use crate::agents::vaultmgr::telling::{Telling, Touched};
use crate::agents::vaultmgr::vault::jobs::{Jobs, Threads};
use crate::bus::messages::{
    AcceptController, EscrowWish, LockVault, OrderError, Recover, Recreate, Session, SignedConfig,
    SignedWord, Source, TpmStatus, UnlockVault, VaultStatus, Vaults,
};
use crate::bus::{Agent, Bus, Call, Topic};
use between::{Between, Given, Later};
use due::Due;
use over_bus::OverBus;

/// How often kernel and disk are looked at though nothing was heard.
const LOOK: Duration = Duration::from_secs(10);
/// At which look all is told of anew: once a minute.
const ALL_TOLD: u64 = 6;
/// How soon roots that could not be read are asked for again.
const ROOTS_AGAIN: Duration = Duration::from_secs(2);

type Reply<A> = Sender<Result<A, OrderError>>;
type OurManager = Manager<Kernel>;
/// What is done between two steps.
type Pause<'a> = &'a mut dyn FnMut(&mut OurManager, Option<VaultId>);

/// All that vaultmgr listens to: a closed list.
enum Input {
    Tpm(TpmStatus),
    Config(SignedConfig),
    Word(SignedWord),
    Order(Given),
    Accept(RootPin, Reply<VaultStatus>),
    Vaults(Reply<VaultStatus>),
    /// An errand to the TPM is over.
    Errand,
}

/// Runs vaultmgr until its process ends.
///
/// # Errors
/// The persist filesystem or randomness can't be used.
pub(crate) fn run(disk: &Disk, root: &Path, bus: &Bus) -> anyhow::Result<()> {
    let paths = Paths::on(disk.clone(), root);
    let (sender, inputs) = listen(bus)?;
    let mut later = away::until_there(bus, &paths, &inputs)?;
    // Kept as long as this process lives: nothing of ours is swept or written before.
    let _alone = alone::until_alone(bus, &paths, &inputs, &mut later)?;
    let kernel = open(&paths)?;
    let row = Agent::Zedagent.row();
    let owner = Owner { uid: row.uid, gid: row.gid };
    // Should nobody listen any more this life is over.
    let back = move || drop(sender.send(Input::Errand));
    let desk = ErrandThread::start(paths.clone(), OverBus::new(bus.clone()), back)?;
    let jobs = Jobs::of(Box::new(Threads(Arc::new(GiveWay))));
    let mut manager = Manager::start(paths, kernel, (Box::new(desk), jobs), owner)?;
    manager.take_up_locks().context(
        "run/eve/locked, which says what root locked here; remove it, and lock again what is to be locked",
    )?;
    manager.take_up_leases()?;
    bus.publish(&session(&manager));
    let between = Between::new(inputs, later, Telling::new(bus.clone()));
    Loop::new(manager, between, bus.clone()).run();
    Ok(())
}

/// The same of a manager that was started, while another thread asks for its vaults; until that ends.
#[cfg(test)]
pub(super) fn run_asked(
    manager: OurManager,
    bus: Bus,
    asker: impl FnOnce(&mut dyn FnMut() -> VaultStatus) + Send,
) {
    let (sender, inputs) = sync_channel(1);
    let put = move || {
        let (reply, answer) = channel();
        sender.send(Input::Vaults(reply)).expect("it is heard");
        answer
    };
    // The first question is there before anything is done.
    let mut first = Some(put());
    let mut ask = move || {
        let answer = first.take().unwrap_or_else(&put);
        answer.recv().expect("it is answered").expect("the vaults")
    };
    let between = Between::new(inputs, Later::default(), Telling::new(bus.clone()));
    thread::scope(|scope| {
        scope.spawn(move || asker(&mut ask));
        Loop::new(manager, between, bus).run();
    });
}

/// Whom it hears, with an order that has come.
#[cfg(test)]
pub(super) struct Came(Between);

#[cfg(test)]
impl Came {
    /// With where that order is answered.
    pub(super) fn of(order: Order, bus: Bus) -> (Self, Receiver<Result<VaultReport, OrderError>>) {
        let ((sender, inputs), (reply, answer)) = (sync_channel(1), channel());
        sender.send(now(order, reply)).expect("there is room");
        (Self(Between::new(inputs, Later::default(), Telling::new(bus))), answer)
    }

    /// With where a question after the vaults is answered.
    pub(super) fn asking(bus: Bus) -> (Self, Receiver<Result<VaultStatus, OrderError>>) {
        let ((sender, inputs), (reply, answer)) = (sync_channel(1), channel());
        sender.send(Input::Vaults(reply)).expect("there is room");
        (Self(Between::new(inputs, Later::default(), Telling::new(bus))), answer)
    }

    /// Between two steps of a work.
    pub(super) fn pause(&mut self, manager: &mut OurManager) {
        self.0.pause(manager, None);
    }

    /// Carries out another order.
    pub(super) fn obey(&mut self, manager: &mut OurManager, order: Order) {
        self.0.obey(manager, (order, Instant::now(), channel().0));
    }
}

/// Makes the folders of ours, and opens the filesystem that they lie on. Folders that were there may have been made by a life that was
/// cut: each that they lie in is synced, and once for all.
///
/// # Errors
/// The persist filesystem can't be used.
pub(crate) fn open(paths: &Paths) -> anyhow::Result<Kernel> {
    let opened =
        paths.disk().together(|| prepare::vaults_folder_to_read(paths).map(|()| Kernel::open(paths)));
    Ok(opened.context("syncing the folders on the persist filesystem")???)
}

/// This life, and what it asks with.
fn session<C: Crypt>(manager: &Manager<C>) -> Session {
    Session { key: manager.session_key(), lease: manager.lease_nonce() }
}

fn listen(bus: &Bus) -> std::io::Result<(SyncSender<Input>, Receiver<Input>)> {
    // Nothing piles up: an order waits behind one value of each topic at most, however fast those come.
    let (sender, receiver) = sync_channel(0);
    carry(bus, &sender, Input::Tpm)?;
    carry(bus, &sender, Input::Config)?;
    carry(bus, &sender, Input::Word)?;
    answer(bus, &sender, |UnlockVault { id }, reply| now(Order::Unlock(id), reply));
    answer(bus, &sender, |LockVault { id }, reply| now(Order::Lock(id), reply));
    answer(bus, &sender, |Recover { id, key }, reply| now(Order::Recover(id, key.0), reply));
    answer(bus, &sender, |Recreate { id, name, hope }, reply| now(Order::Recreate(id, name, hope), reply));
    answer(bus, &sender, |AcceptController { root }, reply| Input::Accept(RootPin(root), reply));
    answer(bus, &sender, |Vaults, reply| Input::Vaults(reply));
    Ok((sender, receiver))
}

fn now(order: Order, reply: Reply<VaultReport>) -> Input {
    Input::Order((order, Instant::now(), reply))
}

fn carry<T: Topic>(bus: &Bus, sender: &SyncSender<Input>, input: fn(T) -> Input) -> std::io::Result<()> {
    let (mut heard, sender) = (bus.subscribe::<T>(), sender.clone());
    let forward = move || heard.try_for_each(|value| sender.send(input(value)).ok());
    thread::Builder::new().name("carry".to_owned()).spawn(forward).map(drop)
}

fn answer<C: Call<Error = OrderError>>(
    bus: &Bus,
    sender: &SyncSender<Input>,
    input: fn(C, Reply<C::Answer>) -> Input,
) {
    let sender = sender.clone();
    bus.serve::<C>(move |_, call| {
        let (reply, answer) = channel();
        sender.send(input(call, reply)).map_err(|_| OrderError::Ending)?;
        answer.recv().map_err(|_| OrderError::Ending)?
    });
}

struct Loop {
    manager: OurManager,
    between: Between,
    bus: Bus,
    /// What was said last that is wanted for the escrow.
    wish: EscrowWish,
    tpm: Option<TpmHeard>,
    /// When roots that could not be read are asked for again.
    roots_at: Instant,
    /// When the manager has something to do of itself.
    due: Due,
    /// How often it was looked at the vaults though nothing was heard.
    looks: u64,
}

impl Loop {
    fn new(manager: OurManager, between: Between, bus: Bus) -> Self {
        let (wish, roots_at, due) = (EscrowWish::default(), Instant::now(), Due::default());
        Self { manager, between, bus, wish, tpm: None, roots_at, due, looks: 0 }
    }

    fn run(mut self) {
        self.settle_all();
        let mut look = Instant::now() + LOOK;
        loop {
            let patience = self.patience(look);
            let (mut touched, idle) = match self.between.next(patience) {
                Ok(input) => (self.take(input), false),
                Err(RecvTimeoutError::Timeout) => (Touched::Nothing, true),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // An order says itself of what something may be new by it.
            let news = self.manager.news();
            if self.due.take(Instant::now()) {
                touched = Touched::All;
                self.tick();
            } else if idle {
                self.tick();
            }
            if self.read_roots_again() {
                touched = Touched::All;
            }
            self.between.answer_waiting(&self.manager);
            let asks = self.pausing(|manager, pause| manager.tend_leases_pausing(pause));
            if Instant::now() >= look {
                touched = touched.and(self.look_though_all_is_quiet());
                look = Instant::now() + LOOK;
            }
            self.tell_wish();
            let touched = if self.manager.news() == news { touched } else { Touched::All };
            self.between.tell(&self.manager, &touched);
            // After what was accepted is told: zedagent asks at once, and for what follows the section that it knows of.
            if asks {
                self.bus.publish(&session(&self.manager));
            }
        }
    }

    fn patience(&mut self, look: Instant) -> Duration {
        let roots = self.wants_roots().then_some(self.roots_at);
        let due = self.due.by(self.manager.again());
        let next = [Some(look), roots, due].into_iter().flatten().min().unwrap_or(look);
        next.saturating_duration_since(Instant::now())
    }

    fn take(&mut self, input: Input) -> Touched {
        match input {
            Input::Errand => self.welcome(),
            Input::Tpm(status) => self.hear_tpm(&status),
            Input::Config(config) => self.hear_config(&config),
            Input::Word(word) => self.hear_word(&word),
            Input::Accept(root, reply) => drop(reply.send(self.accept(root))),
            Input::Order(given) => return self.between.obey(&mut self.manager, given),
            Input::Vaults(reply) => {
                drop(reply.send(Ok(self.manager.vault_status())));
                return Touched::Nothing;
            }
        }
        Touched::All
    }

    /// Takes every vault as far as it goes.
    fn settle_all(&mut self) {
        self.pausing(|manager, pause| manager.settle_all_pausing(pause));
    }

    /// Takes the next of those that rest, and those that do not, as far as they go. All are told of now and then, though nothing is known to be new of
    /// them.
    fn look_though_all_is_quiet(&mut self) -> Touched {
        self.manager.read_unsteady_root();
        self.pausing(|manager, pause| manager.look_for_others_pausing(|manager| pause(manager, None)));
        let found = self.pausing(|manager, pause| manager.look_around_pausing(pause));
        self.looks += 1;
        if self.looks.is_multiple_of(ALL_TOLD) { Touched::All } else { Touched::Found(found) }
    }

    fn tick(&mut self) {
        self.pausing(|manager, pause| manager.tick_pausing(Instant::now(), pause));
    }

    /// Takes up what came of an errand to the TPM.
    fn welcome(&mut self) {
        if self.pausing(|manager, pause| manager.welcome_pausing(pause)) {
            self.roots_at = Instant::now() + ROOTS_AGAIN;
        }
    }

    /// Works on vaults.
    fn pausing<R>(&mut self, work: impl FnOnce(&mut OurManager, Pause<'_>) -> R) -> R {
        let Self { manager, between, .. } = self;
        between.begin();
        work(manager, &mut |manager, taken| between.pause(manager, taken))
    }

    fn hear_tpm(&mut self, status: &TpmStatus) {
        let heard = match status {
            TpmStatus::Absent { device_key } => key(device_key).map(|key| TpmHeard::Absent { key }),
            TpmStatus::Ready { identity, measured } if !identity.other_tpm => {
                key(&identity.device_key).map(|key| TpmHeard::Ready { key, measured: *measured })
            }
            TpmStatus::Ready { .. } | TpmStatus::Failing { .. } => None,
        };
        let heard = heard.unwrap_or(TpmHeard::Failing);
        if self.tpm.replace(heard) != Some(heard) {
            self.tell_of_tpm(heard);
        }
        if heard == TpmHeard::Failing {
            self.manager.note_failing(&status.words());
        }
    }

    fn accept(&mut self, root: RootPin) -> Result<VaultStatus, OrderError> {
        self.manager.accept_root(root)?;
        self.settle_all();
        Ok(self.manager.vault_status())
    }

    fn hear_config(&mut self, config: &SignedConfig) {
        let authority = match config.source {
            Source::Live => Authority::Live,
            Source::Checkpoint => Authority::Checkpoint,
        };
        self.manager.read_root_certificate();
        self.manager.hear_config(authority, &config.envelope.0, &config.certs.0);
        self.settle_all();
    }

    fn hear_word(&mut self, word: &SignedWord) {
        self.manager.read_root_certificate();
        self.manager.hear_word(&word.envelope.0, &word.certs.0);
        self.settle_all();
    }

    /// Says what is wanted of the controller for the escrow, where that is new.
    fn tell_wish(&mut self) {
        let wish = self.manager.escrow_wish();
        if self.wish != wish {
            self.bus.publish(&wish);
            self.wish = wish;
        }
    }

    fn wants_roots(&self) -> bool {
        let asks = self.manager.waits_for_roots() && !self.manager.is_asking();
        matches!(self.tpm, Some(TpmHeard::Ready { .. })) && asks
    }

    /// Says whether it did.
    fn read_roots_again(&mut self) -> bool {
        let due = self.wants_roots() && Instant::now() >= self.roots_at;
        let heard = self.tpm.filter(|_| due);
        heard.into_iter().for_each(|heard| self.tell_of_tpm(heard));
        heard.is_some()
    }

    fn tell_of_tpm(&mut self, heard: TpmHeard) {
        self.pausing(|manager, pause| manager.hear_tpm(heard, pause));
        self.roots_at = Instant::now() + ROOTS_AGAIN;
        self.settle_all();
    }
}

/// The device key's name, if it is a P-256 key.
fn key(point: &[u8]) -> Option<DeviceKey> {
    P256PublicKey::from_point(point).ok().map(|key| key.name())
}
