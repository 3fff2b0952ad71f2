//! Requirement IF-2, at the controller: what it tells of an error is read to its end, so a text from outside (of a device, an operator, a
//! damaged file) stands in it only by `vault::text::quoted`, which is short. Whoever turns such bytes into words does so by that, or stands in a
//! table with why it need not.

use std::path::Path;

use form::texts_from_outside;

/// Files where that is harmless, and why.
const HARMLESS: [(&str, &str); 19] = [
    ("cli/anew.rs", "the folder that the caller named"),
    ("cli/ask.rs", "a file that the caller named"),
    ("cli/client.rs", "files of the folder that the caller named"),
    ("cli/courier.rs", "a file that the caller named"),
    ("cli/files.rs", "files and folders that the caller named"),
    ("cli/pcrs.rs", "a file that the caller named"),
    ("cli/put_back.rs", "the folder that the caller named"),
    ("cli/serve.rs", "files of the folder that the caller named"),
    ("cli/token.rs", "files of the folder that the caller named"),
    ("custody/kek_file.rs", "a path of ours"),
    ("custody/mod.rs", "a path of ours"),
    ("http/answer.rs", "what the framework says, bounded"),
    ("operator/tokens.rs", "a path of ours"),
    ("service/first.rs", "the folder that the caller named"),
    ("service/folder.rs", "paths of ours in the folder that the caller named"),
    ("service/start.rs", "paths of ours in the folder that the caller named"),
    ("store/sqlite/moorings.rs", "a path of ours"),
    ("store/sqlite/paired.rs", "parsed, and never shown"),
    ("store/sqlite/read.rs", "quoted"),
];

#[test]
fn every_text_from_outside_is_quoted() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(texts_from_outside(&src, &HARMLESS), [""; 0]);
}

/// Threats, Added since: a name of a stranger's in an operator's shell. In an advised command each name stands as it is typed (`{:#}`): with a blank in it,
/// it would be further arguments.
#[test]
fn names_in_advised_commands_stand_as_they_are_typed() {
    /// Numbers, identities, and words of this program.
    const NONE: [&str; 5] = ["reference", "id", "other", "newest", "used"];
    let mut bare = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).expect("lists").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("read").replace("\\\n", " ");
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for command in lines.flat_map(|line| line.split('`').skip(1).step_by(2)) {
                let is_command = ["evc ", "eve ", "--"].iter().any(|begins| command.starts_with(begins));
                let names = command.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
                let names =
                    names.map(|(name, _)| name).filter(|name| !name.is_empty() && !NONE.contains(name));
                bare.extend(
                    names
                        .filter(|name| is_command && !name.ends_with('#'))
                        .map(|name| format!("{}: {name} in `{command}`", path.display())),
                );
            }
        }
    }
    assert_eq!(bare, [""; 0]);
}
