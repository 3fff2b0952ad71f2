//! A policy that several protectors open: ours is found among them, and what others wrote stays as they wrote it.

use fscrypt::key_files::{open_policy, open_protector};
use fscrypt::{Iv, Modes, PolicyFile, ProtectorDescriptor, UnwrapError};
use proptest::prelude::*;

use crate::made::{content, files, protector, wrapping};

/// The wraps of a policy's file as they lie in it: field 3.
fn wraps(file: &PolicyFile) -> Vec<Vec<u8>> {
    fields(&file.to_bytes()).into_iter().filter(|field| field[0] == 0x1a).collect()
}

/// All fields; each of these files has lengths of one byte or two.
fn fields(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (length, header) = match bytes[1] {
            short if short < 128 => (usize::from(short), 2),
            long => (usize::from(long & 127) | usize::from(bytes[2]) << 7, 3),
        };
        all.push(bytes[..header + length].to_vec());
        bytes = &bytes[header + length..];
    }
    all
}

/// The content key of `files(7)` under the protector of `byte`.
fn under(byte: u8) -> PolicyFile {
    PolicyFile::seal(&content(7), &protector(byte), Modes::AES_256_XTS, Iv([byte; 16]))
}

/// As the tool adds protectors: one field more for each, at the end.
fn with(base: &PolicyFile, more: &[Vec<u8>]) -> PolicyFile {
    let bytes = [vec![base.to_bytes()], more.to_vec()].concat().concat();
    PolicyFile::parse(&bytes).unwrap()
}

fn ours() -> ProtectorDescriptor {
    ProtectorDescriptor::of(&protector(7))
}

/// A wrap in a form that nobody knows yet: a field of ours and one more.
fn unknown() -> Vec<u8> {
    vec![0x1a, 5, 0x2a, 3, 1, 2, 3]
}

/// VC-4: each of several protectors opens it, in whatever order they stand, and none that is not among them.
#[test]
fn each_of_several_protectors_opens_the_policy() {
    for order in [[7, 8, 9], [8, 7, 9], [9, 8, 7]] {
        let base = under(order[0]);
        let file = with(&base, &[&wraps(&under(order[1]))[..], &wraps(&under(order[2]))].concat());
        for byte in order {
            let opened = open_policy(&file, &protector(byte)).unwrap();
            assert_eq!(opened.expose_content_key(), content(7).expose_content_key(), "{order:?}: {byte}");
        }
        assert_eq!(open_policy(&file, &protector(6)).unwrap_err(), UnwrapError::WrongKey);
        let others: Vec<_> = file.others(ours()).collect();
        let expected = order.into_iter().filter(|byte| *byte != 7);
        let descriptor = |byte| Some(ProtectorDescriptor::of(&protector(byte)));
        assert_eq!(others, expected.map(descriptor).collect::<Vec<_>>());
    }
}

/// Threat: a wrap that a program of ours does not understand takes nothing away from what it does.
#[test]
fn a_wrap_of_an_unknown_form_closes_nothing_and_is_counted() {
    let file = with(&under(7), &[unknown()]);
    assert!(open_policy(&file, &protector(7)).is_ok());
    assert_eq!(file.protectors().collect::<Vec<_>>(), [ours()]);
    assert_eq!(file.others(ours()).collect::<Vec<_>>(), [None]);
    assert!(
        PolicyFile::parse(&[&fields(&under(7).to_bytes())[..2].concat()[..], &unknown()].concat()).is_err()
    );
}

/// What others wrote into the file stays byte for byte, fields that nobody knows too.
#[test]
fn a_file_that_is_read_is_written_as_it_was() {
    let odd = [under(7).to_bytes(), unknown(), vec![0x7a, 2, 5, 5]].concat();
    assert_eq!(PolicyFile::parse(&odd).unwrap().to_bytes(), odd);
    let odd = [files(7).protector.to_bytes(), vec![0x7a, 2, 5, 5]].concat();
    let read = fscrypt::ProtectorFile::parse(&odd).unwrap();
    assert_eq!(read.to_bytes(), odd);
    assert!(open_protector(&read, &wrapping(7)).is_ok());
}

/// Invariant 5: our wrap is mended from the twin, whatever became of it, and the wraps of others stay as they were in this file.
#[test]
fn mending_our_wrap_keeps_all_others() {
    let (good, other) = (under(7), wraps(&under(8)));
    let whole = with(&good, &[other[0].clone(), unknown()]);
    let (bytes, from) = (whole.to_bytes(), good.to_bytes().len() - wraps(&good)[0].len());
    let mut read = 0;
    for at in from..good.to_bytes().len() {
        for flip in [1, 0x55, 0x80] {
            let mut bad = bytes.clone();
            bad[at] ^= flip;
            let Ok(damaged) = PolicyFile::parse(&bad) else { continue };
            if !damaged.agrees(&good, ours()) && others_are_there(&damaged) {
                let mended = damaged.mended(&good, ours()).unwrap();
                assert_eq!(hex::encode(mended.to_bytes()), hex::encode(&bytes), "byte {at}");
                read += 1;
            }
        }
    }
    assert!(read > 100, "{read}");
    let without =
        PolicyFile::parse(&[&fields(&good.to_bytes())[..2].concat()[..], &other[0]].concat()).unwrap();
    let mended = without.mended(&good, ours()).unwrap();
    assert_eq!(wraps(&mended), [wraps(&good)[0].clone(), other[0].clone()], "where it was gone");
}

/// Whether damage of a header has not swallowed one of the other two wraps.
fn others_are_there(file: &PolicyFile) -> bool {
    let theirs = ProtectorDescriptor::of(&protector(8));
    file.protectors().any(|by| by == theirs) && file.others(theirs).count() == 2
}

/// VC-2: two files agree by our wrap alone, and by nothing less.
#[test]
fn files_agree_by_our_wrap_and_their_policy() {
    let more = with(&under(7), &wraps(&under(8)));
    assert!(more.agrees(&under(7), ours()) && under(7).agrees(&more, ours()));
    let other_modes = PolicyFile::seal(&content(7), &protector(7), Modes::ADIANTUM, Iv([7; 16]));
    let other_wrap = PolicyFile::seal(&content(7), &protector(7), Modes::AES_256_XTS, Iv([6; 16]));
    for (what, other) in [("modes", other_modes), ("wrap", other_wrap), ("protector", under(8))] {
        assert!(!more.agrees(&other, ours()), "{what}");
    }
    assert!(!under(8).agrees(&under(8), ours()), "neither has it");
}

/// A file that is as long as the tool reads has no room for one more wrap: it stays as it is.
#[test]
fn a_full_file_is_not_made_unreadable() {
    let one = wraps(&under(8)).remove(0);
    let room = fscrypt::metadata::MAX_FILE_LEN - under(8).to_bytes().len();
    let full = with(&under(8), &vec![one.clone(); room / one.len()]);
    assert!(matches!(full.mended(&under(7), ours()), Err(fscrypt::ParseError::TooLong { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever else is in the list, ours opens, and the file is written as it was read.
    #[test]
    fn ours_is_found_among_any_wraps(before in prop::collection::vec(any::<Vec<u8>>(), 0..4), after in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
        let field = |bytes: &Vec<u8>| [&[0x1a, bytes.len() as u8][..], bytes].concat();
        let list = |all: &[Vec<u8>]| all.iter().filter(|one| one.len() < 128).flat_map(field).collect::<Vec<_>>();
        let parts = fields(&under(7).to_bytes());
        let bytes = [parts[0].clone(), parts[1].clone(), list(&before), parts[2].clone(), list(&after)].concat();
        let file = PolicyFile::parse(&bytes).unwrap();
        prop_assert!(open_policy(&file, &protector(7)).is_ok());
        prop_assert_eq!(file.to_bytes(), bytes);
    }
}

/// VC-4: one protector's wrap takes another's place, and each other wrap stays byte for byte, in a form that nobody knows too. The last one is
/// never taken away.
#[test]
fn a_wrap_takes_anothers_place() {
    let base = with(&under(7), &[&wraps(&under(8))[..], &[unknown()]].concat());
    let eight = ProtectorDescriptor::of(&protector(8));
    let key = (&content(7), &protector(9), Iv([3; 16]));
    let changed = base.rewrapped(&|by| by == eight, Some(key)).unwrap();
    for (byte, opens) in [(7, true), (8, false), (9, true)] {
        assert_eq!(open_policy(&changed, &protector(byte)).is_ok(), opens, "{byte}");
    }
    assert_eq!(wraps(&changed)[1..], [wraps(&under(7)), vec![unknown()]].concat());
    assert_eq!(changed.policy(), base.policy());
    assert_eq!(PolicyFile::parse(&changed.to_bytes()).unwrap(), changed);
    under(7).rewrapped(&|by| by == ours(), None).expect_err("nothing would open it");
    let full = (0..200).try_fold(base, |file, _| file.rewrapped(&|_| false, Some(key)));
    assert!(matches!(full, Err(fscrypt::ParseError::TooLong { .. })), "it stays one that can be read");
}
