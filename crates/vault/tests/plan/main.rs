//! The plan driven by random events in a simulated node: power cuts inside and between steps, restarts, damage, sections of every kind.
//! After each half-step the invariants 4, 5 and 6 of ARCHITECTURE.md are checked against what really happened, kept apart from the plan.

mod table;
mod world;

use proptest::prelude::*;
use vault::ids::{CONFIG_VAULT, VaultId};
use vault::section::{Custody, Operation, Presence, Seal};
use world::{Event, Moved, Section, World};

const USER: VaultId = VaultId(uuid::Uuid::from_u128(77));

fn section() -> impl Strategy<Value = Section> {
    let custody = prop_oneof![Just(Custody::Tpm), Just(Custody::Controller), Just(Custody::TpmAndController)];
    let seal = prop_oneof![3 => Just(Seal::Tpm), 1 => Just(Seal::Pcrs)];
    let operation = prop_oneof![4 => Just(Operation::Unlock), 1 => Just(Operation::Lock), 1 => Just(Operation::ChangeKey)];
    let standing = prop_oneof![9 => Just(Presence::Active), 1 => Just(Presence::Removing)];
    let flags = (prop::bool::weighted(0.85), prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    let rare = prop::bool::weighted(0.1);
    let rare = (
        rare,
        rare,
        rare,
        rare,
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.4),
        prop_oneof![2 => Just(0u8), 1 => 1..=2u8],
        (prop::bool::weighted(0.3), prop::bool::weighted(0.3)),
    );
    (custody, seal, operation, standing, flags, rare).prop_map(
        |(
            custody,
            seal,
            operation,
            standing,
            (listed, rotate, withheld),
            (recreate, restored, replayed, forgot, careless, leased, recovery, (limited, strange)),
        )| {
            Section {
                listed,
                custody,
                seal,
                operation,
                standing,
                rotate,
                withheld,
                recreate,
                restored,
                replayed,
                forgot,
                careless,
                leased,
                recovery,
                limited,
                strange,
            }
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => section().prop_map(Event::Live),
        4 => Just(Event::Settle),
        4 => (0..6usize).prop_map(Event::Run),
        4 => (0..8usize, 0..3usize).prop_map(|(steps, half)| Event::PowerCut { steps, half }),
        2 => (0..8usize, 0..3usize).prop_map(|(steps, half)| Event::Killed { steps, half }),
        1 => Just(Event::Withheld),
        1 => Just(Event::Ordered),
        2 => Just(Event::Copied),
        2 => Just(Event::PutBack),
        2 => Just(Event::Forked),
        1 => any::<bool>().prop_map(Event::Boot),
        1 => any::<bool>().prop_map(Event::WrongDisk),
        2 => Just(Event::RightDisk),
        1 => any::<bool>().prop_map(|first| Event::Damage { first }),
        1 => any::<bool>().prop_map(|unreadable| Event::DamageBoth { unreadable }),
        3 => moved().prop_map(Event::Moved),
        1 => any::<bool>().prop_map(Event::TableLost),
        1 => Just(Event::TableBegun),
        1 => any::<bool>().prop_map(Event::TpmSilent),
        1 => any::<bool>().prop_map(Event::Held),
        1 => Just(Event::Recreate),
        1 => Just(Event::RecordUnreadable),
        2 => Just(Event::StartedUnread),
        2 => Just(Event::RecordOpened),
        1 => any::<bool>().prop_map(Event::Busy),
        1 => any::<bool>().prop_map(Event::DiskFull),
        3 => (0..90u64).prop_map(Event::Passed),
        1 => Just(Event::Asked),
        3 => Just(Event::Escrowed),
        1 => Just(Event::Rescued),
        2 => Just(Event::Recovered),
    ]
}

fn moved() -> impl Strategy<Value = Moved> {
    prop_oneof![
        1 => Just(Moved::Away),
        1 => Just(Moved::ForAStranger),
        1 => Just(Moved::ForAnotherVault),
        3 => Just(Moved::Back),
    ]
}

/// How many worlds of each kind; `EVE_VAULT_WORLDS` says otherwise when this is compiled, for at run time nothing here asks the environment.
fn cases() -> u32 {
    option_env!("EVE_VAULT_WORLDS").map_or(3000, |worlds| worlds.parse().expect("a number"))
}

fn drive(id: VaultId, has_tpm: bool, events: Vec<Event>) {
    let mut world = World::new(id, has_tpm);
    for event in events {
        world.happen(event);
    }
    world.mend();
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// Invariants 4, 5, 6; IF-5, VC-6: a user's vault on a node with a TPM.
    #[test]
    fn a_user_vault_is_never_lost(events in prop::collection::vec(event(), 1..40)) {
        drive(USER, true, events);
    }

    /// DF-1, DF-3, DF-4: the Config Vault is never deleted, whatever is listed.
    #[test]
    fn a_default_vault_is_never_lost(events in prop::collection::vec(event(), 1..40)) {
        drive(CONFIG_VAULT, true, events);
    }

    /// The same on a node without a TPM.
    #[test]
    fn nor_without_a_tpm(events in prop::collection::vec(event(), 1..40), user in any::<bool>()) {
        drive(if user { USER } else { CONFIG_VAULT }, false, events);
    }
}

/// The simulation is not vacuous: the plain life of a vault goes through all its states in it.
#[test]
fn the_world_makes_rotates_locks_and_deletes() {
    let mut world = World::new(USER, true);
    let section = |listed, rotate, operation| Section {
        listed,
        rotate,
        operation,
        custody: Custody::TpmAndController,
        ..Section::default()
    };
    world.happen(Event::Live(section(true, false, Operation::Unlock)));
    assert_eq!(world.settle(), vault::report::State::Unlocked);
    world.happen(Event::Live(section(true, true, Operation::ChangeKey)));
    assert_eq!(world.settle(), vault::report::State::Unlocked);
    assert_eq!(world.epochs(), [Some(2), Some(2)]);
    world.happen(Event::Live(section(true, false, Operation::Lock)));
    assert_eq!(world.settle(), vault::report::State::Locked);
    world.happen(Event::Live(section(false, false, Operation::Lock)));
    assert_eq!(world.settle(), vault::report::State::Removed);
    assert!(world.is_bare());
}

/// The simulation is not vacuous: a generation waits for the escrow of the next one, and a rescue opens what the TPM does not give.
#[test]
fn the_world_waits_for_the_escrow_and_rescues() {
    let mut world = World::new(USER, true);
    let sealed = Section { seal: vault::section::Seal::Pcrs, ..Section::default() };
    world.happen(Event::Live(sealed));
    assert_eq!(world.settle(), vault::report::State::Unlocked);
    world.happen(Event::Escrowed);
    world.happen(Event::Boot(false));
    assert_eq!(world.settle(), vault::report::State::Locked);
    world.happen(Event::Rescued);
    world.happen(Event::Live(sealed));
    assert_eq!(
        (world.settle(), world.generation()),
        (vault::report::State::Unlocked, 0),
        "waits, and is open"
    );
    world.happen(Event::Escrowed);
    assert_eq!((world.settle(), world.generation()), (vault::report::State::Unlocked, 1));
    world.happen(Event::Live(Section { listed: false, ..Section::default() }));
    world.settle();
    assert_eq!(world.generation(), 1, "what was erased is not dead yet");
    world.happen(Event::Escrowed);
    assert_eq!((world.settle(), world.generation()), (vault::report::State::Removed, 2));
}

/// The simulation is not vacuous, and Invariant 4: while another disk is in, on which the table came back from escrow, no generation ends; with the right one the
/// vault opens, and then it does.
#[test]
fn the_world_waits_for_the_right_disk() {
    let mut world = World::new(USER, true);
    let sealed = |seal| Event::Live(Section { seal, ..Section::default() });
    world.happen(sealed(Seal::Tpm));
    assert_eq!(world.settle(), vault::report::State::Unlocked);
    world.happen(Event::Escrowed);
    world.happen(sealed(Seal::Pcrs));
    assert_eq!((world.settle(), world.generation()), (vault::report::State::Unlocked, 0), "waits for escrow");
    world.happen(Event::WrongDisk(true));
    for _ in 0..2 {
        world.happen(sealed(Seal::Pcrs));
        assert_eq!((world.settle(), world.generation()), (vault::report::State::Missing, 0));
        world.happen(Event::Escrowed);
    }
    world.happen(Event::RightDisk);
    for _ in 0..2 {
        world.happen(sealed(Seal::Pcrs));
        assert_eq!(world.settle(), vault::report::State::Unlocked);
        world.happen(Event::Escrowed);
    }
    world.settle();
    assert_eq!(world.generation(), 1);
}

/// Invariant 4, found by random worlds: the record can't be read, and an older list of a database that was superseded is sent again, with
/// keys of the same numbers. That these do not open a vault proves no damage, and root's order to make missing vaults anew takes nothing.
#[test]
fn keys_of_a_superseded_list_prove_no_damage() {
    let section = |listed, custody, operation, rotate, restored, replayed| {
        let (seal, base) = (Seal::Tpm, Section::default());
        Event::Live(Section { listed, custody, seal, operation, rotate, restored, replayed, ..base })
    };
    let events = [
        Event::Copied,
        section(true, Custody::Controller, Operation::ChangeKey, true, false, false),
        Event::PutBack,
        section(true, Custody::Controller, Operation::Unlock, true, true, false),
        Event::Settle,
        Event::StartedUnread,
        section(false, Custody::Tpm, Operation::Unlock, false, false, true),
        Event::Recreate,
    ];
    drive(USER, true, events.into());
}
