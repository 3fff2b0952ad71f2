//! The share table: what opens, what does not, and what bytes are refused.

mod next;

use proptest::prelude::*;

use super::*;
use crate::ids::{CONFIG_VAULT, IMAGE_VAULT};
use crate::roots::{PcrsRoot, TpmRoot};
use crate::secret::RootSecret;

const G: Generation = Generation(1);

fn root(byte: u8) -> TpmRoot {
    TpmRoot(RootSecret::copied_from(&[byte; 32]))
}

fn pcrs() -> PcrsRoot {
    PcrsRoot(RootSecret::copied_from(&[8; 32]))
}

fn share(byte: u8) -> TpmShare {
    TpmShare::copied_from(&[byte; 32])
}

fn table() -> Table {
    let mut table = Table::new(G);
    table.add(CONFIG_VAULT, Mark::Begun, &root(7).vsk(), &share(1), Nonce([1; 12])).expect("there is room");
    table.add(IMAGE_VAULT, Mark::Begun, &pcrs().vsk(), &share(2), Nonce([2; 12])).expect("there is room");
    table
}

/// KO-1: a share opens under its own root and policy, and under nothing else.
#[test]
fn ko1_a_share_opens_under_its_own_root_alone() {
    let table = table();
    let open = |vault, vsk: &Vsk| table.open(vault, vsk).map(|s| *s.expose_tpm_share());
    assert_eq!(open(CONFIG_VAULT, &root(7).vsk()), Ok([1; 32]));
    assert_eq!(open(IMAGE_VAULT, &pcrs().vsk()), Ok([2; 32]));
    assert_eq!(open(CONFIG_VAULT, &root(6).vsk()), Err(OpenError::Damaged), "another TPM's root");
    assert_eq!(open(CONFIG_VAULT, &pcrs().vsk()), Err(OpenError::Absent), "under the other policy");
    assert_eq!(open("0".repeat(32).parse().expect("a UUID"), &root(7).vsk()), Err(OpenError::Absent));
}

/// Invariant 4: a whole table is told from a damaged one without the root that it is of.
#[test]
fn a_whole_table_is_known_by_its_form() {
    let whole = table().encode(&root(7).table_key());
    assert!(looks_whole(&whole) && Table::decode(&whole, &root(6).table_key()).is_err());
    assert!((0..whole.len()).all(|cut| !looks_whole(&whole[..cut])), "cut");
    assert!(!looks_whole(&vec![0; whole.len()]) && !looks_whole(&[&whole[..], &[0]].concat()));
}

/// Invariant 4: an older table takes over the line that a newer one has of a vault that it does not know, and no other; what was dropped since is not known.
#[test]
fn a_line_is_taken_over_where_there_is_none() {
    let newer = table();
    let mut older = Table::new(G);
    older.add(CONFIG_VAULT, Mark::Made, &root(7).vsk(), &share(9), Nonce([9; 12])).expect("there is room");
    assert!(!older.take_line(CONFIG_VAULT, &newer), "it has one");
    assert!(!older.has_dropped());
    assert!(older.take_line(IMAGE_VAULT, &newer) && older.has_dropped());
    let open = |vault, vsk: &Vsk| older.open(vault, vsk).map(|s| *s.expose_tpm_share());
    assert_eq!(open(IMAGE_VAULT, &pcrs().vsk()), Ok([2; 32]));
    assert_eq!(open(CONFIG_VAULT, &root(7).vsk()), Ok([9; 32]));
    assert!(!Table::new(Generation(2)).take_line(CONFIG_VAULT, &newer), "of another generation");
    let mut marks = Table::new(G);
    marks.add_lost(CONFIG_VAULT).expect("there is room");
    assert!(!Table::new(G).take_line(CONFIG_VAULT, &marks), "a mark of a lost one is none");
}

/// KO-1: a share moved to another vault's line, or to another generation's table, does not open.
#[test]
fn ko1_a_share_is_bound_to_vault_and_generation() {
    let mut moved = table();
    let entry = moved.entries[&(CONFIG_VAULT, Seal::Tpm)].clone();
    moved.entries.insert((IMAGE_VAULT, Seal::Tpm), entry);
    assert_eq!(moved.open(IMAGE_VAULT, &root(7).vsk()).map(|_| ()), Err(OpenError::Damaged));
    let older = Table { generation: Generation(2), ..table() };
    assert_eq!(older.open(CONFIG_VAULT, &root(7).vsk()).map(|_| ()), Err(OpenError::Damaged));
}

/// With `P_g` unreadable the table still authenticates, tpm-sealed shares open, and a pcrs-sealed entry can be marked;
/// its sealed bytes come through unchanged.
#[test]
fn without_the_pcrs_root_the_rest_works() {
    let key = root(7).table_key();
    let mut read = Table::decode(&table().encode(&key), &key).expect("authentic");
    assert!(read.mark_made(IMAGE_VAULT));
    let again = Table::decode(&read.encode(&key), &key).expect("authentic");
    assert_eq!(again.entry(IMAGE_VAULT, Seal::Pcrs).map(ShareEntry::mark), Some(Mark::Made));
    assert!(again.open(CONFIG_VAULT, &root(7).vsk()).is_ok());
    assert_eq!(again.open(IMAGE_VAULT, &pcrs().vsk()).map(|s| *s.expose_tpm_share()), Ok([2; 32]));
}

/// KO-1, invariant 5: while a vault changes its seal it has a share under each, both found by their own root; the old one goes alone.
#[test]
fn ko1_a_vault_has_a_share_under_each_policy_while_it_changes() {
    let mut table = table();
    table.add(CONFIG_VAULT, Mark::Made, &pcrs().vsk(), &share(3), Nonce([3; 12])).expect("there is room");
    assert!(table.mark_made(CONFIG_VAULT));
    let key = root(7).table_key();
    let mut read = Table::decode(&table.encode(&key), &key).expect("authentic");
    let open = |table: &Table, vsk: &Vsk| table.open(CONFIG_VAULT, vsk).map(|s| *s.expose_tpm_share());
    assert_eq!(open(&read, &root(7).vsk()), Ok([1; 32]));
    assert_eq!(open(&read, &pcrs().vsk()), Ok([3; 32]));
    for seal in Seal::ALL {
        assert_eq!(read.entry(CONFIG_VAULT, seal).map(ShareEntry::mark), Some(Mark::Made), "{seal:?}");
    }
    assert!(read.remove(CONFIG_VAULT, Seal::Tpm));
    assert_eq!(open(&read, &root(7).vsk()), Err(OpenError::Absent));
    assert_eq!(open(&read, &pcrs().vsk()), Ok([3; 32]));
}

/// KO-1: a share is bound to its seal: one put into the other policy's line does not open there, even under its own root.
#[test]
fn ko1_a_share_is_bound_to_its_seal() {
    let (from, mut moved) = (table(), Table::new(G));
    let entry = from.entries[&(CONFIG_VAULT, Seal::Tpm)].clone();
    moved.entries.insert((CONFIG_VAULT, Seal::Pcrs), entry);
    let as_pcrs = PcrsRoot(RootSecret::copied_from(root(7).vsk().key().expose_volume_key())).vsk();
    assert_eq!(as_pcrs.key().expose_volume_key(), root(7).vsk().key().expose_volume_key(), "the same key");
    assert_eq!(moved.open(CONFIG_VAULT, &as_pcrs).map(|_| ()), Err(OpenError::Damaged));
    let twin = from.entries[&(CONFIG_VAULT, Seal::Tpm)].clone();
    moved.entries.insert((CONFIG_VAULT, Seal::Tpm), twin);
    assert!(moved.open(CONFIG_VAULT, &root(7).vsk()).is_ok());
}

#[test]
fn adding_never_overwrites_and_has_a_bound() {
    let mut table = table();
    let add =
        |table: &mut Table, vault| table.add(vault, Mark::Begun, &root(7).vsk(), &share(9), Nonce([4; 12]));
    assert_eq!(add(&mut table, CONFIG_VAULT), Err(AddError::Exists));
    for n in 0..(MAX_SHARES - 2) as u128 {
        table.add_lost(VaultId(uuid::Uuid::from_u128(n))).expect("there is room");
    }
    assert_eq!(add(&mut table, VaultId(uuid::Uuid::from_u128(u128::MAX))), Err(AddError::Full));
    let key = root(7).table_key();
    assert_eq!(table.encode(&key).len(), MAX_TABLE_BYTES - MAX_DROPPED * 16);
    assert_eq!(Table::decode(&table.encode(&key), &key), Ok(table));
}

/// A lost share opens under nothing, and says that its vault was made.
#[test]
fn a_lost_share_does_not_open() {
    let mut table = Table::new(G);
    table.add_lost(CONFIG_VAULT).expect("there is room");
    assert_eq!(table.open(CONFIG_VAULT, &root(7).vsk()).map(|_| ()), Err(OpenError::Absent));
    assert!(!table.mark_made(CONFIG_VAULT), "there is no share to mark");
    table.add(CONFIG_VAULT, Mark::Made, &root(7).vsk(), &share(4), Nonce([4; 12])).expect("in its place");
    assert_eq!(table.open(CONFIG_VAULT, &root(7).vsk()).map(|s| *s.expose_tpm_share()), Ok([4; 32]));
}

/// Round trip, truncation at every length, every bit flipped, trailing bytes, another root.
#[test]
fn bytes_that_are_no_table_of_ours_are_refused() {
    let key = root(7).table_key();
    let mut whole = table();
    whole.set_pin(RootPin([5; 32]));
    let bytes = whole.encode(&key);
    assert_eq!(Table::decode(&bytes, &key), Ok(whole));
    for len in 0..bytes.len() {
        assert!(Table::decode(&bytes[..len], &key).is_err(), "cut to {len}");
    }
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(Table::decode(&flipped, &key).is_err(), "flipped at {at}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(Table::decode(&longer, &key), Err(TableError::NotAuthentic));
    assert_eq!(Table::decode(&bytes, &root(6).table_key()), Err(TableError::NotAuthentic));
}

/// Authentic bytes of a wrong shape are refused too.
#[test]
fn authentic_and_malformed_is_refused() {
    let key = root(7).table_key();
    let remade = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut body = table().encode(&key);
        body.truncate(body.len() - 32);
        change(&mut body);
        let mac_key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.expose_table_key());
        let mac = aws_lc_rs::hmac::sign(&mac_key, &body);
        Table::decode(&[&body, mac.as_ref()].concat(), &key)
    };
    for (what, change) in [
        ("root pin", &(|b: &mut Vec<u8>| b[20] = 16) as &dyn Fn(&mut Vec<u8>)),
        ("root pin", &|b| b[20] = 32),
        ("root pin", &|b| b[21] = 1),
        ("count", &|b| b[54] += 1),
        ("seal", &|b| b[55 + 16] = 9),
        ("mark", &|b| b[55 + 17] = 9),
        ("order of entries", &|b| b.copy_within(55 + 78..55 + 2 * 78, 55)),
        ("count", &|b| b.truncate(b.len() - 1)),
        ("count", &|b| b.push(0)),
        ("count", &|b| *b.last_mut().expect("a count") = 1),
        ("order of what was dropped", &|b| {
            *b.last_mut().expect("a count") = 2;
            b.extend([0; 32]);
        }),
    ] {
        assert_eq!(remade(change), Err(TableError::NotUnderstood { what }), "{what}");
    }
}

fn any_table() -> impl Strategy<Value = Table> {
    let entry = (any::<u128>(), any::<bool>(), any::<[u8; 12]>(), any::<[u8; 32]>(), 0..3u8);
    let pin = prop::option::of(any::<[u8; 32]>());
    let head = (any::<u32>(), any::<u64>(), pin);
    (head, prop::collection::vec(entry, 0..20)).prop_map(|((generation, edition, pin), entries)| {
        let mut table = Table::new(Generation(generation));
        table.follow(edition);
        pin.into_iter().for_each(|pin| table.set_pin(RootPin(pin)));
        for (vault, sealed_to_pcrs, nonce, secret, mark) in entries {
            let vault = VaultId(uuid::Uuid::from_u128(vault));
            let vsk = if sealed_to_pcrs { pcrs().vsk() } else { root(7).vsk() };
            let mark = [Mark::Begun, Mark::Made, Mark::Lost][usize::from(mark)];
            let share = TpmShare::copied_from(&secret);
            let added = match mark {
                Mark::Lost => table.add_lost(vault),
                mark => table.add(vault, mark, &vsk, &share, Nonce(nonce)),
            };
            added.expect("there is room");
            if nonce[0] & 1 == 1 {
                table.set_locked(vault, true);
            }
            if nonce[1] & 1 == 1 {
                table.remove(vault, Seal::Tpm);
            }
        }
        table.follows = edition & 1 == 1;
        table
    })
}

/// The controller's order to lock stays with the vault whichever share it has, until another comes.
#[test]
fn an_order_to_lock_outlasts_a_change_of_seal() {
    let (mut table, vault) = (Table::new(Generation::FIRST), VaultId(uuid::Uuid::from_u128(1)));
    let share = TpmShare::copied_from(&[5; 32]);
    assert!(!table.set_locked(vault, true), "there is none");
    table.add(vault, Mark::Made, &root(7).vsk(), &share, Nonce([1; 12])).expect("there is room");
    assert!(!table.is_locked(vault) && table.set_locked(vault, true) && !table.set_locked(vault, true));
    table.add(vault, Mark::Made, &pcrs().vsk(), &share, Nonce([2; 12])).expect("there is room");
    table.mark_made(vault);
    table.remove(vault, Seal::Tpm);
    let key = root(7).table_key();
    let mut table = Table::decode(&table.encode(&key), &key).expect("authentic");
    assert!(table.is_locked(vault) && table.set_locked(vault, false) && !table.is_locked(vault));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every table has one encoding, within the bound, and reads back as it was.
    #[test]
    fn a_table_reads_back(table in any_table()) {
        let key = root(7).table_key();
        let bytes = table.encode(&key);
        prop_assert!(bytes.len() <= MAX_TABLE_BYTES);
        let again = Table::decode(&bytes, &key).expect("authentic");
        prop_assert_eq!(again.encode(&key), bytes);
        prop_assert_eq!(again, table);
    }

    /// Bytes from a stranger, also such as begin like a table, are refused.
    #[test]
    fn any_other_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), like in any::<bool>()) {
        let bytes = if like { [b"EVESHR3\n".as_slice(), &bytes].concat() } else { bytes };
        prop_assert!(Table::decode(&bytes, &root(7).table_key()).is_err());
    }
}
