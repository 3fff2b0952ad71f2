//! What the shell does with a plan: runs to rest, stops at any step, and checks what rest means.

use super::*;

impl World {
    /// Runs to rest. Converges: sixty steps are more than any life of a vault needs.
    pub(crate) fn settle(&mut self) -> State {
        assert!(self.run(60) < 60, "the plan does not settle: {:?} at {:?}", self.ask(), self.seen());
        let (wish, next) = self.ask();
        let state = self.seen().state();
        if !AtHand::of(state).keys {
            (self.memory.held, self.memory.recovered) = (None, None);
        }
        let Next::Settled(settled) = next else { return state };
        self.dead_if_told(&settled.notes);
        if settled.state == State::Unlocked {
            self.open_as_leased(&wish);
            self.at_rest_open(&wish, settled.notes.is_empty());
        }
        settled.state
    }

    /// Open and at rest: data is written, and with nothing left to say both copies are as the live policy asks.
    pub(super) fn at_rest_open(&mut self, wish: &Wish, done: bool) {
        if let MetaPlace::Vault { data, .. } = &mut self.disk.place {
            *data = true;
        }
        self.reported |= self.in_force().is_some();
        let Wish::Keep(want) = wish else { return };
        if want.authority != Authority::Live || !done {
            return;
        }
        self.recovers_as_wanted(want);
        let current = self.memory.keys.map(|ring| ring.current.0);
        let target = Wrapping::of(&want.policy, current).expect("settled without its key");
        for copy in self.disk.copies {
            let key = copy.and_then(|meta| meta.key);
            assert_eq!(key, self.key_of(target), "told as changed, and under another key than is at hand");
            assert_eq!(
                copy.map(|meta| (meta.wrapping, meta.whole)),
                Some((target, true)),
                "not as the policy asks"
            );
        }
        for seal in Seal::ALL.into_iter().filter(|_| !self.silent && !self.table_lost) {
            let there = self.disk.shares.of(seal).is_some();
            assert_eq!(there, target.seal() == Some(seal), "a share that serves nothing");
        }
        self.allowed = vec![target];
    }

    pub(super) fn run(&mut self, steps: usize) -> usize {
        if steps > 0 {
            self.run_node(usize::MAX);
        }
        for done in 0..steps {
            let (_, Next::Do(act)) = self.ask() else {
                if self.run_node(usize::MAX) {
                    continue;
                }
                return done;
            };
            if self.full && needs_room(act.step) {
                self.memory.setbacks.insert(act.step.kind());
                continue;
            }
            self.apply(act.step, usize::MAX);
        }
        steps
    }

    /// Does the first `halves` parts of the node's own step, if one is due. Says whether it was.
    pub(super) fn run_node(&mut self, halves: usize) -> bool {
        let step = self.node_next();
        for part in 0..3.min(halves) {
            step.iter().for_each(|step| self.node_part(step, part));
            self.check();
        }
        step.is_some()
    }

    pub(super) fn node_next(&self) -> Option<NodeStep> {
        // The default vaults rest, whole and open, and are nobody's here: while one is to be made, or is away, or its share is not there, no generation ends.
        let shares = BySeal { tpm: Some(Mark::Made), pcrs: None };
        let (dir, whole) = (Dir::Vault(Encryption::Aes256Xts), MetaCopy::Good(Hint::NoEpoch));
        let seen = Seen { shares, dir, first: whole, second: whole, key: Key::Present, ..Seen::default() };
        let by_share = Some(Wrapping::Tpm(Seal::Tpm));
        let keys = Keys { held: Some(OpenedBy { first: by_share, second: by_share }), ..Keys::default() };
        let resting = Known { seen, keys, ..Known::default() };
        let defaults = [CONFIG_VAULT, IMAGE_VAULT].map(|id| (id, resting.clone()));
        let known = BTreeMap::from_iter(defaults.into_iter().chain([(self.id, self.known())]));
        plan(self.memory.belief.desired(), &known, &self.node()).node
    }

    pub(super) fn half_step(&mut self, half: usize) {
        if self.run_node(half) {
            return;
        }
        if let (_, Next::Do(act)) = self.ask() {
            self.apply(act.step, half);
        }
    }

    /// Does the first `halves` parts of a step, checking after each.
    pub(super) fn apply(&mut self, step: Step, halves: usize) {
        self.fresh += u32::from(matches!(step.kind(), StepKind::MakeShare | StepKind::MakeMetadata));
        let fresh = self.fresh;
        for part in 0..3.min(halves) {
            self.part(step, part, fresh);
            self.check();
        }
    }
}

fn needs_room(step: Step) -> bool {
    let frees =
        [StepKind::Unwrap, StepKind::AddKey, StepKind::Lock, StepKind::DeleteDir, StepKind::ForgetMetadata];
    !frees.contains(&step.kind())
}
