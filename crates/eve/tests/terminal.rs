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
    let pty = openpty(None, None).unwrap();
    let (out, err) = (pty.slave.try_clone().unwrap(), pty.slave);
    let mut command = Command::new(program(name).unwrap());
    command.args(args).env("TERM", "xterm").env_remove("NO_COLOR").stdout(out).stderr(err);
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
