//! Key files that the `fscrypt` command itself wrote (`vectors/fscrypt`), with their keys as another program computed them.

use fscrypt::{
    ContentKey, Iv, KeyFiles, KeyIdentifier, Modes, PolicyFile, ProtectorDescriptor, ProtectorFile,
    ProtectorKey,
};

use crate::made::wrapping;

const PROTECTOR: &[u8] = include_bytes!("../../../../vectors/fscrypt/protector.bin");
const POLICY: &[u8] = include_bytes!("../../../../vectors/fscrypt/policy.bin");

const DESCRIPTOR: &str = "5da815fe4203d5c1";
const PROTECTOR_KEY: &str = "876a4ba8e89752c4b0fa6b13996ccdcaf80ed6070ebc919c7f9c08ebba5c4193";
const PROTECTOR_IV: &str = "e5010a1d774207b7cc21e68339178202";
const IDENTIFIER: &str = "86e10542654b2f805d3f3b75b0858f7a";
const CONTENT_KEY: &str = "582b8141ecc7112f76151d7b12e55d7f1b4febeadf63828292678b97bf191030e594540ce0140820c1d7749893f04fe5ba11df95e5c17c6d92576b35991f0f47";
const POLICY_IV: &str = "f9f7dc07c1b59185525b7b5c504bf901";

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn protector_key() -> ProtectorKey {
    ProtectorKey::init(|key| hex::decode_to_slice(PROTECTOR_KEY, key)).unwrap()
}

fn content_key() -> ContentKey {
    ContentKey::init(|key| hex::decode_to_slice(CONTENT_KEY, key)).unwrap()
}

#[test]
fn keys_have_the_names_that_the_tool_gives_them() {
    assert_eq!(ProtectorDescriptor::of(&protector_key()).to_string(), DESCRIPTOR);
    assert_eq!(KeyIdentifier::of(&content_key()).to_string(), IDENTIFIER);
}

/// VC-4: both wraps open, to just the keys that are in them.
#[test]
fn the_tools_files_open() {
    let files = KeyFiles {
        protector: ProtectorFile::parse(PROTECTOR).unwrap(),
        policy: PolicyFile::parse(POLICY).unwrap(),
    };
    assert_eq!((files.protector.name(), files.protector.is_raw_key()), ("theirs", true));
    assert_eq!(files.policy.policy().modes, Modes::AES_256_XTS);
    let (content, protector) = files.open(&wrapping(5)).unwrap();
    assert_eq!(hex::encode(content.expose_content_key()), CONTENT_KEY);
    assert_eq!(hex::encode(protector.expose_protector_key()), PROTECTOR_KEY);
    assert_eq!((files.protector.to_bytes(), files.policy.to_bytes()), (PROTECTOR.to_vec(), POLICY.to_vec()));
}

#[test]
fn the_same_keys_and_ivs_give_the_tools_bytes() {
    let iv = Iv(bytes(PROTECTOR_IV));
    let protector = ProtectorFile::seal(&protector_key(), &wrapping(5), "theirs", iv);
    assert_eq!(hex::encode(protector.to_bytes()), hex::encode(PROTECTOR));
    let policy = PolicyFile::seal(&content_key(), &protector_key(), Modes::AES_256_XTS, Iv(bytes(POLICY_IV)));
    assert_eq!(hex::encode(policy.to_bytes()), hex::encode(POLICY));
}
