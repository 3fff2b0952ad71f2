//! The kernel's tables of mounts, one for each mount namespace (proc_pid_mountinfo(5)). What is mounted in a tree belongs to somebody
//! else, and a part of a tree that is mounted elsewhere leads into it by another way.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

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
    if Table::read(Path::new("/proc/self/mountinfo"))?.0.iter().any(|mount| mount.point.starts_with(&real)) {
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
    table.map_or(true, |table| table.0.iter().any(|mount| mount.point == real))
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

/// The mounts of one namespace, later ones over earlier ones.
#[derive(Debug)]
pub(crate) struct Table(Vec<Mount>);

impl Table {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(MAX_TABLE).read_to_end(&mut bytes)?;
        Ok(Self(bytes.split(|byte| *byte == b'\n').filter_map(parse).collect()))
    }

    /// What a path of this namespace is. No link in it is followed, for nothing is looked up.
    pub(crate) fn place(&self, path: &Path) -> Option<FilePlace> {
        self.mount_of(path)?.inner(path)
    }

    fn mount_of(&self, path: &Path) -> Option<&Mount> {
        let mounts = self.0.iter().filter(|mount| path.starts_with(&mount.point));
        mounts.max_by_key(|mount| mount.point.as_os_str().len())
    }

    /// How something in this namespace holds a part of this place; none when nothing does.
    pub(crate) fn holds(&self, whole: &FilePlace) -> Option<&'static str> {
        let own = |mount: &Mount| mount.of.is_in(whole);
        if self.0.iter().any(own) {
            return Some("a mount of a part of it (umount)");
        }
        if self.0.iter().any(|mount| self.stands_in(mount, whole)) {
            return Some("a mount inside it (umount)");
        }
        let layers = self.0.iter().filter(|mount| mount.kind == "overlay").flat_map(Mount::layers);
        let mut places = layers.filter_map(|layer| self.place(&layer));
        places.any(|place| place.is_in(whole)).then_some("an overlay with a layer in it (umount)")
    }

    /// Whether the directory that it is mounted on is in this place.
    fn stands_in(&self, mount: &Mount, whole: &FilePlace) -> bool {
        let parent = self.0.iter().find(|parent| parent.id == mount.parent && parent.id != mount.id);
        parent.and_then(|parent| parent.inner(&mount.point)).is_some_and(|point| point.is_in(whole))
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
        Table(lines.lines().filter_map(|line| parse(line.as_bytes())).collect())
    }

    #[test]
    fn a_mount_point_is_read_with_its_escapes() {
        let table = table(
            "22 1 0:5 / /proc rw - proc proc rw\n30 22 7:0 /a /mnt/with\\040space\\134 rw - ext4 x rw\n",
        );
        let points: Vec<_> = table.0.iter().map(|mount| mount.point.as_path()).collect();
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
            assert_eq!(table(&lines).holds(&vault).is_some(), holds, "{line}");
        }
    }

    #[test]
    fn what_is_mounted_below_is_found_and_its_neighbours_are_free() {
        assert!(none_at(Path::new("/proc")).is_err());
        assert!(none_at(Path::new("/proc/self")).is_ok());
        assert!(none_at(Path::new("/pro")).is_ok());
        assert!(none_at(Path::new("/absent/path")).is_ok());
    }
}
