//! Key files as bytes: the layout of the tool's messages, round trips, and bytes that are no key files.

use fscrypt::key_files::{open_policy, open_protector, rewrap};
use fscrypt::{Iv, Modes, PolicyFile, ProtectorFile, UnwrapError};
use proptest::prelude::*;

use crate::made::{NAME, content, files, protector, wrapping};

/// VC-4: wrapping key -> protector -> content key, and nothing else opens it.
#[test]
fn files_open_with_their_key_and_no_other() {
    let files = files(7);
    let (opened, of) = files.open(&wrapping(7)).unwrap();
    assert_eq!(opened.expose_content_key(), content(7).expose_content_key());
    assert_eq!(of.expose_protector_key(), protector(7).expose_protector_key());
    assert_eq!(files.open(&wrapping(8)).unwrap_err(), UnwrapError::WrongKey);
}

/// Fields as the tool's `metadata.proto` numbers them; a raw_key protector has 1, 2, 3 and 7 only.
#[test]
fn the_protector_file_is_laid_out_as_the_tool_writes_it() {
    let bytes = files(7).protector.to_bytes();
    let descriptor = files(7).protector.descriptor().to_string();
    let mut expected = vec![0x0a, 16];
    expected.extend(descriptor.as_bytes());
    expected.extend([0x10, 3, 0x1a, u8::try_from(NAME.len()).unwrap()]);
    expected.extend(NAME.as_bytes());
    // WrappedKeyData of 16 + 32 + 32 bytes and their three headers.
    expected.extend([0x3a, 86, 0x0a, 16]);
    expected.extend([1; 16]);
    assert!(bytes.starts_with(&expected), "{bytes:02x?}");
    assert_eq!(bytes.len(), expected.len() + 2 + 32 + 2 + 32);
}

#[test]
fn the_policy_file_has_the_options_that_the_tool_calls_standard() {
    let bytes = files(7).policy.to_bytes();
    let options = [0x12, 8, 0x08, 0x20, 0x10, 0x01, 0x18, 0x04, 0x20, 0x02];
    assert!(bytes.windows(options.len()).any(|window| window == options), "{bytes:02x?}");
}

#[test]
fn a_rewrap_keeps_the_protector_and_changes_what_opens_it() {
    let new = rewrap(&protector(7), &wrapping(9), NAME, Iv([3; 16]));
    assert_eq!(new.descriptor(), files(7).protector.descriptor());
    assert_eq!(open_protector(&new, &wrapping(7)).unwrap_err(), UnwrapError::WrongKey);
    let key = open_protector(&new, &wrapping(9)).unwrap();
    assert!(open_policy(&files(7).policy, &key).is_ok(), "the policy's file needs no change");
}

#[test]
fn secrets_do_not_show_in_debug() {
    let shown = format!("{:?} {:?} {:?}", content(7), protector(7), wrapping(7));
    assert_eq!(shown, "ContentKey(redacted) ProtectorKey(redacted) WrappingKey(redacted)");
}

#[test]
fn what_is_too_long_is_no_key_file() {
    let mut bytes = files(7).protector.to_bytes();
    // An unknown field, which alone would be no fault.
    bytes.extend([0xfa, 0x7f]);
    let filler = 16_384;
    bytes.extend([(filler & 0x7f) as u8 | 0x80, (filler >> 7) as u8 | 0x80, 0x01]);
    bytes.extend(vec![0; filler]);
    assert!(ProtectorFile::parse(&bytes).is_err());
    assert!(PolicyFile::parse(&bytes).is_err());
}

proptest! {
    #[test]
    fn any_bytes_parse_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = ProtectorFile::parse(&bytes);
        let _ = PolicyFile::parse(&bytes);
    }

    #[test]
    fn what_was_written_is_read(key: u8, name in "[a-zA-Z0-9 .-]{1,60}", iv: [u8; 16], adiantum: bool) {
        let protector_file = ProtectorFile::seal(&protector(key), &wrapping(key), &name, Iv(iv));
        prop_assert_eq!(&ProtectorFile::parse(&protector_file.to_bytes()).unwrap(), &protector_file);
        let modes = if adiantum { Modes::ADIANTUM } else { Modes::AES_256_XTS };
        let policy_file = PolicyFile::seal(&content(key), &protector(key), modes, Iv(iv));
        let read = PolicyFile::parse(&policy_file.to_bytes()).unwrap();
        prop_assert_eq!(&read, &policy_file);
        prop_assert_eq!(read.policy().modes, modes);
    }
}
