//! What is dropped is remembered until its generation ends; and what the next one has.

use super::*;
use crate::secret::TableKey;
use crate::section::BySeal;

/// `body`, authenticated as a table of an earlier build was.
fn authenticated(body: &[u8], key: &TableKey) -> Vec<u8> {
    let mac_key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.expose_table_key());
    [body, aws_lc_rs::hmac::sign(&mac_key, body).as_ref()].concat()
}

/// The bytes that "EVESHR2" had: the same, less what was dropped. And those of "EVESHR1": less the edition too.
fn of_before(new: &[u8], key: &TableKey) -> [Vec<u8>; 2] {
    let rest = &new[20..new.len() - 2 - 32];
    let second = [b"EVESHR2\n".as_slice(), &new[8..20], rest].concat();
    let first = [b"EVESHR1\n".as_slice(), &new[8..12], rest].concat();
    [first, second].map(|body| authenticated(&body, key))
}

/// Seen by users 0b.6: a table of before editions were numbered is read, as older than any that was written since.
#[test]
fn a_table_without_an_edition_is_read_as_the_oldest() {
    let key = root(7).table_key();
    let mut whole = table();
    whole.set_pin(RootPin([5; 32]));
    let [old, _] = of_before(&whole.encode(&key), &key);
    let mut read = Table::decode(&old, &key).expect("authentic");
    assert_eq!((read.edition(), &read.entries), (0, &whole.entries));
    read.follow(read.edition());
    let next = Table::decode(&read.encode(&key), &key).expect("authentic");
    assert_eq!((next.edition(), next.pin()), (1, Some(RootPin([5; 32]))));
    for len in 0..old.len() {
        assert!(Table::decode(&old[..len], &key).is_err(), "cut to {len}");
    }
}

/// A table of before drops were remembered reads on, whole, and counts as one from which something may have been dropped; written anew it says so still,
/// until the generation ends.
#[test]
fn from_a_table_of_an_earlier_build_something_may_have_been_dropped() {
    let key = root(7).table_key();
    let mut whole = table();
    whole.follow(6);
    assert!(!whole.has_dropped(), "a new one");
    for old in of_before(&whole.encode(&key), &key) {
        let read = Table::decode(&old, &key).expect("authentic");
        assert!(read.has_dropped() && !read.follows() && read.entries == whole.entries);
        assert_eq!(read.dropped(CONFIG_VAULT), Dropped::Perhaps);
        let again = Table::decode(&read.encode(&key), &key).expect("authentic");
        assert!(again.has_dropped());
        let ended =
            again.next(vsks(&[root(7).vsk(), pcrs().vsk()]), vsks(&new_vsks()), nonces(2)).expect("is made");
        assert!(!ended.has_dropped() && ended.follows());
    }
}

fn new_vsks() -> [Vsk; 2] {
    [root(17).vsk(), PcrsRoot(RootSecret::copied_from(&[18; 32])).vsk()]
}

fn vsks([tpm, pcrs]: &[Vsk; 2]) -> BySeal<&Vsk> {
    BySeal { tpm, pcrs }
}

fn nonces(count: u8) -> impl Iterator<Item = Nonce> {
    (100..100 + count).map(|byte| Nonce([byte; 12]))
}

/// TH-6: a dropped share is remembered in the file, with whose it was, until the generation ends.
#[test]
fn a_dropped_share_is_remembered() {
    let key = root(7).table_key();
    let mut table = table();
    assert!(!table.remove(IMAGE_VAULT, Seal::Tpm) && !table.has_dropped(), "there was none");
    assert!(table.remove(IMAGE_VAULT, Seal::Pcrs));
    let mut table = Table::decode(&table.encode(&key), &key).expect("authentic");
    assert_eq!((table.dropped(IMAGE_VAULT), table.dropped(CONFIG_VAULT)), (Dropped::Yes, Dropped::None));
    table.add(IMAGE_VAULT, Mark::Made, &root(7).vsk(), &share(3), Nonce([3; 12])).expect("there is room");
    assert_eq!(table.dropped(IMAGE_VAULT), Dropped::Yes, "the old one is not dead by a new one");
    let lost = VaultId(uuid::Uuid::from_u128(3));
    table.add_lost(lost).expect("there is room");
    assert!(table.remove(lost, Seal::Tpm) && table.dropped(lost) == Dropped::None, "it had no share");
    assert_eq!(Table::in_place_of_lost(G).dropped(lost), Dropped::Perhaps);
}

/// Of more vaults than are named it is known that there are some.
#[test]
fn more_drops_than_are_named_are_remembered_as_some() {
    let (key, mut table) = (root(7).table_key(), Table::new(G));
    let vault = |n: usize| VaultId(uuid::Uuid::from_u128(n as u128));
    for n in 0..=MAX_DROPPED {
        table.add(vault(n), Mark::Begun, &root(7).vsk(), &share(1), Nonce([0; 12])).expect("there is room");
        table.remove(vault(n), Seal::Tpm);
    }
    let bytes = table.encode(&key);
    assert!(bytes.len() <= MAX_TABLE_BYTES);
    let table = Table::decode(&bytes, &key).expect("authentic");
    assert_eq!(
        (table.dropped(vault(0)), table.dropped(vault(MAX_DROPPED))),
        (Dropped::Yes, Dropped::Perhaps)
    );
}

/// TH-6: the next generation has every share, mark, lock and pin, under its own keys alone, and nothing of what was dropped.
#[test]
fn the_next_generation_has_all_that_is_kept() {
    let (old, new) = ([root(7).vsk(), pcrs().vsk()], new_vsks());
    let (gone, lost) = (VaultId(uuid::Uuid::from_u128(9)), VaultId(uuid::Uuid::from_u128(10)));
    let mut table = table();
    table.set_pin(RootPin([5; 32]));
    table.mark_made(CONFIG_VAULT);
    table.set_locked(IMAGE_VAULT, true);
    table.add(gone, Mark::Made, &old[0], &share(9), Nonce([9; 12])).expect("there is room");
    table.remove(gone, Seal::Tpm);
    table.add_lost(lost).expect("there is room");
    table.follow(40);
    let next = table.next(vsks(&old), vsks(&new), nonces(2)).expect("is made");
    let key = root(17).table_key();
    let next = Table::decode(&next.encode(&key), &key).expect("authentic");
    assert_eq!((next.generation(), next.edition(), next.pin()), (Generation(2), 0, table.pin()));
    assert!(next.follows() && !next.has_dropped());
    let open = |vault, vsk: &Vsk| next.open(vault, vsk).map(|share| *share.expose_tpm_share());
    assert_eq!((open(CONFIG_VAULT, &new[0]), open(IMAGE_VAULT, &new[1])), (Ok([1; 32]), Ok([2; 32])));
    assert_eq!(
        (open(CONFIG_VAULT, &old[0]), open(gone, &new[0])),
        (Err(OpenError::Damaged), Err(OpenError::Absent))
    );
    let mark = |vault, seal| next.entry(vault, seal).map(ShareEntry::mark);
    assert_eq!(mark(CONFIG_VAULT, Seal::Tpm), Some(Mark::Made));
    assert_eq!(mark(IMAGE_VAULT, Seal::Pcrs), Some(Mark::Begun));
    assert_eq!((mark(lost, Seal::Tpm), next.vaults().count()), (Some(Mark::Lost), 3));
    assert!(next.is_locked(IMAGE_VAULT) && !next.is_locked(CONFIG_VAULT));
    let used: std::collections::BTreeSet<_> = next.entries.values().map(|entry| entry.nonce).collect();
    assert_eq!(used.len(), 3, "a nonce is used once");
}

/// Invariant 4: no share is left behind. One that does not open, or a nonce too few, and there is no next table.
#[test]
fn a_share_that_does_not_open_keeps_its_generation() {
    let (old, new) = ([root(7).vsk(), pcrs().vsk()], new_vsks());
    let mut damaged = table();
    damaged.entries.values_mut().last().expect("two").sealed[0] ^= 1;
    let source = OpenError::Damaged;
    let error = damaged.next(vsks(&old), vsks(&new), nonces(2)).map(drop);
    assert_eq!(error, Err(NextError::Share { vault: IMAGE_VAULT, source }));
    let other = [root(6).vsk(), pcrs().vsk()];
    let error = table().next(vsks(&other), vsks(&new), nonces(2)).map(drop);
    assert_eq!(error, Err(NextError::Share { vault: CONFIG_VAULT, source }));
    assert_eq!(table().share_count(), 2);
    assert_eq!(table().next(vsks(&old), vsks(&new), nonces(1)).map(drop), Err(NextError::Nonces));
    let last = Table { generation: Generation(u32::MAX), ..Table::new(G) };
    assert_eq!(last.next(vsks(&old), vsks(&new), nonces(0)).map(drop), Err(NextError::Last));
}

/// Invariant 5: that a bundle may be in escrow is written in the table, from before its first byte goes out, and in the next generation's too.
#[test]
fn that_a_bundle_may_be_in_escrow_is_remembered() {
    let key = root(7).table_key();
    let mut whole = table();
    assert!(!whole.is_escrowed() && whole.set_escrowed() && !whole.set_escrowed());
    let read = Table::decode(&whole.encode(&key), &key).expect("authentic");
    assert!(read.is_escrowed());
    let next =
        read.next(vsks(&[root(7).vsk(), pcrs().vsk()]), vsks(&new_vsks()), nonces(2)).expect("is made");
    assert!(next.is_escrowed());
}
