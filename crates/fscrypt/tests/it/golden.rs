//! Key files that the `fscrypt` command itself wrote (`vectors/fscrypt`), held against their descriptions: keys, names and IVs as
//! another program computed them.

use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use fscrypt::{
    ContentKey, Iv, KeyFiles, KeyIdentifier, Modes, PolicyFile, ProtectorDescriptor, ProtectorFile,
    ProtectorKey, Source, WrappingKey,
};
use serde_json::Value;

/// A file and its description.
struct Golden {
    bytes: Vec<u8>,
    said: Value,
}

impl Golden {
    /// Its description also says how long the file is and what it hashes to.
    fn read(name: &str) -> Self {
        let path = |end| {
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../vectors/fscrypt/{name}.{end}"))
        };
        let golden = Self {
            bytes: std::fs::read(path("bin")).unwrap(),
            said: serde_json::from_slice(&std::fs::read(path("json")).unwrap()).unwrap(),
        };
        assert_eq!(golden.said["size"], golden.bytes.len());
        assert_eq!(golden.text("sha256"), hex::encode(digest(&SHA256, &golden.bytes)));
        golden
    }

    fn text(&self, field: &str) -> &str {
        self.said[field].as_str().unwrap_or_else(|| panic!("the description has no {field}"))
    }

    fn iv(&self) -> Iv {
        Iv(hex::decode(self.text("iv_hex")).unwrap().try_into().unwrap())
    }

    /// Fills a key from a field, in place.
    fn fill(&self, field: &str, key: &mut [u8]) -> Result<(), hex::FromHexError> {
        hex::decode_to_slice(self.text(field), key)
    }
}

/// Both files, and the keys in and around them.
struct Theirs {
    protector: Golden,
    policy: Golden,
}

impl Theirs {
    fn read() -> Self {
        Self { protector: Golden::read("protector"), policy: Golden::read("policy") }
    }

    fn wrapping_key(&self) -> WrappingKey {
        WrappingKey::init(|key| self.protector.fill("wrapping_key_hex", key)).unwrap()
    }

    fn protector_key(&self) -> ProtectorKey {
        ProtectorKey::init(|key| self.protector.fill("protector_key_hex", key)).unwrap()
    }

    fn content_key(&self) -> ContentKey {
        ContentKey::init(|key| self.policy.fill("content_key_hex", key)).unwrap()
    }
}

#[test]
fn keys_have_the_names_that_the_tool_gives_them() {
    let theirs = Theirs::read();
    let descriptor = ProtectorDescriptor::of(&theirs.protector_key());
    assert_eq!(descriptor.to_string(), theirs.protector.text("descriptor"));
    let identifier = KeyIdentifier::of(&theirs.content_key());
    assert_eq!(identifier.to_string(), theirs.policy.text("identifier"));
}

/// VC-4: both wraps open, to just the keys that are in them.
#[test]
fn the_tools_files_open() {
    let theirs = Theirs::read();
    let files = KeyFiles {
        protector: ProtectorFile::parse(&theirs.protector.bytes).unwrap(),
        policy: PolicyFile::parse(&theirs.policy.bytes).unwrap(),
    };
    let (name, source) = (files.protector.name(), files.protector.source());
    assert_eq!((name, source), (theirs.protector.text("name"), Source::RawKey));
    assert_eq!(files.policy.policy().modes, Modes::AES_256_XTS);
    let (content, protector) = files.open(&theirs.wrapping_key()).unwrap();
    assert_eq!(hex::encode(content.expose_content_key()), theirs.policy.text("content_key_hex"));
    assert_eq!(hex::encode(protector.expose_protector_key()), theirs.protector.text("protector_key_hex"));
    assert_eq!(files.protector.to_bytes(), theirs.protector.bytes);
    assert_eq!(files.policy.to_bytes(), theirs.policy.bytes);
}

#[test]
fn the_same_keys_and_ivs_give_the_tools_bytes() {
    let theirs = Theirs::read();
    let (key, name, iv) = (theirs.protector_key(), theirs.protector.text("name"), theirs.protector.iv());
    let protector = ProtectorFile::seal(&key, &theirs.wrapping_key(), name, iv);
    assert_eq!(hex::encode(protector.to_bytes()), hex::encode(&theirs.protector.bytes));
    let policy = PolicyFile::seal(&theirs.content_key(), &key, Modes::AES_256_XTS, theirs.policy.iv());
    assert_eq!(hex::encode(policy.to_bytes()), hex::encode(&theirs.policy.bytes));
}
