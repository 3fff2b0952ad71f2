//! The share table: what opens, what does not, and what bytes are refused.

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
    assert_eq!(open(CONFIG_VAULT, &pcrs().vsk()), Err(OpenError::OtherSeal));
    assert_eq!(open("0".repeat(32).parse().expect("a UUID"), &root(7).vsk()), Err(OpenError::Absent));
}

/// KO-1: a share moved to another vault's line, or to another generation's table, does not open.
#[test]
fn ko1_a_share_is_bound_to_vault_and_generation() {
    let mut moved = table();
    let entry = moved.entries[&CONFIG_VAULT].clone();
    moved.entries.insert(IMAGE_VAULT, entry);
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
    assert!(read.mark(IMAGE_VAULT, Mark::Made));
    let again = Table::decode(&read.encode(&key), &key).expect("authentic");
    assert_eq!(again.entry(IMAGE_VAULT).map(ShareEntry::mark), Some(Mark::Made));
    assert!(again.open(CONFIG_VAULT, &root(7).vsk()).is_ok());
    assert_eq!(again.open(IMAGE_VAULT, &pcrs().vsk()).map(|s| *s.expose_tpm_share()), Ok([2; 32]));
}

#[test]
fn resealed_a_share_opens_under_the_new_policy_only() {
    let mut table = table();
    table.mark(CONFIG_VAULT, Mark::Made);
    table.reseal(CONFIG_VAULT, &root(7).vsk(), &pcrs().vsk(), Nonce([3; 12])).expect("it opens");
    assert_eq!(table.open(CONFIG_VAULT, &pcrs().vsk()).map(|s| *s.expose_tpm_share()), Ok([1; 32]));
    assert_eq!(table.open(CONFIG_VAULT, &root(7).vsk()).map(|_| ()), Err(OpenError::OtherSeal));
    assert_eq!(table.entry(CONFIG_VAULT).map(ShareEntry::mark), Some(Mark::Made));
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
    assert_eq!(table.encode(&key).len(), MAX_TABLE_BYTES);
    assert_eq!(Table::decode(&table.encode(&key), &key), Ok(table));
}

/// A lost share opens under nothing, and says that its vault was made.
#[test]
fn a_lost_share_does_not_open() {
    let mut table = Table::new(G);
    table.add_lost(CONFIG_VAULT).expect("there is room");
    assert_eq!(table.open(CONFIG_VAULT, &root(7).vsk()).map(|_| ()), Err(OpenError::Absent));
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
        ("root pin", &(|b: &mut Vec<u8>| b[12] = 2) as &dyn Fn(&mut Vec<u8>)),
        ("root pin", &|b| b[13] = 1),
        ("count", &|b| b[46] += 1),
        ("seal", &|b| b[47 + 16] = 9),
        ("mark", &|b| b[47 + 17] = 9),
        ("order of entries", &|b| b.copy_within(47 + 78.., 47)),
    ] {
        assert_eq!(remade(change), Err(TableError::NotUnderstood { what }), "{what}");
    }
}
