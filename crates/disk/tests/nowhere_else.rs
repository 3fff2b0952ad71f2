//! Nothing of our programs writes to a disk but through this crate: a write that were not on the list could not be cut.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::{Path, PathBuf};

/// The crates that our programs are made of.
const CRATES: [&str; 8] = ["attest", "cli", "eve", "evc", "fscrypt", "tpm", "vault", "wire"];

/// What changes a disk, as functions of the standard library, nix and rustix: by path, or brought in by `use`.
const FUNCTIONS: [&str; 60] = [
    "File::create",
    "File::create_new",
    "File::options",
    "OpenOptions",
    "DirBuilder",
    "fs::write",
    "fs::copy",
    "fs::rename",
    "fs::remove_file",
    "fs::remove_dir",
    "fs::remove_dir_all",
    "fs::create_dir",
    "fs::create_dir_all",
    "fs::hard_link",
    "fs::set_permissions",
    "fsync",
    "fdatasync",
    "syncfs",
    "symlink",
    "symlinkat",
    "chown",
    "lchown",
    "fchown",
    "fchownat",
    "fchmod",
    "fchmodat",
    "mkdir",
    "mkdirat",
    "mkfifo",
    "mknod",
    "mknodat",
    "linkat",
    "unlink",
    "unlinkat",
    "renameat",
    "renameat2",
    "renameat_with",
    "rmdir",
    "fs::chmod",
    "chmodat",
    "truncate",
    "fallocate",
    "ftruncate",
    "lsetxattr",
    "setxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "generate_to",
    "futimens",
    "utimensat",
    "copy_file_range",
    "OFlags::CREATE",
    "OFlags::WRONLY",
    "OFlags::RDWR",
    "OFlag::O_CREAT",
    "OFlag::O_WRONLY",
    "OFlag::O_RDWR",
    "OFlag::O_TRUNC",
];

/// And as methods of a file.
const METHODS: [&str; 7] =
    [".set_permissions", ".set_times", ".set_len", ".write_all_at", ".write_at", ".sync_all", ".sync_data"];

/// Where one may stand all the same, a file or a folder, and why. No word: any.
const EXCEPTIONS: [(&str, &str, &str); 23] = [
    (
        "eve/src/agents/vaultmgr/hands/movein/",
        "",
        "users' files, copied into a vault: what is cut there is done again",
    ),
    ("eve/src/agents/vaultmgr/hands/tree/", "", "whole trees of users' files, made, wiped and removed"),
    (
        "eve/src/agents/vaultmgr/hands/xattrs.rs",
        "setxattr",
        "attributes of users' files, copied into a vault",
    ),
    ("eve/src/agents/vaultmgr/hands/xattrs.rs", "removexattr", "the same, which the original has no more"),
    ("eve/src/agents/vaultmgr/hands/kernel/places.rs", "chown", "a command, in words for who has to give it"),
    ("eve/src/agents/vaultmgr/hands/durable.rs", "", "a removal by users' files made durable"),
    ("eve/src/agents/vaultmgr/hands/alone.rs", "OpenOptions", "a folder, to be locked: nothing is written"),
    ("evc/src/custody/kek.rs", "OpenOptions", "reads, and waits for no pipe"),
    ("evc/src/custody/kek_file.rs", "OpenOptions", "the same, of the file as it is now"),
    ("eve/src/bus/server.rs", "", "sockets under run/, which a boot makes anew"),
    ("eve/src/supervisor.rs", "OpenOptions", "the lock under run/: it holds no byte"),
    ("eve/src/sandbox/device.rs", "", "owner and mode of a device under /dev, which a boot makes anew"),
    ("eve/src/folders.rs", "", "folders of agents, made and given anew at each start"),
    ("eve/src/agents/keep.rs", "OpenOptions", "opened before the walls stand, written through `Disk`"),
    ("fscrypt/src/directory.rs", "", "the probe of a cipher, which leaves nothing of worth"),
    ("cli/src/pages.rs", "fs::create_dir_all", "the folder that a person wants the manual pages in"),
    ("cli/src/pages.rs", "generate_to", "the manual pages themselves"),
    ("eve/src/cli/status/process.rs", "", "names of capabilities, which are words there"),
    ("evc/src/cli/read.rs", "OpenOptions", "reads, and follows no link"),
    ("tpm/src/raw.rs", "OpenOptions", "the TPM's device"),
    ("evc/src/store/sqlite/mod.rs", "OpenOptions", "SQLite's own file, made private before SQLite opens it"),
    ("evc/src/store/sqlite/room.rs", "fallocate", "SQLite's own file, for which it asks for no room"),
    ("evc/src/cli/token.rs", "chown", "who may read a new token, before it takes its name"),
];

/// Where a folder is walked by path all the same, and why: none of these holds files of ours.
const WALKS: [(&str, &str); 3] = [
    ("eve/src/agents/vaultmgr/hands/holders/", "/proc and /sys, which the kernel makes as they are read"),
    ("fscrypt/src/directory.rs", "the probe of a cipher: names under a key that is gone"),
    ("evc/src/cli/files.rs", "the folder of documents that a person names"),
];

/// Where the machine's own disk is named, and why: a program makes it once, where it begins, and hands it down. Before one that is made in the
/// middle no fault can stand.
const ENTRIES: [(&str, &str); 5] = [
    ("eve/src/cli/mod.rs", "where the node's program begins"),
    ("evc/src/cli/mod.rs", "where the controller's program begins"),
    ("eve/src/agents/vaultmgr/paths.rs", "for who asks where something lies, and writes nothing"),
    ("evc/src/custody/kek.rs", "for tests of other crates, beside the one that takes a disk"),
    ("evc/src/service/start.rs", "the same"),
];

/// Every write of a program is one that a test can cut.
#[test]
fn the_machines_disk_is_made_where_a_program_begins() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut found, mut used) = (Vec::new(), [0; ENTRIES.len()]);
    for path in CRATES.iter().flat_map(|name| sources(&crates.join(name).join("src"))) {
        let name = path.strip_prefix(crates).unwrap().to_str().unwrap().to_owned();
        for (number, line) in shipped(&fs::read_to_string(&path).unwrap()) {
            if ["Disk::linux", "disk::Linux"].iter().any(|word| stands(&line, word)) {
                match ENTRIES.iter().position(|(of, _)| *of == name) {
                    Some(entry) => used[entry] += 1,
                    None => found.push(format!("{name}:{number}: {}", line.trim())),
                }
            }
        }
    }
    assert!(found.is_empty(), "hand these the disk that the program began with:\n{}", found.join("\n"));
    assert_eq!(used, [1; ENTRIES.len()], "once in each of {ENTRIES:?}");
}

/// One walk of our own folders: what can't be listed to the end is an error there, and no shorter list.
#[test]
fn our_folders_are_listed_by_this_crate() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut used = [false; WALKS.len()];
    for path in CRATES.iter().flat_map(|name| sources(&crates.join(name).join("src"))) {
        let name = path.strip_prefix(crates).unwrap().to_str().unwrap().to_owned();
        for (number, line) in shipped(&fs::read_to_string(&path).unwrap()) {
            if ["read_dir", "fs::read_dir"].iter().any(|word| stands(&line, word)) {
                let exception = WALKS.iter().position(|(of, _)| stands_in(of, &name));
                used[exception.unwrap_or_else(|| panic!("by `disk::entries`: {name}:{number}: {line}"))] =
                    true;
            }
        }
    }
    let idle: Vec<_> = WALKS.iter().zip(used).filter(|(_, used)| !used).map(|(walk, _)| walk.0).collect();
    assert!(idle.is_empty(), "no exception is needed for {idle:?} any more");
}

#[test]
fn nothing_writes_to_a_disk_but_through_this_crate() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found: Vec<String> = Vec::new();
    let mut used = [false; EXCEPTIONS.len()];
    for path in CRATES.iter().flat_map(|name| sources(&crates.join(name).join("src"))) {
        let name = path.strip_prefix(crates).unwrap().to_str().unwrap().to_owned();
        for (number, line) in shipped(&fs::read_to_string(&path).unwrap()) {
            for word in writes(&line) {
                let allowed = |(of, what, _): &(&str, &str, &str)| {
                    stands_in(of, &name) && (what.is_empty() || *what == word)
                };
                match EXCEPTIONS.iter().position(allowed) {
                    Some(exception) => used[exception] = true,
                    None => found.push(format!("{name}:{number}: {word}: {}", line.trim())),
                }
            }
        }
    }
    assert!(found.is_empty(), "write these through `disk`:\n{}", found.join("\n"));
    let idle = EXCEPTIONS.iter().zip(used).filter(|(_, used)| !used);
    let idle: Vec<&str> = idle.map(|((name, ..), _)| *name).collect();
    assert!(idle.is_empty(), "no exception is needed for {idle:?} any more");
}

/// The twin: the words are found where they stand, and nowhere else.
#[test]
fn a_write_is_found() {
    for (line, word) in [
        ("    std::fs::write(&path, text)?;", Some("fs::write")),
        ("use std::fs::{self, File, OpenOptions};", Some("OpenOptions")),
        ("    file.sync_all()", Some(".sync_all")),
        ("    renameat(&fd, one, &fd, other)", Some("renameat")),
        ("    File::create_new(to)?", Some("File::create_new")),
        ("    setxattr(to, name, &wanted, XattrFlags::empty())?;", Some("setxattr")),
        ("    openat(dir, name, OFlags::WRONLY | OFlags::CREATE, mode)", Some("OFlags::CREATE")),
        ("    folder.unlink(name)", None),
        ("    let renamed = self.renamed(one, other);", None),
        ("    File::open(path)", None),
    ] {
        assert_eq!(writes(line).into_iter().next(), word, "{line}");
    }
    let text = "fn a() {}\n// fs::write\n#[cfg(test)]\nmod tests {\n    fs::write(a, b);\n}\n";
    assert_eq!(shipped(text).len(), 1, "neither comments nor tests");
}

fn stands_in(exception: &str, name: &str) -> bool {
    exception == name || (exception.ends_with('/') && name.starts_with(exception))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let inside = |path: PathBuf| match path.file_name().unwrap().to_str().unwrap() {
        "tests" | "tests.rs" => Vec::new(),
        _ if path.is_dir() => sources(&path),
        name if name.ends_with(".rs") => vec![path],
        _ => Vec::new(),
    };
    entries.flat_map(inside).collect()
}

/// Lines with their numbers, less comments and the module of tests at the end.
fn shipped(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|two| two[0] == "#[cfg(test)]" && two[1].starts_with("mod ") && two[1].ends_with('{'));
    let lines = (1..).zip(lines).take(tests.unwrap_or(usize::MAX));
    lines
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(n, line)| (n, line.to_owned()))
        .collect()
}

fn writes(line: &str) -> Vec<&'static str> {
    let functions = FUNCTIONS.into_iter().filter(|word| stands(line, word));
    functions.chain(METHODS.into_iter().filter(|word| stands(line, word))).collect()
}

/// Whole, and a function not as somebody's method.
fn stands(line: &str, word: &str) -> bool {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        let method = word.starts_with('.') || before != Some('.');
        let begins = word.starts_with('.') || !before.is_some_and(part);
        begins && method && !after.is_some_and(part)
    })
}
