//! What somebody typed, or pasted, is shown on a terminal and does nothing there (seen-by-users 0b.13): clap quotes it in errors of its own.
//! On a pipe clap leaves such characters out by itself; so both programs are run in a terminal.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use nix::pty::openpty;
use testkit::program;

/// A cleared screen, a title, C1, and text that runs backwards.
const ACTS: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}";
const SHOWN: &str = r"\u001b[2J\u001b]0;owned\u0007\u009b31m\u202e";

/// What a terminal gets to read, and the exit code.
fn on_a_terminal(name: &str, args: &[&OsStr]) -> (String, i32) {
    with_programs(name, args, std::env::var_os("PATH").unwrap_or_default().as_os_str())
}

/// The same with the programs of these folders.
fn with_programs(name: &str, args: &[&OsStr], path: &OsStr) -> (String, i32) {
    let pty = openpty(None, None).unwrap();
    let (out, err) = (pty.slave.try_clone().unwrap(), pty.slave);
    let mut command = Command::new(program(name).unwrap());
    command.args(args).env("PATH", path).env("TERM", "xterm").env_remove("NO_COLOR").stdout(out).stderr(err);
    let mut child = command.spawn().unwrap();
    // Its ends of the terminal: nothing is left to read once the program has closed the last one.
    drop(command);
    let mut read = Vec::new();
    // Linux says EIO where the other end of a terminal is closed.
    let _ = File::from(pty.master).read_to_end(&mut read);
    let code = child.wait().unwrap().code().unwrap();
    (String::from_utf8(read).unwrap().replace("\r\n", "\n"), code)
}

#[test]
fn what_was_typed_wrongly_is_shown_on_a_terminal_and_not_obeyed() {
    let places: [(&str, &[&str]); 13] = [
        ("evc", &["wr@ong"]),
        ("evc", &["get", "x@"]),
        ("evc", &["get", "devices", "--x@"]),
        ("evc", &["serve", "--log-format", "@"]),
        ("evc", &["serve", "--listen", "@"]),
        ("evc", &["serve", "--escrow-drill-every", "1@"]),
        ("evc", &["wait", "device", "edge-1", "--for", "@"]),
        ("evc", &["-o", "@", "get", "devices"]),
        ("evc", &["get", "devices", "--watch=@"]),
        ("eve", &["x@y"]),
        ("eve", &["run", "--log-format", "@"]),
        ("eve", &["run", "--poll-interval", "5@"]),
        ("eve", &["vault", "list", "--x@"]),
    ];
    for (name, args) in places {
        let typed: Vec<String> = args.iter().map(|arg| arg.replace('@', ACTS)).collect();
        let typed: Vec<&OsStr> = typed.iter().map(OsStr::new).collect();
        let (told, code) = on_a_terminal(name, &typed);
        let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!told.chars().any(acts), "{name} {args:?}: {told:?}");
        assert!(told.contains(SHOWN), "{name} {args:?}: {told}");
        assert_eq!(code, 2, "{name} {args:?}");
    }
}

/// Bytes that are no text are not shown at all, and help is what it was.
#[test]
fn what_is_no_text_is_refused_and_help_is_printed() {
    for name in ["evc", "eve"] {
        let (told, code) = on_a_terminal(name, &[OsStr::from_bytes(b"\x1b[2J\xff")]);
        assert!(!told.contains("\u{1b}[2J") && told.contains("error:"), "{name}: {told:?}");
        assert_eq!(code, 2, "{name}");
        let (told, code) = on_a_terminal(name, &[OsStr::new("--help")]);
        assert!(told.contains("Usage:") && code == 0, "{name}: {told}");
    }
}

/// Seen-by-users 2, evc: a terminal gets a page that can be read, or what to do for one, and no roff.
#[test]
fn a_manual_page_on_a_terminal_is_shown_or_it_is_said_how() {
    let place = tempfile::tempdir().unwrap();
    let man = place.path().join("man");
    for name in ["evc", "eve"] {
        let (told, code) = with_programs(name, &["man".as_ref()], place.path().as_os_str());
        assert!(told.contains("install the package man-db") && !told.contains(".TH"), "{told}");
        assert_eq!(code, 1, "{told}");
        std::fs::write(&man, "#!/bin/sh\necho \"shown by $0 $*\"; /bin/cat > /dev/null\n").unwrap();
        std::fs::set_permissions(&man, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let (told, code) = with_programs(name, &["man".as_ref()], place.path().as_os_str());
        assert!(told.contains("/man -l -") && !told.contains(".TH"), "{told}");
        assert_eq!(code, 0, "{told}");
        std::fs::remove_file(&man).unwrap();
    }
}

/// Issue 8, errors: who asks for JSON gets an object on the error stream, also of a line that does not parse and of a node that is not there.
#[test]
fn an_error_is_an_object_for_who_asks_for_json() {
    let root = tempfile::tempdir().unwrap();
    for (args, code, exit) in [
        (&["vault", "lists", "-o", "json"][..], "used-wrongly", 2),
        (&["vault", "list", "-o", "json"], "failed", 1),
    ] {
        let said =
            Command::new(program("eve").unwrap()).args(args).env("EVE_ROOT", root.path()).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&said.stderr).unwrap();
        assert_eq!(
            (told["code"].as_str(), told["exit"].as_i64()),
            (Some(code), Some(i64::from(exit))),
            "{told}"
        );
        assert!(said.status.code() == Some(exit) && told["error"].is_string(), "{told}");
    }
}
