//! The command line as a person or script uses it: the real program, a real controller, exit codes and words.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Key, serve, serve_at, terminate};

fn evc(data: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evc")).args(args).arg("--data").arg(data).output().expect("ran")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_first_hour_of_an_operator() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let before = evc(&data, &["get", "devices"]);
    assert_eq!(before.status.code(), Some(1));
    assert!(text(&before.stderr).contains("is `evc serve` running?"), "{}", text(&before.stderr));
    let (serving, url) = serve(&data);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&data).expect("made"));
    assert_eq!(mode & 0o777, 0o700, "the folder is made private");
    assert_eq!(std::fs::read_to_string(data.join("url")).expect("the url").trim(), url);
    let cert = dir.path().join("onboard.pem");
    std::fs::write(&cert, Key::new("onboard").pem).expect("written");
    let add =
        ["onboard", "add", "--cert", cert.to_str().expect("text"), "--serial", "S1", "--name", "edge-1"];
    for _ in 0..2 {
        let added = evc(&data, &add);
        assert!(added.status.success(), "{}", text(&added.stderr));
    }
    let file = dir.path().join("p.yaml");
    std::fs::write(&file, "kind: VaultPolicy\nname: p\ncustody: tpm+controller\n").expect("written");
    let path = file.to_str().expect("text");
    for outcome in ["created", "unchanged"] {
        let applied = evc(&data, &["apply", "-f", path]);
        assert!(
            applied.status.success() && text(&applied.stdout).contains(outcome),
            "{}",
            text(&applied.stdout)
        );
    }
    let listed = evc(&data, &["get", "policies", "--output", "json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed[0]["policy"]["node"]["custody"], "tpm+controller");
    std::fs::write(&file, "kind: VaultPolicy\nname: p\ncustody: [\n").expect("written");
    let refused = evc(&data, &["apply", "-f", path]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains(path) && said.contains("line ") && said.contains("what to do: "), "{said}");
    assert_eq!(evc(&data, &["get", "everything"]).status.code(), Some(2));
    let (code, log) = terminate(serving);
    assert_eq!(code, Some(0), "{log}");
    let token = std::fs::read_to_string(data.join("operator.token")).expect("a token");
    assert!(!log.contains(&token), "no token in the log");
    let (again, _) = serve(&data);
    assert!(text(&evc(&data, &["get", "policies"]).stdout).contains("tpm+controller"), "kept over a restart");
    drop(again);
}

/// Listening on a network's address, the controller is reached by its own command line, with no more said.
#[test]
fn whatever_it_listens_on_its_command_line_finds_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_serving, url) = serve_at("127.0.0.2:0", dir.path());
    let listed = evc(dir.path(), &["get", "devices"]);
    assert!(listed.status.success(), "{url}: {}", text(&listed.stderr));
}

/// Memory of a serving controller is locked and gives no core dump (invariant 3); where it can't be, the log says so.
#[test]
fn a_serving_controller_protects_its_memory_or_says_that_it_cannot() {
    let dir = tempfile::tempdir().expect("a folder");
    let (serving, _) = serve(&dir.path().join("data"));
    let pid = serving.0.id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("there");
    let locked: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:"))
        .and_then(|v| v.split_whitespace().next()?.parse().ok())
        .expect("a number");
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("there");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let (_, log) = terminate(serving);
    assert!(locked > 0 || log.contains("memory can't be locked"), "{log}");
}

#[test]
fn completions_and_manual_pages_are_made() {
    let dir = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish"] {
        let made = evc(dir.path(), &["completions", shell]);
        assert!(made.status.success() && text(&made.stdout).contains("evc"), "{shell}");
    }
    let pages = dir.path().join("man");
    std::fs::create_dir(&pages).expect("made");
    assert!(evc(dir.path(), &["man", "--dir", pages.to_str().expect("text")]).status.success());
    assert!(pages.join("evc-apply.1").exists());
}

/// A reader that leaves early, like `head`, is no error and no panic.
#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_serving, _) = serve(dir.path());
    for args in
        [&["completions", "bash"][..], &["man"], &["get", "policies"], &["get", "devices", "-o", "json"]]
    {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let told = Command::new(env!("CARGO_BIN_EXE_evc"))
            .args(args)
            .arg("--data")
            .arg(dir.path())
            .stdout(writer)
            .output()
            .expect("ran");
        assert_eq!((told.status.code(), text(&told.stderr)), (Some(0), String::new()), "{args:?}");
    }
}

/// What is longer than the controller takes is not sent.
#[test]
fn a_file_that_is_too_long_is_refused_with_its_size() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_serving, _) = serve(dir.path());
    let file = dir.path().join("long.yaml");
    let path = file.to_str().expect("text");
    let policy = "kind: VaultPolicy\nname: p\ncustody: tpm\n";
    std::fs::write(&file, format!("{policy}{}", "#".repeat((1 << 20) - policy.len()))).expect("written");
    assert!(evc(dir.path(), &["apply", "-f", path]).status.success(), "as long as is taken");
    std::fs::write(&file, "#".repeat((1 << 20) + 1)).expect("written");
    let refused = evc(dir.path(), &["apply", "-f", path]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said.contains("1048577 bytes") && said.contains("1048576") && said.contains("split it"),
        "{said}"
    );
}

/// The token may do everything, so it never leaves unencrypted: whoever listens gets not one byte, nor a connection.
#[test]
fn the_token_is_not_sent_in_the_clear() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_serving, url) = serve(dir.path());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    listener.set_nonblocking(true).expect("set");
    let plain = format!("http://{}", listener.local_addr().expect("an address"));
    let refused = evc(dir.path(), &["get", "devices", "--url", &plain]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("use https://"), "{}", text(&refused.stderr));
    assert_eq!(listener.accept().map(drop).map_err(|e| e.kind()), Err(std::io::ErrorKind::WouldBlock));
    assert!(evc(dir.path(), &["get", "devices", "--url", &url]).status.success());
}

/// A controller that is not believed is not one that is away: what to do differs.
#[test]
fn an_untrusted_controller_is_told_from_an_absent_one() {
    let (one, two) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (serving, url) = serve(one.path());
    let (_other, other_url) = serve(two.path());
    let ask = |url: &str| {
        let told = evc(one.path(), &["get", "devices", "--url", url]);
        (told.status.code(), text(&told.stderr))
    };
    assert_eq!(ask(&url), (Some(0), String::new()));
    let (code, said) = ask(&other_url);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("is not good under") && said.contains("--ca") && !said.contains("running"),
        "{said}"
    );
    let (code, log) = terminate(serving);
    assert_eq!(code, Some(0), "{log}");
    let (code, said) = ask(&url);
    assert_eq!(code, Some(1));
    assert!(said.contains("is the controller running there?") && !said.contains("--ca"), "{said}");
}

/// What was allowed by mistake is withdrawn, by the certificate or by its digest, as often as one says so.
#[test]
fn an_allowance_is_withdrawn() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_serving, _) = serve(dir.path());
    let (cert, key) = (dir.path().join("onboard.pem"), Key::new("onboard"));
    std::fs::write(&cert, &key.pem).expect("written");
    let (cert, digest) = (cert.to_str().expect("text"), hex::encode(key.cert.digest().0));
    for which in [["--cert", cert], ["--digest", &digest]] {
        for serial in ["*", "a/b"] {
            let act = |what: &str, which: [&str; 2]| {
                let done = evc(dir.path(), &["onboard", what, which[0], which[1], "--serial", serial]);
                assert!(done.status.success(), "{}", text(&done.stderr));
            };
            act("add", ["--cert", cert]);
            let listed = || text(&evc(dir.path(), &["onboard", "list"]).stdout);
            assert!(listed().contains(&digest), "{}", listed());
            act("remove", which);
            assert_eq!(listed(), "nothing there\n");
            act("remove", which);
        }
    }
    let wrong = evc(dir.path(), &["onboard", "remove", "--digest", "12", "--serial", "S"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("64 hexadecimal digits"), "{}", text(&wrong.stderr));
    assert_eq!(evc(dir.path(), &["onboard", "remove", "--serial", "S"]).status.code(), Some(2));
}

/// A token that somebody saw is ended: its file holds another, and every copy of it is refused.
#[test]
fn a_token_is_rotated() {
    let dir = tempfile::tempdir().expect("a folder");
    let (serving, _) = serve(dir.path());
    let (file, copy) = (dir.path().join("operator.token"), dir.path().join("copy"));
    let read = || std::fs::read_to_string(&file).expect("a token");
    let before = read();
    std::fs::write(&copy, &before).expect("written");
    let with =
        |token: &Path| evc(dir.path(), &["get", "devices", "--token-file", token.to_str().expect("text")]);
    // Where the new one can't be kept, the old one stays.
    std::fs::create_dir(dir.path().join("operator.token.new")).expect("made");
    assert_eq!(evc(dir.path(), &["token", "rotate"]).status.code(), Some(1));
    assert!(read() == before && with(&copy).status.success());
    std::fs::remove_dir(dir.path().join("operator.token.new")).expect("removed");
    // One that was cut short left this.
    std::fs::write(dir.path().join("operator.token.new"), "stale").expect("written");
    let rotated = evc(dir.path(), &["token", "rotate"]);
    assert!(rotated.status.success(), "{}", text(&rotated.stderr));
    assert!(read() != before && !text(&rotated.stdout).contains(&read()), "new, and not shown");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).expect("there"));
    assert_eq!(mode & 0o777, 0o600);
    assert!(!dir.path().join("operator.token.new").exists());
    assert!(with(&file).status.success());
    let refused = with(&copy);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("this token is not known"), "{}", text(&refused.stderr));
    drop(serving);
    let (_serving, _) = serve(dir.path());
    assert!(with(&file).status.success() && !with(&copy).status.success(), "after a restart too");
}

/// Scripts tell by the exit code what is not there from what may not be done; people read which.
#[test]
fn what_is_not_there_has_an_exit_code_of_its_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_serving, _) = serve(dir.path());
    let file = dir.path().join("v.yaml");
    std::fs::write(&file, "kind: Vault\nname: v\ndevice: edge-1\npolicy: p\n").expect("written");
    let file = file.to_str().expect("text");
    let rows: [(&[&str], i32, &str); 7] = [
        (
            &["describe", "device", "edge-1"],
            4,
            "device `edge-1` is not known\n  what to do: `evc get devices`",
        ),
        (&["describe", "vault", "v", "--device", "edge-1"], 4, "device `edge-1` is not known"),
        (&["delete", "policy", "p"], 4, "policy `p` is not known"),
        (&["reference", "approve", "7"], 4, "reference 7 is not known"),
        (&["apply", "-f", file], 4, "v.yaml was not applied: line 2, column 7: device `edge-1` is not known"),
        (&["delete", "policy", "-"], 1, "not a name"),
        (
            &["recreate", "vault", "v", "--device", "edge-1", "--confirm", "w"],
            1,
            "give its name twice: --confirm v",
        ),
    ];
    for (args, code, says) in rows {
        let refused = evc(dir.path(), args);
        let said = text(&refused.stderr);
        assert!(
            refused.status.code() == Some(code) && said.contains(says),
            "{args:?}: {:?} {said}",
            refused.status
        );
    }
    let help = text(&evc(dir.path(), &["--help"]).stdout);
    assert!(help.contains("4 what was named"), "{help}");
    let refused = evc(dir.path(), &["apply", "-f", file, "-o", "json"]);
    let told: evc::api::Problem = serde_json::from_slice(&refused.stderr).expect("JSON, and nothing else");
    assert_eq!((refused.status.code(), told.code), (Some(4), evc::api::Code::DeviceUnknown));
    assert_eq!(told.place, Some(evc::api::Place { line: 2, column: 7 }));
    assert!(refused.stdout.is_empty());
}
