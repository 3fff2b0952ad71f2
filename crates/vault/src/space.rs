//! The space of a vault: how much the operator lets it take, and what the kernel counts and bounds of it by a project quota. Facts and a
//! checked type; that a vault's own key files and shares lie outside of its project is the shell's to see to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most that a vault may take on its node's disk: whole KiB, as the kernel's quotas have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct StorageLimit(u64);

/// It is no limit that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a storage limit is 1MiB to 1PiB in whole KiB, MiB, GiB or TiB: write it like `20GiB`")]
pub struct BadLimit;

const KIB: u64 = 1 << 10;
/// Names of units, the greatest first, and how many bytes each is.
const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", KIB)];

impl StorageLimit {
    /// Bounds in bytes: below, not even a few folders fit; above, no filesystem that encrypts is that large.
    pub const BOUNDS: (u64, u64) = (1 << 20, 1 << 50);

    /// Of so many bytes: whole KiB, within [`Self::BOUNDS`].
    #[must_use]
    pub const fn of_bytes(bytes: u64) -> Option<Self> {
        let (least, most) = Self::BOUNDS;
        if least <= bytes && bytes <= most && bytes.is_multiple_of(KIB) { Some(Self(bytes)) } else { None }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for StorageLimit {
    type Error = BadLimit;
    fn try_from(bytes: u64) -> Result<Self, BadLimit> {
        Self::of_bytes(bytes).ok_or(BadLimit)
    }
}

impl From<StorageLimit> for u64 {
    fn from(limit: StorageLimit) -> Self {
        limit.0
    }
}

impl FromStr for StorageLimit {
    type Err = BadLimit;
    fn from_str(text: &str) -> Result<Self, BadLimit> {
        let of = |(unit, bytes): (&str, u64)| {
            let number = text.strip_suffix(unit)?.trim_end();
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(bytes)
        };
        UNITS.into_iter().find_map(of).and_then(Self::of_bytes).ok_or(BadLimit)
    }
}

impl fmt::Display for StorageLimit {
    /// In the greatest unit that it is whole in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.into_iter().find(|(_, bytes)| self.0.is_multiple_of(*bytes));
        let (unit, bytes) = whole.expect("it is in whole KiB");
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

/// What the filesystem does about projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keeps {
    /// Nothing, or it is not known.
    #[default]
    Nothing,
    /// It counts what each takes, and bounds none: it is mounted without `prjquota`.
    Counts,
    /// It counts and bounds.
    Bounds,
}

/// The project that a vault's directory belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Project {
    /// None: nothing is counted.
    #[default]
    None,
    /// One of those that vaults get. What is made in the directory belongs to it too.
    Own,
    /// Somebody else's, of this number: it is left as it is.
    Foreign(u32),
}

/// What the kernel says of a vault's space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// Of all projects.
    pub keeps: Keeps,
    /// Of this directory.
    pub project: Project,
    /// The limit in force.
    pub limit: Option<StorageLimit>,
    /// How much the project takes, in bytes.
    pub used: u64,
    /// Its files were not put into the project yet, as far as is known: those of before it, and those that their owners took out.
    pub uncounted: bool,
}

impl Space {
    /// Whether the vault's directory can be bounded, or is.
    #[must_use]
    pub fn can_be_bounded(self) -> bool {
        self.keeps != Keeps::Nothing && !matches!(self.project, Project::Foreign(_))
    }

    /// Why a limit that is set, or would be, bounds nothing; none: it does.
    #[must_use]
    pub fn unbounded(self) -> Option<Unbounded> {
        match (self.keeps, self.project) {
            (_, Project::Foreign(project)) => Some(Unbounded::Foreign(project)),
            (Keeps::Nothing, _) => Some(Unbounded::NoQuota),
            (Keeps::Counts, _) => Some(Unbounded::NotMounted),
            (Keeps::Bounds, _) => None,
        }
    }
}

/// Why a limit is not enforced, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unbounded {
    /// No project quota.
    #[error(
        "the persist filesystem keeps no project quota: unmount it, run `tune2fs -O quota,project -Q prjquota DEVICE`, and mount it with the option prjquota (the kernel needs CONFIG_QUOTA and Linux 5.14)"
    )]
    NoQuota,
    /// Not enforced.
    #[error("the persist filesystem counts, but is mounted without the option prjquota: mount it with that")]
    NotMounted,
    /// Another's project.
    #[error(
        "its directory belongs to project {0}, which is none of those that vaults get: take it out of that (`chattr -p 0`)"
    )]
    Foreign(u32),
}

/// What a vault takes of its node's disk, as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// In bytes, rounded up to whole MiB: a status is not news for each block that is written.
    pub used: u64,
    /// The limit that is in force.
    pub limit: Option<StorageLimit>,
}

impl Storage {
    /// Where the kernel counts it.
    #[must_use]
    pub fn of(space: Space) -> Option<Self> {
        let counted = space.keeps != Keeps::Nothing && space.project == Project::Own;
        let limit = space.limit.filter(|_| space.keeps == Keeps::Bounds);
        counted.then(|| Self { used: space.used.div_ceil(1 << 20) << 20, limit })
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}MiB", self.used >> 20)?;
        self.limit.map_or(Ok(()), |limit| write!(f, " of {limit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// UC-E: sizes are read as they are written, and what is none is refused.
    #[test]
    fn a_limit_is_a_whole_number_of_a_unit() {
        for (text, bytes) in
            [("1MiB", 1 << 20), ("20GiB", 20 << 30), ("1025KiB", 1025 << 10), ("1 TiB", 1 << 40)]
        {
            let limit: StorageLimit = text.parse().expect(text);
            assert_eq!(limit.bytes(), bytes);
            assert_eq!(limit.to_string().parse(), Ok(limit), "{text}");
        }
        let bad = [
            "",
            "GiB",
            "20",
            "20GB",
            "20G",
            "1.5GiB",
            "-1GiB",
            "+1GiB",
            "1023KiB",
            "1025TiB",
            "99999999999TiB",
            "1GiB ",
        ];
        bad.into_iter().for_each(|text| assert_eq!(text.parse::<StorageLimit>(), Err(BadLimit), "{text}"));
        assert_eq!(StorageLimit::of_bytes((1 << 20) + 1), None, "no part of a KiB");
    }

    /// Invariant 8: a limit that is not enforced is never told as one in force.
    #[test]
    fn a_limit_is_in_force_only_where_the_kernel_bounds() {
        let limit = StorageLimit::of_bytes(1 << 30);
        let space = |keeps| Space { keeps, project: Project::Own, limit, used: 1, uncounted: false };
        assert_eq!(Storage::of(space(Keeps::Bounds)), Some(Storage { used: 1 << 20, limit }));
        assert_eq!(Storage::of(space(Keeps::Counts)), Some(Storage { used: 1 << 20, limit: None }));
        assert_eq!(Storage::of(space(Keeps::Nothing)), None);
        let foreign = Space { project: Project::Foreign(7), ..space(Keeps::Bounds) };
        assert_eq!((Storage::of(foreign), foreign.unbounded()), (None, Some(Unbounded::Foreign(7))));
    }
}
