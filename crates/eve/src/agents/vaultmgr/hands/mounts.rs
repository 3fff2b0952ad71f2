//! The kernel's tables of mounts, one for each mount namespace (proc_pid_mountinfo(5)). What is mounted in a tree belongs to somebody
//! else, and a part of a tree that is mounted elsewhere leads into it by another way.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Kinds of filesystems that a server answers for, when it likes.
const REMOTE: [&str; 10] = ["9p", "afs", "ceph", "cifs", "gfs2", "nfs", "nfs4", "ocfs2", "smb3", "virtiofs"];
/// Longest table that is read, in bytes.
const MAX_TABLE: u64 = 4 << 20;

/// Refuses a path that is a mount point or has one below it, in this process's mount namespace.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`]: there is one. Others: it could not be found out, which counts the same.
pub(crate) fn none_at(path: &Path) -> io::Result<()> {
    let real = match fs::canonicalize(path.parent().ok_or(io::ErrorKind::InvalidInput)?) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?.join(path.file_name().ok_or(io::ErrorKind::InvalidInput)?),
    };
    if Table::read(Path::new("/proc/self/mountinfo"))?
        .mounts
        .iter()
        .any(|mount| mount.point.starts_with(&real))
    {
        return Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "something is mounted inside; unmount it first",
        ));
    }
    Ok(())
}

/// Whether something is mounted there, be it the same filesystem as around it. Where that can't be found out it counts as mounted.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    let Ok(real) = fs::canonicalize(path) else { return false };
    let table = Table::read(Path::new("/proc/self/mountinfo"));
    table.map_or(true, |table| table.mounts.iter().any(|mount| mount.point == real))
}

/// Whether who looks there may wait for a server, or for a process. Where that can't be found out he may.
pub(crate) fn may_wait_for(path: &Path) -> bool {
    let Ok(real) = fs::canonicalize(path) else { return true };
    Table::read(Path::new("/proc/self/mountinfo")).map_or(true, |table| table.may_wait(&real))
}

/// What a path lies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// As the kernel names it: `ext4`.
    pub(crate) kind: String,
    /// Of the filesystem, not of the mount point, by commas.
    pub(crate) options: String,
}

/// None where that can't be found out.
pub(crate) fn mounted(path: &Path) -> Option<Mounted> {
    let table = Table::read(Path::new("/proc/self/mountinfo")).ok()?;
    let mount = table.mount_of(&fs::canonicalize(path).ok()?)?;
    Some(Mounted { kind: mount.kind.clone(), options: mount.options.to_string_lossy().into_owned() })
}

/// What to do about a filesystem that can't encrypt, on which `persist` lies.
pub(crate) fn to_encrypt(persist: &Path) -> String {
    let real = fs::canonicalize(persist).unwrap_or_else(|_| persist.to_owned());
    let table = Table::read(Path::new("/proc/self/mountinfo")).ok();
    let mount = table.as_ref().and_then(|table| table.mount_of(&real));
    let shown = crate::agents::vaultmgr::hands::tree::shown(persist);
    match mount {
        Some(mount) if mount.point != real => format!(
            "{shown} is not a mount point, but a folder of a filesystem ({}, {}) that can't encrypt: mount there one that was made by `mkfs.ext4 -O encrypt`",
            mount.kind, mount.source
        ),
        Some(mount) if mount.kind == "ext4" => {
            format!(
                "the filesystem at {shown} can't encrypt yet: `tune2fs -O encrypt {}`, then start eve again",
                mount.source
            )
        }
        _ => format!(
            "the filesystem at {shown} can't encrypt: use an ext4 that was made by `mkfs.ext4 -O encrypt`"
        ),
    }
}

/// A place by what it is: a filesystem, and a path in it, whatever namespace it is looked at from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePlace {
    device: String,
    path: PathBuf,
}

impl FilePlace {
    /// What has this name in it, whatever is mounted there.
    pub(crate) fn of_name(&self, name: &OsStr) -> Self {
        Self { device: self.device.clone(), path: self.path.join(name) }
    }

    fn is_in(&self, whole: &Self) -> bool {
        self.device == whole.device && self.path.starts_with(&whole.path)
    }
}

/// One line.
#[derive(Debug)]
struct Mount {
    id: String,
    parent: String,
    /// `major:minor`, and which part of that filesystem.
    of: FilePlace,
    point: PathBuf,
    kind: String,
    /// The device, where it is one.
    source: String,
    options: OsString,
}

/// The mounts of one namespace, later ones over earlier ones. Any user makes as many as the kernel lets him, so none is looked for one by one.
#[derive(Debug)]
pub(crate) struct Table {
    mounts: Vec<Mount>,
    by_id: HashMap<String, usize>,
    /// The last at each point.
    by_point: HashMap<PathBuf, usize>,
}

impl Table {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Self::read_until(path, &|| false)
    }

    /// The same, but what comes when it is late is missing.
    pub(crate) fn read_until(path: &Path, late: &dyn Fn() -> bool) -> io::Result<Self> {
        let lines = BufReader::new(fs::File::open(path)?.take(MAX_TABLE)).split(b'\n');
        let in_time = lines.take_while(|_| !late());
        let mounts = in_time.filter_map(|line| line.map(|line| parse(&line)).transpose());
        mounts.collect::<io::Result<_>>().map(Self::of)
    }

    fn of(mounts: Vec<Mount>) -> Self {
        let by_id = mounts.iter().enumerate().map(|(at, mount)| (mount.id.clone(), at)).collect();
        let by_point = mounts.iter().enumerate().map(|(at, mount)| (mount.point.clone(), at)).collect();
        Self { mounts, by_id, by_point }
    }

    /// What a path of this namespace is. No link in it is followed, for nothing is looked up.
    pub(crate) fn place(&self, path: &Path) -> Option<FilePlace> {
        self.mount_of(path)?.inner(path)
    }

    fn mount_of(&self, path: &Path) -> Option<&Mount> {
        path.ancestors().find_map(|point| self.by_point.get(point)).map(|at| &self.mounts[*at])
    }

    /// How something in this namespace holds a part of this place; none when nothing does, or it is late.
    pub(crate) fn holds(&self, whole: &FilePlace, late: &dyn Fn() -> bool) -> Option<&'static str> {
        let in_time = || self.mounts.iter().take_while(|_| !late());
        if in_time().any(|mount| mount.of.is_in(whole)) {
            return Some("a mount of a part of it (umount)");
        }
        if in_time().any(|mount| self.stands_in(mount, whole)) {
            return Some("a mount inside it (umount)");
        }
        let layers = in_time().filter(|mount| mount.kind == "overlay").flat_map(Mount::layers);
        let mut places = layers.take_while(|_| !late()).filter_map(|layer| self.place(&layer));
        places.any(|place| place.is_in(whole)).then_some("an overlay with a layer in it (umount)")
    }

    /// Whether the directory that it is mounted on is in this place.
    fn stands_in(&self, mount: &Mount, whole: &FilePlace) -> bool {
        let parent = self.by_id.get(&mount.parent).map(|at| &self.mounts[*at]);
        let parent = parent.filter(|parent| parent.id != mount.id);
        parent.and_then(|parent| parent.inner(&mount.point)).is_some_and(|point| point.is_in(whole))
    }

    /// Whether whoever asks for this path may wait for a server, or for a process. Its mount is found by the path alone.
    pub(crate) fn may_wait(&self, path: &Path) -> bool {
        let waits = |kind: &str| kind.starts_with("fuse") || REMOTE.contains(&kind);
        self.mount_of(path).is_some_and(|mount| waits(&mount.kind))
    }

    /// Whether a path of this namespace, as somebody gave it to the kernel, is in this place.
    pub(crate) fn leads_into(&self, path: &Path, whole: &FilePlace) -> bool {
        self.place(path).is_some_and(|place| place.is_in(whole))
    }
}

impl Mount {
    fn inner(&self, path: &Path) -> Option<FilePlace> {
        let rest = path.strip_prefix(&self.point).ok()?;
        let inner = if rest.as_os_str().is_empty() { self.of.path.clone() } else { self.of.path.join(rest) };
        Some(FilePlace { device: self.of.device.clone(), path: inner })
    }

    /// The directories that an overlay is made of, as they were given.
    fn layers(&self) -> Vec<PathBuf> {
        let named = |option: &[u8]| {
            let at = option.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (&option[..at], option[at + 1..].to_vec());
            [&b"lowerdir"[..], b"upperdir", b"workdir", b"datadir"]
                .iter()
                .any(|of| name.starts_with(of))
                .then_some(value)
        };
        let options = self.options.as_bytes().split(|byte| *byte == b',').filter_map(named);
        options
            .flat_map(|value| value.split(|byte| *byte == b':').map(<[u8]>::to_vec).collect::<Vec<_>>())
            .map(|path| PathBuf::from(OsString::from_vec(path)))
            .collect()
    }
}

/// Fields 1 to 5, and behind the lone dash kind, source and options; space, tab, newline and backslash are written in octal.
fn parse(line: &[u8]) -> Option<Mount> {
    let fields: Vec<Vec<u8>> = line.split(|byte| *byte == b' ').map(unescaped).collect();
    let text = |at: usize| fields.get(at).map(|field| String::from_utf8_lossy(field).into_owned());
    let path = |at: usize| fields.get(at).map(|field| PathBuf::from(OsString::from_vec(field.clone())));
    let dash = fields.iter().position(|field| field == b"-")?;
    Some(Mount {
        id: text(0)?,
        parent: text(1)?,
        of: FilePlace { device: text(2)?, path: path(3)? },
        point: path(4)?,
        kind: text(dash + 1)?,
        source: text(dash + 2)?,
        options: path(dash + 3).unwrap_or_default().into_os_string(),
    })
}

pub(crate) fn unescaped(field: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(field.len()), field);
    while let [first, tail @ ..] = rest {
        let code = tail.first_chunk::<3>().filter(|_| *first == b'\\').and_then(octal);
        out.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    out
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &str) -> Table {
        Table::of(lines.lines().filter_map(|line| parse(line.as_bytes())).collect())
    }

    #[test]
    fn a_mount_point_is_read_with_its_escapes() {
        let table = table(
            "22 1 0:5 / /proc rw - proc proc rw\n30 22 7:0 /a /mnt/with\\040space\\134 rw - ext4 x rw\n",
        );
        let points: Vec<_> = table.mounts.iter().map(|mount| mount.point.as_path()).collect();
        assert_eq!(points, [Path::new("/proc"), Path::new("/mnt/with space\\")]);
    }

    /// Facts, fault 2: what leads into a vault is told by filesystem and path in it, wherever it is seen from.
    #[test]
    fn what_leads_into_a_place_is_told_from_what_does_not() {
        let own = table("1 0 8:1 / / rw - ext4 a rw\n2 1 7:0 / /node/persist rw - ext4 b rw\n");
        let vault = own.place(Path::new("/node/persist/vaults/v")).expect("a place");
        for (line, holds) in [
            ("9 1 7:0 /vaults/v /elsewhere rw - ext4 b rw", true),
            ("9 1 7:0 /vaults/v/part /data rw master:1 - ext4 b rw", true),
            ("9 1 7:0 /vaults/v2 /data rw - ext4 b rw", false),
            ("9 1 7:1 /vaults/v /data rw - ext4 b rw", false),
            ("9 1 7:0 /vaults /data rw - ext4 b rw", false),
            ("9 2 0:9 / /node/persist/vaults/v/inside rw - tmpfs t rw", true),
            ("9 2 0:9 / /node/persist/vaults rw - tmpfs t rw", false),
            (
                "9 1 0:9 / /o rw - overlay overlay rw,lowerdir=/x:/node/persist/vaults/v/l,upperdir=/u,workdir=/w",
                true,
            ),
            (
                "9 1 0:9 / /o rw - overlay overlay rw,lowerdir=/x,upperdir=/node/persist/vaults/v,workdir=/w",
                true,
            ),
            (
                "9 1 0:9 / /o rw - overlay overlay rw,lowerdir=/x,upperdir=/u,workdir=/node/persist/vaults/w",
                false,
            ),
        ] {
            let lines =
                format!("1 0 8:1 / / rw - ext4 a rw\n2 1 7:0 / /node/persist rw - ext4 b rw\n{line}\n");
            assert_eq!(table(&lines).holds(&vault, &|| false).is_some(), holds, "{line}");
        }
    }

    /// The innermost mount counts, and of those at one point the last.
    #[test]
    fn a_path_lies_on_the_innermost_and_last_mount() {
        let table = table(
            "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /m rw - ext4 b rw\n3 2 8:3 / /m rw - ext4 c rw\n4 3 8:4 / /m/n rw - ext4 d rw\n",
        );
        for (path, device) in
            [("/", "8:1"), ("/mm", "8:1"), ("/m", "8:3"), ("/m/o/p", "8:3"), ("/m/n/o", "8:4")]
        {
            assert_eq!(
                table.place(Path::new(path)).map(|place| place.device).as_deref(),
                Some(device),
                "{path}"
            );
        }
    }

    /// TH-3: a search waits for no server, and for no process of anybody's.
    #[test]
    fn a_path_for_which_one_may_wait_is_told_without_asking_for_it() {
        let table = table(
            "1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / /share rw - nfs4 s:/ rw\n3 1 0:8 / /home/a rw - fuse.sshfs s rw\n4 2 8:3 / /share/in rw - ext4 c rw\n",
        );
        for (path, waits) in [
            ("/image", false),
            ("/share/image", true),
            ("/share/in/image", false),
            ("/home/a/i (deleted)", true),
        ] {
            assert_eq!(table.may_wait(Path::new(path)), waits, "{path}");
        }
    }

    /// TH-3: any user makes mounts by the thousand; a search among them ends when it is late.
    #[test]
    fn a_search_among_many_mounts_ends_when_it_is_late() {
        let lines: String = (1..=1000)
            .map(|id| format!("{id} 0 0:9 / /m/{id} rw - overlay overlay rw,upperdir=/m/{id}\n"))
            .collect();
        let whole = FilePlace { device: "7:0".into(), path: "/v".into() };
        let asked = std::cell::Cell::new(0);
        let late = || {
            asked.set(asked.get() + 1);
            asked.get() > 20
        };
        assert_eq!(table(&lines).holds(&whole, &late), None);
        assert!(asked.get() < 30, "{}", asked.get());
        asked.set(0);
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("mountinfo"), lines).expect("writes");
        let read = Table::read_until(&dir.path().join("mountinfo"), &late).expect("reads");
        assert_eq!(read.mounts.len(), 20);
    }

    #[test]
    fn what_is_mounted_below_is_found_and_its_neighbours_are_free() {
        assert!(none_at(Path::new("/proc")).is_err());
        assert!(none_at(Path::new("/proc/self")).is_ok());
        assert!(none_at(Path::new("/pro")).is_ok());
        assert!(none_at(Path::new("/absent/path")).is_ok());
    }
}
