//! Calls as an operator watches them.

use serde::de::DeserializeOwned;
use std::sync::RwLock;

use vault::ids::CONFIG_VAULT;

use super::*;
use crate::bus::Topic;
use vault::report::{State as VaultState, VaultReport};
use vault::section::Operation;

use crate::bus::Published;
use crate::bus::messages::{LockVault, OrderError, ReadRoots, Roots, VaultChange, VaultStatus};

form::every! {
    names: super::TooLong { super::TooLong { .. } => super::TooLong { path: "/very/long/run/eve/nim".into() } }
}

/// Issue 8, errors: what a socket's name is too long for is told with what to do.
#[test]
fn a_name_that_is_too_long_says_what_to_give() {
    let told = names().into_iter().map(|error| error.to_string());
    let wrong: Vec<_> =
        told.flat_map(|told| form::wrong_line(&crate::cli::command(), &["run/eve"], &told)).collect();
    assert_eq!(wrong, [""; 0]);
}

/// One connection of this peer's.
fn connected(server: &Arc<Server>, who: Agent, request: Request) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let server = Arc::clone(server);
    let place = server.places.take(Some(who)).expect("a place");
    thread::spawn(move || server.talk(Some(who), place, theirs));
    say(&ours, &request);
    ours
}

fn say(mut stream: &UnixStream, what: &impl Serialize) {
    frame::write(&mut stream, &frame::encode(what).expect("encodes")).expect("writes");
}

fn told<T: DeserializeOwned>(mut stream: &UnixStream) -> T {
    frame::decode(&frame::read(&mut stream).expect("reads")).expect("decodes")
}

/// KO-1: whoever watches the bus sees that roots were read and by whom, and nothing of them; only root watches.
#[test]
fn an_operator_sees_who_asked_what_and_how_it_ended() {
    let server = Arc::new(Server::new(Agent::Tpmmgr));
    server.serve::<ReadRoots>(|_, _| Ok(Roots { sets: Vec::new() }));
    let watch = connected(&server, Agent::Operator, Request::Watch);
    assert!(matches!(told(&watch), Preamble::Granted));
    for (who, end) in [(Agent::Vaultmgr, End::Answered), (Agent::Zedagent, End::Refused)] {
        let asked = connected(&server, who, Request::Ask(ReadRoots::ID));
        // Who is refused may be hung up on before.
        let _ = frame::write(&mut &asked, &frame::encode(&ReadRoots).expect("encodes"));
        told::<Preamble>(&asked);
        let seen: Exchange = told(&watch);
        let (of, call) = (Agent::Tpmmgr, CallId::ReadRoots);
        assert_eq!(seen, Exchange { by: Some(who), of, call, vault: None, end });
    }
    let curious = connected(&server, Agent::Zedagent, Request::Watch);
    assert!(matches!(told(&curious), Preamble::Refused));
}

#[test]
fn of_a_call_about_a_vault_only_the_vault_is_shown() {
    let server = Arc::new(Server::new(Agent::Vaultmgr));
    server.serve::<LockVault>(|_, LockVault { .. }| Err(OrderError::LockedByController(named("till").name)));
    let watch = connected(&server, Agent::Operator, Request::Watch);
    assert!(matches!(told(&watch), Preamble::Granted));
    let asked = connected(&server, Agent::Operator, Request::Ask(LockVault::ID));
    say(&asked, &LockVault { id: CONFIG_VAULT });
    assert!(matches!(told(&asked), Preamble::Failed));
    assert_eq!(
        told::<OrderError>(&asked),
        OrderError::LockedByController(named("till").name),
        "as it was said"
    );
    let seen: Exchange = told(&watch);
    assert_eq!((seen.vault, seen.end), (Some(CONFIG_VAULT), End::Failed));
    assert!(!format!("{seen:?}").contains("LockedBy"), "the type and the vault alone");
}

/// An agent waits for no watcher: neither for one that reads nothing nor for one that is gone.
#[test]
fn a_watcher_that_does_not_read_keeps_nobody_waiting() {
    let watchers = Watchers::default();
    watchers.tell(|| unreachable!("nobody watches"));
    let (slow, gone) = (watchers.add(), watchers.add());
    drop(gone);
    let exchange =
        || Exchange { by: None, of: Agent::Tpmmgr, call: CallId::Sign, vault: None, end: End::Refused };
    (0..10_000).for_each(|_| watchers.tell(exchange));
    assert!((1..10_000).contains(&slow.try_iter().count()));
}

fn named(name: &str) -> VaultReport {
    VaultReport {
        id: VaultId(uuid::Uuid::from_u128(name.bytes().map(u128::from).sum())),
        name: name.parse().expect("a name"),
        state: VaultState::Unlocked,
        created: true,
        epoch: None,
        wanted: Operation::Unlock,
        last: None,
        opened: None,
        storage: None,
        change_due: false,
        holds_escrow_up: false,
        under_anothers_key: false,
        behind_in_escrow: None,
        ordered_locked: false,
        detail: Vec::new(),
    }
}

/// Issue 8, A: whoever heard all before is told what changed, and whoever comes late, or was too slow, all of it.
#[test]
fn a_change_is_told_alone_and_a_late_subscriber_is_told_the_whole() {
    let server = Arc::new(Server::new(Agent::Vaultmgr));
    let bus = Bus { root: PathBuf::new(), agent: Agent::Vaultmgr, server: Some(Arc::clone(&server)) };
    let mut status = VaultStatus { vaults: vec![named("till"), named("door")], ..VaultStatus::default() };
    let hear = || {
        let stream = connected(&server, Agent::Zedagent, Request::Hear(VaultStatus::ID));
        assert!(matches!(told(&stream), Preamble::Granted));
        stream
    };
    let whole = |stream: &UnixStream| match told::<Published<VaultStatus, VaultChange>>(stream) {
        Published::Whole(status) => status,
        Published::Part(change) => panic!("a part: {change:?}"),
    };
    bus.publish(&status);
    let early = hear();
    assert_eq!(whole(&early), status);
    status.vaults[1].state = VaultState::Locked;
    let change = VaultChange { vaults: vec![status.vaults[1].clone()], seals: BTreeMap::new() };
    let now = Arc::new(RwLock::new(status.clone()));
    bus.publish_change(&change, &now);
    match told::<Published<VaultStatus, VaultChange>>(&early) {
        Published::Part(heard) => assert_eq!(heard, change),
        Published::Whole(status) => panic!("the whole: {status:?}"),
    }
    assert_eq!(whole(&hear()), status, "as it is now");
    let versions: Vec<_> = {
        let state = server.state();
        let published = &state.topics[&VaultStatus::ID];
        (0..=2).map(|told| published.after(told).map(|(_, value)| matches!(value, Value::Known(_)))).collect()
    };
    assert_eq!(versions, [Some(false), Some(true), None], "the change only to who heard the one before");
}

/// Attack A3: a terminal that hears without end is told that it is enough, and takes no order its place.
#[test]
fn who_hears_too_much_is_told_so_and_an_order_gets_through() {
    let server = Arc::new(Server::new(Agent::Vaultmgr));
    server.serve::<LockVault>(|_, LockVault { .. }| Ok(named("till")));
    let hear = || connected(&server, Agent::Operator, Request::Hear(VaultStatus::ID));
    let mut hearing = Vec::new();
    let refused = loop {
        let next = hear();
        match told(&next) {
            Preamble::Granted => hearing.push(next),
            other => break other,
        }
    };
    assert!(matches!(refused, Preamble::Full), "{refused:?} after {}", hearing.len());
    let asked = connected(&server, Agent::Operator, Request::Ask(LockVault::ID));
    say(&asked, &LockVault { id: CONFIG_VAULT });
    assert!(matches!(told(&asked), Preamble::Granted));
    drop(hearing);
    assert!(matches!(told(&hear()), Preamble::Granted), "those that are gone give their places back");
}
