//! A breadth-first search through all states that a model can reach, each told from the others by a digest of what decides its future.
//! Each state is reached by a shortest way, which is the trace of a counter-example. Knows nothing of vaults.

use std::cell::Cell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// What is searched.
pub(crate) trait Model {
    type State: Clone;
    type Action: Clone + Debug;

    fn begin(&self) -> Self::State;
    fn digest(&self, state: &Self::State) -> u64;
    /// What can happen next.
    fn actions(&self, state: &Self::State) -> Vec<Self::Action>;
    /// What follows. Panics where an invariant is broken.
    fn step(&self, state: &mut Self::State, action: &Self::Action);
    /// The next thing that happens once faults stop; none: it is at rest. Panics at rest where it may not rest so.
    fn mend(&self, state: &mut Self::State) -> Option<Self::Action>;
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    /// The longest of the shortest ways.
    pub(crate) depth: usize,
    /// No state was left out.
    pub(crate) whole: bool,
}

/// A way to where an invariant is broken, or from where it does not converge.
#[derive(Debug)]
pub(crate) struct Broken<A> {
    pub(crate) why: String,
    pub(crate) trace: Vec<A>,
    /// After the faults have stopped.
    pub(crate) mending: Vec<A>,
}

/// More than any mending takes.
const LONGEST_MENDING: usize = 400;

struct Search<'m, M: Model> {
    model: &'m M,
    /// How each state was reached.
    reached: HashMap<u64, Option<(u64, M::Action)>>,
    /// From these it converges.
    converges: HashSet<u64>,
    found: Found,
}

/// Looks at every state that can be reached, `most` of them at most.
///
/// # Errors
/// The first way that breaks something.
pub(crate) fn search<M: Model>(model: &M, most: usize) -> Result<Found, Box<Broken<M::Action>>> {
    be_quiet();
    let reached = HashMap::new();
    let search = Search { model, reached, converges: HashSet::new(), found: Found::default() };
    search.run(most)
}

thread_local! {
    /// What panics here is caught, and told with its trace.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

fn be_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !CAUGHT.get() {
                loud(panic);
            }
        }));
    });
}

impl<M: Model> Search<'_, M> {
    fn run(mut self, most: usize) -> Result<Found, Box<Broken<M::Action>>> {
        let first = self.model.begin();
        let digest = self.model.digest(&first);
        self.reached.insert(digest, None);
        let mut ahead = VecDeque::from([(digest, first, 0)]);
        while let Some((at, state, depth)) = ahead.pop_front() {
            self.found.states += 1;
            self.found.depth = self.found.depth.max(depth);
            self.converge(at, &state)?;
            for action in self.model.actions(&state) {
                let next = self.taken(at, &state, &action)?;
                let digest = self.model.digest(&next);
                self.found.transitions += 1;
                if let Entry::Vacant(first) = self.reached.entry(digest) {
                    first.insert(Some((at, action)));
                    ahead.push_back((digest, next, depth + 1));
                }
            }
            if self.reached.len() > most {
                return Ok(self.found);
            }
        }
        self.found.whole = true;
        Ok(self.found)
    }

    fn taken(
        &self,
        at: u64,
        state: &M::State,
        action: &M::Action,
    ) -> Result<M::State, Box<Broken<M::Action>>> {
        let mut next = state.clone();
        caught(|| self.model.step(&mut next, action)).map_err(|why| {
            let trace = self.way(at).into_iter().chain([action.clone()]).collect();
            Box::new(Broken { why, trace, mending: Vec::new() })
        })?;
        Ok(next)
    }

    /// Without faults it comes to rest, as it should.
    fn converge(&mut self, at: u64, from: &M::State) -> Result<(), Box<Broken<M::Action>>> {
        let (mut state, mut mending, mut passed) = (from.clone(), Vec::new(), vec![at]);
        while !self.converges.contains(passed.last().expect("it begins with one")) {
            let next = match caught(|| self.model.mend(&mut state)) {
                Ok(Some(_)) if mending.len() >= LONGEST_MENDING => Err("it does not come to rest".to_owned()),
                next => next,
            };
            match next {
                Ok(None) => break,
                Ok(Some(action)) => mending.push(action),
                Err(why) => return Err(Box::new(Broken { why, trace: self.way(at), mending })),
            }
            passed.push(self.model.digest(&state));
        }
        self.converges.extend(passed);
        Ok(())
    }

    fn way(&self, to: u64) -> Vec<M::Action> {
        let step = |at: &u64| self.reached[at].as_ref().map(|(before, _)| *before);
        let ways = std::iter::successors(Some(to), step);
        let mut way: Vec<_> =
            ways.filter_map(|at| self.reached[&at].as_ref().map(|(_, action)| action.clone())).collect();
        way.reverse();
        way
    }
}

/// The words of a broken invariant.
fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    CAUGHT.set(true);
    let done = catch_unwind(AssertUnwindSafe(run));
    CAUGHT.set(false);
    done.map_err(|panic| match panic.downcast::<String>() {
        Ok(words) => *words,
        Err(panic) => (*panic.downcast::<&str>().unwrap_or_else(|_| Box::new("no words"))).to_owned(),
    })
}
