//! The key-encryption key: 32 random bytes in a 0600 file, made at first start. It seals rows, a period's key among them, which is another type.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use disk::Disk;
use nix::libc::O_NONBLOCK;
use zeroize::Zeroizing;

use super::kek_file::Watched;
use super::{CustodyError, Identity, KekFault, Unmade, sealing};

/// A key that seals other keys. Boxed, wiped on drop, never printed.
pub struct Kek {
    key: Box<Zeroizing<[u8; 32]>>,
    /// Where it lies.
    file: Option<Watched>,
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kek(redacted)")
    }
}

/// Fills a buffer from the operating system.
///
/// # Errors
/// [`CustodyError::Making`] when it gives none.
pub fn random(buffer: &mut [u8]) -> Result<(), CustodyError> {
    fill(buffer).map_err(CustodyError::Making)
}

fn fill(buffer: &mut [u8]) -> Result<(), Unmade> {
    aws_lc_rs::rand::fill(buffer).map_err(|_| Unmade::Randomness)
}

impl Kek {
    /// A new random one.
    ///
    /// # Errors
    /// [`CustodyError::Making`].
    pub fn generate() -> Result<Self, CustodyError> {
        let mut kek = Self { key: Box::new(Zeroizing::new([0; 32])), file: None };
        random(kek.key.as_mut_slice())?;
        Ok(kek)
    }

    /// Reads the file, or makes it when there is none and `first_start` says that no row was ever sealed.
    ///
    /// # Errors
    /// [`CustodyError::KekFile`]: it is absent though rows are sealed under it, readable by others, or not 32 bytes.
    pub fn from_file(file: &Path, first_start: bool) -> Result<Self, CustodyError> {
        Self::from_file_on(&Disk::linux(), file, first_start)
    }

    pub(crate) fn from_file_on(disk: &Disk, file: &Path, first_start: bool) -> Result<Self, CustodyError> {
        let told = |source: KekFault| CustodyError::KekFile { file: file.to_owned(), source };
        // A pipe of this name is refused for its length: nobody may ever write to it.
        let kek = match OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(file) {
            Ok(open) => Self::read(open),
            Err(e) if e.kind() == io::ErrorKind::NotFound && first_start => Self::make(disk, file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(KekFault::Gone),
            Err(e) => Err(e.into()),
        };
        Ok(Self { file: Watched::of(disk, file), ..kek.map_err(told)? })
    }

    /// Whether its file has it still, or again: one that is gone is written anew.
    ///
    /// # Errors
    /// [`CustodyError::KekFile`]: what is sealed now may never open again.
    pub fn is_kept(&self) -> Result<(), CustodyError> {
        let Some(watched) = &self.file else { return Ok(()) };
        watched.has(&self.key).map_err(|source| {
            let file = watched.file().to_owned();
            CustodyError::KekFile { file, source }
        })
    }

    fn read(mut file: File) -> Result<Self, KekFault> {
        let meta = file.metadata()?;
        if meta.mode() & 0o077 != 0 {
            return Err(KekFault::OpenToOthers { mode: meta.mode() & 0o777 });
        }
        if meta.len() != 32 {
            return Err(KekFault::Length { bytes: meta.len() });
        }
        let mut kek = Self { key: Box::new(Zeroizing::new([0; 32])), file: None };
        file.read_exact(kek.key.as_mut_slice())?;
        Ok(kek)
    }

    fn make(disk: &Disk, file: &Path) -> Result<Self, KekFault> {
        let mut kek = Self { key: Box::new(Zeroizing::new([0; 32])), file: None };
        fill(kek.key.as_mut_slice())?;
        write_private(disk, file, kek.expose_kek())?;
        Ok(kek)
    }

    /// Returns the bytes. `grep expose_kek` lists every reader.
    pub(super) fn expose_kek(&self) -> &[u8; 32] {
        &self.key
    }

    /// Seals `plain` for one row.
    ///
    /// # Errors
    /// [`CustodyError::Making`]. As [`Self::is_kept`].
    pub fn seal(&self, row: Identity<'_>, plain: &[u8]) -> Result<Vec<u8>, CustodyError> {
        self.is_kept()?;
        sealing::seal(self.expose_kek(), row, plain)
    }

    /// Opens what [`Self::seal`] made for the same row.
    ///
    /// # Errors
    /// [`CustodyError::Unsealed`].
    pub fn open(&self, row: Identity<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        sealing::open(self.expose_kek(), row, sealed)
    }
}

/// Writes a file that only its owner reads, whole or not at all, and never over another.
pub(crate) fn write_private(disk: &Disk, file: &Path, bytes: &[u8]) -> io::Result<()> {
    Ok(disk.write_first(file, bytes, 0o600)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use vault::ids::{DeviceId, Epoch, Project, VaultId};

    use super::*;
    use crate::service::chain;

    #[test]
    fn a_row_opens_only_as_itself_and_only_whole() {
        let kek = Kek::generate().expect("randomness");
        let sealed = kek.seal(Identity::Period("2026-11"), b"secret").expect("sealed");
        assert_eq!(*kek.open(Identity::Period("2026-11"), &sealed).expect("opens"), b"secret");
        assert!(kek.open(Identity::Period("2026-12"), &sealed).is_err(), "another row's name");
        assert!(kek.open(Identity::Key("2026-11"), &sealed).is_err(), "another kind of row");
        assert!(
            Kek::generate().expect("randomness").open(Identity::Period("2026-11"), &sealed).is_err(),
            "another key"
        );
        for cut in 0..sealed.len() {
            assert!(kek.open(Identity::Period("2026-11"), &sealed[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(kek.open(Identity::Period("2026-11"), &changed).is_err(), "changed at {at}");
        }
    }

    /// Threats, Controller: a vault's key is its project's. What was sealed before there were any is told from all of them.
    #[test]
    fn an_epoch_opens_in_its_own_project_only() {
        let (device, vault) = (DeviceId(uuid::Uuid::from_u128(1)), VaultId(uuid::Uuid::from_u128(2)));
        let [here, elsewhere] = [Project::default(), "elsewhere".parse().expect("a name")];
        let of = |project| Identity::Epoch(project, device, vault, Epoch(3));
        let before = Identity::EpochBeforeProjects(device, vault, Epoch(3));
        let kek = Kek::generate().expect("randomness");
        for own in [of(&here), of(&elsewhere), before] {
            let sealed = kek.seal(own, b"secret").expect("sealed");
            for other in [of(&here), of(&elsewhere), before] {
                assert_eq!(kek.open(other, &sealed).is_ok(), other == own, "{own} as {other}");
            }
        }
    }

    /// As rows of builds before say it: what is not sealed anew opens by these bytes for ever.
    #[test]
    fn what_rows_are_bound_to_stays_as_it_is() {
        let (device, vault) = (DeviceId(uuid::Uuid::from_u128(1)), VaultId(uuid::Uuid::from_u128(2)));
        let ids = "00000000-0000-0000-0000-000000000001/00000000-0000-0000-0000-000000000002/3";
        for (row, expected) in [
            (Identity::Key("ca"), "v1 key/ca".to_owned()),
            (Identity::Period("2026-11"), "v1 period/2026-11".to_owned()),
            (Identity::EpochBeforeProjects(device, vault, Epoch(3)), format!("v1 epoch/{ids}")),
            (
                Identity::Epoch(&Project::default(), device, vault, Epoch(3)),
                format!("v2 epoch/default/{ids}"),
            ),
        ] {
            let told = String::from_utf8(row.aad()).expect("text");
            assert_eq!(told, format!("eve-vault controller row {expected}"));
        }
    }

    #[test]
    fn the_file_is_made_private_once_and_never_again_silently() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("kek");
        let made = Kek::from_file(&file, true).expect("made");
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(Kek::from_file(&file, false).expect("read").expose_kek(), made.expose_kek());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        let told = |first_start| chain(&Kek::from_file(&file, first_start).expect_err("refused"));
        assert!(told(false).contains("chmod 600"), "open to others");
        std::fs::write(&file, []).expect("emptied");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        assert!(told(false).contains("0 bytes"), "empty");
        std::fs::write(&file, [0; 7]).expect("written");
        assert!(Kek::from_file(&file, true).is_err(), "what is not ours is not thrown away");
        std::fs::remove_file(&file).expect("removed");
        assert!(told(false).contains("put it back"), "gone");
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        assert_eq!(format!("{:?}", Kek::generate().expect("randomness")), "Kek(redacted)");
    }
}
