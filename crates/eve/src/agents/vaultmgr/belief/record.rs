//! What vaultmgr keeps in the Config Vault: the newest accepted section as it was signed, and what earlier ones listed.
//! The one file is replaced whole. The section in it is verified anew at each start: encryption at rest is not authentication.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use vault::belief::{Kept, Signed};
use vault::ids::{Name, VaultId};
use vault::shares::RootPin;
use vault::wanted::{Chain, Record};

use crate::agents::vaultmgr::hands::durable;
use crate::agents::vaultmgr::paths::Paths;

/// A section of a thousand vaults with its certificates is far below this.
const MAX_BYTES: usize = 4 << 20;

/// The record and the signed section it came from, as they lie in the file. The chain follows after it, then the former names, then
/// what was ordered locked, and its place: a file of before there was one of these ends there, and a reader of before does not look further.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stored {
    record: Record,
    envelope: Vec<u8>,
    certs: Vec<u8>,
    root: [u8; 32],
}

/// Why the record was not read. Nothing is deleted meanwhile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// The folders in which it lies.
    #[error("making the folders of the Config Vault in persist/config: {}; it is tried again by itself", to_do(.0))]
    Folders(#[source] io::Error),
    /// The file.
    #[error("reading the record of accepted lists of vaults, persist/config/vaultmgr/record: {}; it is tried again by itself", to_do(.0))]
    Read(#[source] io::Error),
    /// Its bytes.
    #[error(
        "the record of accepted lists of vaults, persist/config/vaultmgr/record, is damaged, and can't be put aside; that is tried again by itself"
    )]
    Damaged(#[source] postcard::Error),
    /// What it says of the section in it, that does not say.
    #[error(
        "the record of accepted lists of vaults, persist/config/vaultmgr/record, speaks against the list in it, and can't be put aside; that is tried again by itself"
    )]
    Contradicted,
}

const STRANGE: &str = "see what stands there, and move it away";

/// Of what the disk does not give, and of what somebody put in its place.
fn to_do(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if error.raw_os_error() == Some(libc::ELOOP) => STRANGE,
        io::ErrorKind::InvalidData | io::ErrorKind::NotADirectory => STRANGE,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the persist filesystem",
        _ => {
            "see what the kernel's log (`dmesg`) says of the disk, and run `fsck` on the persist filesystem while it is not mounted"
        }
    }
}

/// Reads it; nothing when no section was ever accepted. The Config Vault must be open.
pub(crate) fn load(paths: &Paths) -> Result<Option<Kept>, RecordError> {
    let Some(bytes) = durable::read(&paths.record(), MAX_BYTES).map_err(RecordError::Read)? else {
        return Ok(None);
    };
    decode(&bytes).map(Some).map_err(RecordError::Damaged)
}

/// The names in the record that was put aside last; none where there is none, or it does not read.
pub(crate) fn names_aside(paths: &Paths) -> BTreeMap<VaultId, Name> {
    let bytes = durable::read(&paths.record_aside(), MAX_BYTES).ok().flatten();
    let kept = bytes.and_then(|bytes| decode(&bytes).ok());
    kept.map(|kept| kept.record.names()).unwrap_or_default()
}

fn decode(bytes: &[u8]) -> Result<Kept, postcard::Error> {
    let (stored, rest): (Stored, _) = postcard::take_from_bytes(bytes)?;
    let (chain, rest) = later::<Chain>(rest)?;
    let (former, rest) = later(rest)?;
    let (ordered, rest) = later(rest)?;
    let (ordered_at, _) = later(rest)?;
    let Stored { record, envelope, certs, root } = stored;
    let record = Record { former, ..record };
    let signed = Signed { envelope, certs };
    Ok(Kept { record, chain, root: RootPin(root), signed, ordered, ordered_at })
}

/// A part that files of before end without.
fn later<'b, T: Default + Deserialize<'b>>(bytes: &'b [u8]) -> Result<(T, &'b [u8]), postcard::Error> {
    if bytes.is_empty() { Ok((T::default(), bytes)) } else { postcard::take_from_bytes(bytes) }
}

fn encode(kept: &Kept) -> Result<Vec<u8>, postcard::Error> {
    let Kept { record, chain, root, signed, ordered, ordered_at } = kept.clone();
    let former = postcard::to_allocvec(&record.former)?;
    let stored = Stored { record, envelope: signed.envelope, certs: signed.certs, root: root.0 };
    let (ordered, at) = (postcard::to_allocvec(&ordered)?, postcard::to_allocvec(&ordered_at)?);
    Ok([postcard::to_allocvec(&stored)?, postcard::to_allocvec(&chain)?, former, ordered, at].concat())
}

/// Writes it, durably. The Config Vault must be open.
pub(crate) fn save(paths: &Paths, kept: &Kept) -> io::Result<()> {
    let bytes = encode(kept).map_err(io::Error::other)?;
    if bytes.len() > MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(paths.disk().write(&paths.record(), &bytes, 0o600)?)
}

/// Puts it aside, for people to look at: it is damaged, or another controller's. What was aside before is replaced.
pub(crate) fn set_aside(paths: &Paths) -> io::Result<()> {
    match paths.disk().rename(&paths.record(), &paths.record_aside()).map_err(io::Error::from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault::ids::{DeviceId, Epoch, Incarnation, SectionDigest, SectionVersion};
    use vault::wanted::{Accepted, OrderedAt};

    fn kept() -> Kept {
        let listed = BTreeMap::from([(VaultId(uuid::Uuid::nil()), "berlin".parse().expect("a name"))]);
        let version = SectionVersion { incarnation: Incarnation([1; 16]), version: 7 };
        let accepted = Accepted { device: DeviceId(uuid::Uuid::nil()), version, superseded: Vec::new() };
        let former = BTreeMap::from([(VaultId(uuid::Uuid::max()), "rome".parse().expect("a name"))]);
        let record = Record { accepted, listed, removed: BTreeMap::new(), former };
        let epochs = BTreeMap::from([(VaultId(uuid::Uuid::nil()), Epoch(3))]);
        let chain = Chain { head: Some(SectionDigest([4; 32])), epochs };
        let signed = Signed { envelope: vec![1], certs: vec![2] };
        let ordered = [VaultId(uuid::Uuid::nil())].into();
        let ordered_at = Some(OrderedAt { device: DeviceId(uuid::Uuid::nil()), version });
        Kept { record, chain, root: RootPin([3; 32]), signed, ordered, ordered_at }
    }

    #[test]
    fn what_is_saved_is_loaded_and_damage_is_told_from_absence() {
        let dir = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(dir.path());
        assert_eq!(load(&paths).expect("absent"), None);
        set_aside(&paths).expect("nothing to put aside");
        std::fs::create_dir_all(paths.own_folder()).expect("makes");
        save(&paths, &kept()).expect("saves");
        assert_eq!(load(&paths).expect("loads"), Some(kept()));
        std::fs::write(paths.record(), [0xff; 9]).expect("writes");
        assert!(matches!(load(&paths), Err(RecordError::Damaged(_))));
        set_aside(&paths).expect("puts it aside");
        assert_eq!(load(&paths).expect("absent"), None);
        assert!(paths.record_aside().exists());
    }

    /// A record of before there was a chain, or were former names, or orders, is read without; and this one is read by programs of before.
    #[test]
    fn a_record_without_a_chain_or_former_names_or_orders_is_read() {
        let (whole, kept) = (encode(&kept()).expect("encodes"), kept());
        let (chain, former) = (&kept.chain, &kept.record.former);
        let len = |part: postcard::Result<Vec<u8>>| part.expect("encodes").len();
        let ordered = &whole[..whole.len() - len(postcard::to_allocvec(&kept.ordered_at))];
        let kept = Kept { ordered_at: None, ..kept.clone() };
        assert_eq!(decode(ordered).as_ref(), Ok(&kept), "of before their place was kept");
        let named = &ordered[..ordered.len() - len(postcard::to_allocvec(&kept.ordered))];
        let kept = Kept { ordered: [].into(), ..kept.clone() };
        assert_eq!(decode(named).as_ref(), Ok(&kept));
        let chained = &named[..named.len() - len(postcard::to_allocvec(former))];
        let before = &chained[..chained.len() - len(postcard::to_allocvec(chain))];
        let nameless = Record { former: BTreeMap::new(), ..kept.record.clone() };
        let nameless = Kept { record: nameless, ..kept.clone() };
        assert_eq!(decode(chained).as_ref(), Ok(&nameless));
        assert_eq!(decode(before), Ok(Kept { chain: Chain::default(), ..nameless }));
        assert!(postcard::take_from_bytes::<(Stored, Chain)>(&whole).is_ok());
        for cut in 0..before.len() {
            assert!(decode(&whole[..cut]).is_err(), "cut at {cut}");
        }
    }
}
