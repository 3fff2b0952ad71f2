//! vaultmgr on the bus: one thread decides, the others only carry what they hear to it. Here alone bus types meet ours.

mod away;
mod over_bus;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use vault::ids::{DeviceKey, VaultId};
use vault::report::VaultReport;
use vault::shares::RootPin;
use vault::wanted::Authority;
use wire::P256PublicKey;

use crate::agents::vaultmgr::belief::intake::TpmHeard;
use crate::agents::vaultmgr::belief::orders::{GIVEN_UP, Order};
use crate::agents::vaultmgr::generation::desk::Desk;
use crate::agents::vaultmgr::generation::roots::Tpmmgr;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::kernel::Kernel;
use crate::agents::vaultmgr::hands::prepare;
use crate::agents::vaultmgr::hands::tree::GiveWay;
use crate::agents::vaultmgr::manager::{Manager, Owner};
use crate::agents::vaultmgr::paths::Paths;
use crate::agents::vaultmgr::telling::{Telling, Touched};
use crate::bus::messages::{
    AcceptController, EscrowWish, LockVault, OrderError, Ordered, Recover, Recreate, Session, SignedConfig,
    SignedWord, Source, TpmStatus, UnlockVault, VaultStatus, Vaults,
};
use crate::bus::{Agent, Bus, Call, Topic};
use over_bus::OverBus;

/// How often kernel and disk are looked at though nothing was heard.
const LOOK: Duration = Duration::from_secs(10);
/// How soon roots that could not be read are asked for again.
const ROOTS_AGAIN: Duration = Duration::from_secs(2);

/// While many vaults are taken, how often it is told how far that is.
const MEANWHILE: Duration = Duration::from_secs(1);

type Reply<A> = Sender<Result<A, OrderError>>;
type OurManager = Manager<Kernel, OverBus>;
/// What is done between two steps.
type Pause<'a> = dyn FnMut(&mut OurManager, Option<VaultId>) + 'a;

/// All that vaultmgr listens to: a closed list.
enum Input {
    Tpm(TpmStatus),
    Config(SignedConfig),
    Word(SignedWord),
    Order(Order, Instant, Reply<VaultReport>),
    Accept(RootPin, Reply<VaultStatus>),
    Vaults(Reply<VaultStatus>),
    /// An errand to the TPM is over.
    Errand,
}

/// Runs vaultmgr until its process ends.
///
/// # Errors
/// The persist filesystem or randomness can't be used.
pub(crate) fn run(root: &Path, bus: &Bus) -> anyhow::Result<()> {
    let paths = Paths::new(root);
    let (sender, inputs) = listen(bus)?;
    let later = away::until_there(bus, &paths, &inputs)?;
    let kernel = open(&paths)?;
    let row = Agent::Zedagent.row();
    let owner = Owner { uid: row.uid, gid: row.gid };
    // Should nobody listen any more this life is over.
    let back = move || drop(sender.send(Input::Errand));
    let desk = Desk::apart(paths.clone(), OverBus::new(bus.clone()), back)?;
    let mut manager = Manager::start(paths, kernel, desk, owner)?;
    manager.take_up_locks().context(
        "run/eve/locked, which says what root locked here; remove it, and lock again what is to be locked",
    )?;
    manager.take_up_leases()?;
    manager.jobs.leave_to_threads(Arc::new(GiveWay));
    bus.publish(&session(&manager));
    let (telling, roots_at, waiting) = (Telling::new(bus.clone()), Instant::now(), Vec::new());
    let (bus, wish) = (bus.clone(), EscrowWish::default());
    Loop { manager, inputs, later, telling, bus, wish, tpm: None, roots_at, waiting }.run();
    Ok(())
}

/// Makes the folders of ours, and opens the filesystem that they lie on. Folders that were there may have been made by a life that was
/// cut: each that they lie in is synced, and once for all.
///
/// # Errors
/// The persist filesystem can't be used.
pub(crate) fn open(paths: &Paths) -> anyhow::Result<Kernel> {
    let opened = paths.disk().together(|| prepare::own_folders(paths).map(|()| Kernel::open(paths)));
    Ok(opened.context("syncing the folders on the persist filesystem")???)
}

/// This life, and what it asks with.
fn session<C: Crypt, T: Tpmmgr>(manager: &Manager<C, T>) -> Session {
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
    Input::Order(order, Instant::now(), reply)
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
    inputs: Receiver<Input>,
    /// What came between two vaults and has to wait for all of them: of each topic the newest.
    later: Later,
    telling: Telling,
    bus: Bus,
    /// What was said last that is wanted for the escrow.
    wish: EscrowWish,
    tpm: Option<TpmHeard>,
    /// When roots that could not be read are asked for again.
    roots_at: Instant,
    /// Who waits until a vault is as ordered, and since when.
    waiting: Vec<Waiting>,
}

/// An order that goes on by itself.
struct Waiting {
    id: VaultId,
    wanted: Ordered,
    asked: Instant,
    reply: Reply<VaultReport>,
}

#[derive(Default)]
struct Later {
    errand: bool,
    tpm: Option<TpmStatus>,
    config: Option<SignedConfig>,
    word: Option<SignedWord>,
    accept: VecDeque<(RootPin, Reply<VaultStatus>)>,
}

impl Later {
    fn take(&mut self) -> Option<Input> {
        let accept = |(root, reply)| Input::Accept(root, reply);
        let tpm = self.tpm.take().map(Input::Tpm);
        let errand = std::mem::take(&mut self.errand).then_some(Input::Errand);
        errand
            .or(tpm)
            .or_else(|| self.accept.pop_front().map(accept))
            .or_else(|| self.config.take().map(Input::Config))
            .or_else(|| self.word.take().map(Input::Word))
    }
}

impl Loop {
    fn run(mut self) {
        self.settle_all();
        let mut look = Instant::now() + LOOK;
        loop {
            let mut touched = match self.next(self.pause(look)) {
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => {
                    self.tick();
                    Touched::All
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.read_roots_again() {
                touched = Touched::All;
            }
            self.answer_waiting();
            let asks = self.manager.tend_leases();
            if Instant::now() >= look {
                self.manager.read_unsteady_root();
                self.manager.look_for_others();
                self.settle_all();
                look = Instant::now() + LOOK;
                touched = Touched::All;
            }
            self.tell_wish();
            self.telling.tell(&self.manager, &touched);
            // After what was accepted is told: zedagent asks at once, and for what follows the section that it knows of.
            if asks {
                self.bus.publish(&session(&self.manager));
            }
        }
    }

    fn next(&mut self, patience: Duration) -> Result<Input, RecvTimeoutError> {
        match self.later.take() {
            Some(input) => Ok(input),
            None => self.inputs.recv_timeout(patience),
        }
    }

    fn pause(&self, look: Instant) -> Duration {
        let roots = self.wants_roots().then_some(self.roots_at);
        let next = [Some(look), roots, self.manager.again()].into_iter().flatten().min().unwrap_or(look);
        next.saturating_duration_since(Instant::now())
    }

    fn take(&mut self, input: Input) -> Touched {
        match input {
            Input::Errand => self.welcome(),
            Input::Tpm(status) => self.hear_tpm(&status),
            Input::Config(config) => self.hear_config(&config),
            Input::Word(word) => self.hear_word(&word),
            Input::Accept(root, reply) => drop(reply.send(self.accept(root))),
            Input::Order(order, asked, reply) => {
                return obey(&mut self.manager, &mut self.waiting, &order, asked, reply);
            }
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

    fn tick(&mut self) {
        if self.pausing(|manager, pause| manager.tick_pausing(Instant::now(), pause)) {
            self.settle_all();
        }
    }

    /// Takes up what came of an errand to the TPM.
    fn welcome(&mut self) {
        if self.manager.welcome() {
            self.roots_at = Instant::now() + ROOTS_AGAIN;
            self.settle_all();
        }
    }

    /// Works on vaults. Between two of their steps orders are carried out and questions answered, and it is told how far it is: others wait for
    /// the default ones, and people for the rest.
    fn pausing<R>(&mut self, work: impl FnOnce(&mut OurManager, &mut Pause<'_>) -> R) -> R {
        let Self { manager, inputs, later, telling, waiting, .. } = self;
        let mut told = Instant::now();
        work(manager, &mut |manager, taken| {
            while let Ok(input) = inputs.try_recv() {
                let touched = match input {
                    Input::Order(order, asked, reply) => obey(manager, waiting, &order, asked, reply),
                    Input::Vaults(reply) => {
                        drop(reply.send(Ok(manager.vault_status())));
                        Touched::Nothing
                    }
                    Input::Errand => {
                        later.errand = true;
                        Touched::Nothing
                    }
                    Input::Tpm(status) => {
                        later.tpm = Some(status);
                        Touched::Nothing
                    }
                    Input::Config(config) => {
                        later.config = Some(config);
                        Touched::Nothing
                    }
                    Input::Word(word) => {
                        later.word = Some(word);
                        Touched::Nothing
                    }
                    Input::Accept(root, reply) => {
                        later.accept.push_back((root, reply));
                        Touched::Nothing
                    }
                };
                telling.tell(manager, &touched);
            }
            if told.elapsed() >= MEANWHILE {
                telling.tell(manager, &Touched::All);
                told = Instant::now();
            } else if let Some(id) = taken.filter(|id| id.is_default()) {
                telling.tell_default(manager, id);
            }
        })
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

    /// Answers those whose vault came to rest, and those who have waited for long.
    fn answer_waiting(&mut self) {
        let manager = &self.manager;
        let become_of = |waiting: &Waiting| match waiting.wanted {
            Ordered::MadeAnew => manager.made_anew(waiting.id),
            Ordered::Open | Ordered::Locked => manager.opened(waiting.id),
        };
        self.waiting.retain(|waiting| match become_of(waiting) {
            Err(OrderError::UnderWay { .. }) if waiting.asked.elapsed() < GIVEN_UP => true,
            answer => {
                drop(waiting.reply.send(answer));
                false
            }
        });
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

/// Carries an order out, and says of which vaults something may be new by that.
fn obey<C: Crypt, T: Tpmmgr>(
    manager: &mut Manager<C, T>,
    waiting: &mut Vec<Waiting>,
    order: &Order,
    asked: Instant,
    reply: Reply<VaultReport>,
) -> Touched {
    let goes_on = match order {
        Order::Recreate(id, ..) => Some((*id, Ordered::MadeAnew)),
        Order::Unlock(id) => Some((*id, Ordered::Open)),
        Order::Lock(_) | Order::Recover(..) => None,
    };
    let (answer, touched) = manager.obey_telling(order, asked.elapsed());
    match (answer, goes_on) {
        (Err(OrderError::UnderWay { .. }), Some((id, wanted))) => {
            waiting.push(Waiting { id, wanted, asked, reply });
        }
        // Whoever asked may have given up.
        (answer, _) => drop(reply.send(answer)),
    }
    touched
}

/// The device key's name, if it is a P-256 key.
fn key(point: &[u8]) -> Option<DeviceKey> {
    P256PublicKey::from_point(point).ok().map(|key| key.name())
}
