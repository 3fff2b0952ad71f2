//! The README's "By hand", as a reader would type it: every ```sh block in its order, in one shell. What is not typed: that
//! which installs and builds. What is put in another's place: ports, which may be taken.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use testkit::ports::Pair;
use testkit::program;

/// The longest that all of it may take, in seconds.
const PATIENCE: &str = "240";

#[test]
fn what_the_readme_tells_to_type_does_what_it_says() {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let ports = [Pair::free(), Pair::free()];
    let script = script(&fs::read_to_string(root().join("README.md")).unwrap(), place.path(), &ports);
    let said = run(&script);
    // A newcomer's first output of a node: findings, and no lines of a library's own.
    let found = after(&said, "+ eve check");
    assert!(!said.contains(":esys:") && !found.contains(" INFO "), "{found}");
    let status = after(&said, "+ eve status");
    assert!(has(status, &["config", "unlocked"]) && has(status, &["image", "unlocked"]), "{said}");
    assert!(
        has(status, &["tpm", "ready"]) && !status.contains("boot not measured"),
        "seen-by-users 0.5: {said}"
    );
    assert!(has(after(&said, "+ evc apply -f shop.yaml"), &["payments"]), "{said}");
    assert!(has(after(&said, "+ eve vault list"), &["payments", "unlocked"]), "{said}");
    assert!(has(after(&said, "+ eve vault lock payments"), &["payments", "locked"]), "{said}");
    let names: Vec<_> = after(&said, "+ ls ").lines().collect();
    assert!(names.len() == 1 && names[0] != "till.txt", "unreadable while it is locked: {names:?}");
    assert_eq!(after(&said, "+ cat /").trim(), "card 4111 1111 1111 1111", "{said}");
    assert!(has(after(&said, "+ evc describe vault payments"), &["epoch", "2"]), "{said}");
    assert!(has(after(&said, "+ evc status"), &["Vaults:", "3"]), "{said}");
    assert!(has(after(&said, "+ timeout 10 eve bus tail"), &["VaultStatus"]), "{said}");
    let listed = said.rsplit("+ eve vault list").next().unwrap();
    assert!(!has(listed, &["payments", "unlocked"]) && has(listed, &["config", "unlocked"]), "gone: {said}");
    let log = after(&said, "+ cat eve.log");
    assert!(log.contains("no EK certificate") && !log.contains(" WARN "), "nothing is wrong: {log}");
    let folder = said.lines().find_map(|line| line.strip_prefix("+ rm -r ")).expect("it cleans up");
    assert!(folder.contains("/eve-vault.") && !Path::new(folder).exists(), "{folder} is left");
}

/// Whether one line has all the words.
fn has(text: &str, words: &[&str]) -> bool {
    text.lines().any(|line| words.iter().all(|word| line.contains(word)))
}

/// What the first command that begins so printed: the lines up to the next command.
fn after<'a>(said: &'a str, command: &str) -> &'a str {
    let begin = said.find(command).unwrap_or_else(|| panic!("{command:?} was run: {said}"));
    let printed = said[begin..].split_once('\n').map_or("", |(_, rest)| rest);
    printed.find("\n+ ").map_or(printed, |end| &printed[..=end])
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The blocks as one script.
fn script(readme: &str, place: &Path, [evc, tpm]: &[Pair; 2]) -> String {
    let blocks = readme.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines: Vec<_> = blocks.flat_map(str::lines).filter(|line| !line.starts_with("cargo ")).collect();
    let pause = lines.iter().find(|line| line.split_whitespace().any(|word| word == "sleep"));
    assert_eq!(pause, None, "seen-by-users 1.10: a command waits for what a reader waits for");
    let script = lines.into_iter().fold(String::from("set -e\n"), |mut script, line| {
        writeln!(script, "{line}").unwrap();
        script
    });
    let bins = program("eve").unwrap().parent().unwrap().display().to_string();
    [
        // By way of words, for a new number may hold an old one.
        ("8443", "EVC-PORT".to_owned()),
        ("2321", "TPM-PORT".to_owned()),
        ("2322", "CTRL-PORT".to_owned()),
        ("EVC-PORT", evc.first().to_string()),
        ("TPM-PORT", tpm.first().to_string()),
        ("CTRL-PORT", (tpm.first() + 1).to_string()),
        ("$PWD/target/debug", bins),
        ("mktemp -d /tmp/", format!("mktemp -d {}/", place.display())),
        // A reader looks again; here it is looked at once, on a machine that may be slow.
        ("timeout 2 eve bus tail", "timeout 10 eve bus tail".to_owned()),
        ("umount node/persist", "cat eve.log\numount node/persist".to_owned()),
    ]
    .into_iter()
    .fold(script, |script, (there, ours)| {
        assert!(script.contains(there), "the README does not say {there} any more");
        script.replace(there, &ours)
    })
}

/// Runs it where nothing of it outlives it: in namespaces of its own for processes and mounts.
fn run(script: &str) -> String {
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "unshare", "--mount", "--propagation", "private"])
        .args(["--pid", "--fork", "--kill-child=KILL", "--mount-proc"])
        .args(["timeout", "--kill-after=5", PATIENCE, "bash", "-xc", &format!("exec 2>&1\n{script}")])
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    said
}
