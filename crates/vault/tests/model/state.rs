//! One node, one controller and what lies between them, as a value; what can happen to it; and what must hold after each of these.

mod can;
mod does;
mod rest;

use std::fmt::{Debug, Write as _};
use std::hash::{DefaultHasher, Hasher as _};

use attest::SessionKey;
use vault::ids::VaultId;
use vault::policy::Door;
use vault::section::{Custody, Seal};

use crate::controller::{Controller, Reply};
use crate::guards::Guard;
use crate::search::Model;
use crate::world::World;
use crate::world::evidence::Appraised;
use crate::world::seams::{Image, NewLife, Word};

pub(crate) const USER: VaultId = VaultId(uuid::Uuid::from_u128(77));
/// Most lives of vaultmgr: a session each. One more comes once faults have stopped.
const MOST_LIVES: u8 = 8;
/// Most answers on their way.
const MOST_ANSWERS: usize = 2;
/// A step has so many parts that a power cut can fall between.
const PARTS: usize = 3;

/// How often each thing can happen, in one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) losses: u8,
    pub(crate) repeats: u8,
    pub(crate) reorders: u8,
    /// Vaultmgr is killed, or the node boots, at any instant.
    pub(crate) cuts: u8,
    /// It boots, and the Config Vault opens later.
    pub(crate) unread: u8,
    /// It boots other software.
    pub(crate) unmeasured: u8,
    /// All that was on its way is lost with the controller's process.
    pub(crate) controller_restarts: u8,
    pub(crate) images: u8,
    /// The node's record is removed.
    pub(crate) records: u8,
    pub(crate) databases: u8,
    pub(crate) rotations: u8,
    /// An operator's word that the node may miss it.
    pub(crate) forced: u8,
    pub(crate) deletions: u8,
    /// Deletions that keep it without an end.
    pub(crate) retains: u8,
    pub(crate) undos: u8,
    pub(crate) doors: u8,
    pub(crate) losts: u8,
    /// A request is kept on the way, and sent again as often.
    pub(crate) polls: u8,
    /// What the controller sent long ago is in its ledger no more.
    pub(crate) moves_out: u8,
    /// And it no longer knows it.
    pub(crate) forgets: u8,
    /// Another custody is applied.
    pub(crate) custodies: u8,
}

/// A kind of run.
pub(crate) struct Scenario {
    pub(crate) custody: Custody,
    pub(crate) seal: Seal,
    /// The custody that is applied later.
    pub(crate) then: Custody,
    pub(crate) budget: Budget,
    /// What is taken away.
    pub(crate) without: Option<Guard>,
    /// It begins with a vault that is there, open, and at rest.
    made: bool,
    pub(crate) appraised: Appraised,
}

/// What the check itself remembers.
#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    /// There was data.
    written: bool,
    /// The operator's last word was to remove it.
    unwanted: bool,
    /// So it was after each of the operator's words.
    said: [bool; 8],
    /// How many of the operator's words the node's newest section was made after.
    words_heard: u8,
    /// So it was when its grace ended: from then on it may be gone.
    ended: bool,
    /// An older disk, or an older database, was put back.
    older_disk: bool,
    older_database: bool,
    /// A rotation was forced.
    forced: bool,
    /// A new life of the node has begun since it was marked, once faults had stopped.
    anew: bool,
}

#[derive(Debug, Clone)]
struct Request {
    word: Word,
    /// What it has of the configuration.
    has: Option<u64>,
    /// It was heard once.
    heard: bool,
}

#[derive(Clone)]
pub(crate) struct State {
    node: World,
    lives: u8,
    controller: Controller,
    request: Option<Request>,
    answers: Vec<Reply>,
    has: Option<u64>,
    /// And how many of the operator's words it had heard.
    image: Option<Box<(Image, u8)>>,
    database: Option<Box<Controller>>,
    /// Somebody kept it.
    old: Option<Word>,
    incarnations: u8,
    keys: u32,
    left: Budget,
    memory: Memory,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The node asks.
    Ask,
    /// The controller hears the request, or hears it once more.
    Hear,
    HearAgain,
    LoseRequest,
    /// It is kept by somebody, who sends it again later.
    KeepRequest,
    SendAgain,
    MovesOut,
    Forgets,
    /// An answer arrives, or arrives and will again.
    Answer(usize),
    AnswerAgain(usize),
    LoseAnswer(usize),
    Step,
    Cut {
        parts: usize,
        booted: bool,
    },
    Unread,
    RecordOpens,
    LoseRecord,
    Boot {
        measured: bool,
    },
    ControllerRestarts,
    TakeImage,
    PutImageBack,
    CopyDatabase,
    PutDatabaseBack,
    BeginAnew,
    /// A life of the node that no budget counts, once faults have stopped.
    LivesAnew,
    Rotate {
        force: bool,
    },
    Delete,
    Retain,
    Undo,
    GraceEnds,
    Turn(Door),
    Lost,
    Apply(Custody),
}

/// Of all that it is made of.
pub(crate) fn digest_of(what: &impl Debug) -> u64 {
    let mut digest = Digest::default();
    write!(digest, "{what:?}").expect("a digest takes all");
    digest.0.finish()
}

#[derive(Default)]
struct Digest(DefaultHasher);

impl std::fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

fn session(life: u8) -> SessionKey {
    SessionKey([life; 32])
}

impl Scenario {
    pub(crate) fn new(custody: Custody, seal: Seal, budget: Budget) -> Self {
        let appraised = Appraised::of((1..=MOST_LIVES + 1).map(session));
        Self { custody, seal, then: custody, budget, without: None, made: false, appraised }
    }

    pub(crate) fn made(self) -> Self {
        Self { made: true, ..self }
    }

    pub(crate) fn then(self, then: Custody) -> Self {
        Self { then, ..self }
    }

    pub(crate) fn without(self, guard: Guard) -> Self {
        Self { without: Some(guard), ..self }
    }
}

impl Model for Scenario {
    type State = State;
    type Action = Action;

    fn begin(&self) -> State {
        let twist: fn(&mut vault::plan::Known) = self.without.map_or(|_| {}, Guard::twist);
        let mut node = World::new(USER, true).twisted(twist);
        node.live_again(session(1), NewLife::Booted { measured: true });
        let mut state = State {
            node,
            lives: 1,
            controller: Controller::new(self.custody, self.seal).without(self.without),
            request: None,
            answers: Vec::new(),
            has: None,
            image: None,
            database: None,
            old: None,
            incarnations: 1,
            keys: 1,
            left: self.budget,
            memory: Memory::default(),
        };
        while self.made && self.mend(&mut state).is_some() {}
        state
    }

    fn digest(&self, state: &State) -> u64 {
        let State {
            node,
            lives,
            controller,
            request,
            answers,
            has,
            image,
            database,
            old,
            incarnations,
            keys,
            left,
            memory,
        } = state;
        let mut digest = Digest::default();
        node.told(&mut digest).expect("a digest takes all");
        let between = (request, answers, has, lives);
        write!(
            digest,
            "{controller:?}{between:?}{image:?}{database:?}{old:?}{incarnations}{keys}{left:?}{memory:?}"
        )
        .expect("a digest takes all");
        digest.0.finish()
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        [state.on_the_way(), state.at_the_node(), state.at_the_controller(self.then)].concat()
    }

    fn step(&self, state: &mut State, action: &Action) {
        state.happen(*action, self);
        state.check();
    }

    fn mend(&self, state: &mut State) -> Option<Action> {
        let next = state.next_without_faults(self)?;
        self.step(state, &next);
        Some(next)
    }
}

impl State {
    /// Invariants 4 and 6 by this check's own memory; 2 and 5 by the world's and the controller's. Nothing but an older database is taken for one,
    /// while it knows what it sent.
    fn check(&mut self) {
        self.node.controller_has(self.controller.keys.clone());
        let has_data = self.node.has_data();
        assert!(has_data || !self.memory.written || self.memory.ended, "data is lost, and nobody removed it");
        self.memory.written = has_data;
        let own = self.controller.older.filter(|_| !self.memory.older_database && !self.controller.forgot);
        assert_eq!(own, None, "marked by what this database sent");
        let unmeasured = !self.node.is_measured() && self.node.keys_at_hand().is_some();
        assert!(!unmeasured, "a key of the controller's is at hand in a boot that was not approved");
    }
}
