//! The command line as a person or script uses it: the real program, a real controller, exit codes and words.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Key, agent, serve, serve_at, terminate};
use wire::envelope::seal_from_device;

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
    let before = text(&before.stderr);
    assert!(before.contains("is `evc serve` running?") && !before.contains("os error"), "{before}");
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

/// Rows are printed again when they change, and no others; who looks on ends when nobody reads any more.
#[test]
fn watch_prints_what_changes_until_nobody_reads() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let (_serving, _) = serve(&data);
    let apply = |name: &str, custody: &str| {
        let file = dir.path().join("p.yaml");
        std::fs::write(&file, format!("kind: VaultPolicy\nname: {name}\ncustody: {custody}\n"))
            .expect("written");
        assert!(evc(&data, &["apply", "-f", file.to_str().expect("text")]).status.success());
    };
    apply("first", "tpm");
    let mut watching = Command::new(env!("CARGO_BIN_EXE_evc"))
        .args(["get", "policies", "--watch", "-o", "name", "--data"])
        .arg(&data)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watching.stdout.take().expect("piped")));
    let (told, heard) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let three = lines.by_ref().take(3).map_while(Result::ok);
        three.for_each(|line| told.send(line).expect("heard"));
    });
    let next = || heard.recv_timeout(std::time::Duration::from_secs(60));
    assert_eq!(next().as_deref(), Ok("policy/first"));
    apply("second", "tpm");
    assert_eq!(next().as_deref(), Ok("policy/second"), "the new one, and the one before not again");
    apply("first", "controller");
    assert_eq!(next().as_deref(), Ok("policy/first"), "what changed");
    reading.join().expect("it read, and closed its end");
    let ended = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        watching.try_wait().expect("asked").is_some()
    });
    if !ended {
        watching.kill().expect("ended");
        watching.wait().expect("ended");
    }
    assert!(ended, "nobody reads any more");
}

/// `serve` takes no option that means nothing to it.
#[test]
fn serve_refuses_options_of_who_asks() {
    let dir = tempfile::tempdir().expect("a folder");
    for (option, value) in [("-o", "json"), ("--url", "https://x"), ("--token-file", "t")] {
        let refused = evc(dir.path(), &["serve", option, value]);
        let words = text(&refused.stderr);
        assert!(refused.status.code() == Some(2) && words.contains(option), "{option}: {words}");
    }
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

/// What was allowed by mistake is withdrawn, by the certificate or by its digest as lists show it; what was never allowed is not there.
#[test]
fn an_allowance_is_withdrawn() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_serving, _) = serve(dir.path());
    let (cert, key) = (dir.path().join("onboard.pem"), Key::new("onboard"));
    std::fs::write(&cert, &key.pem).expect("written");
    let (cert, digest) = (cert.to_str().expect("text"), hex::encode(key.cert.digest().0));
    for which in [["--cert", cert], ["--digest", &digest], ["--digest", &digest[..12]]] {
        for serial in ["*", "a/b"] {
            let act = |what: &str, which: [&str; 2]| {
                let done = evc(dir.path(), &["onboard", what, which[0], which[1], "--serial", serial]);
                assert!(done.status.success(), "{}", text(&done.stderr));
            };
            act("add", ["--cert", cert]);
            let listed = |how: &str| evc(dir.path(), &["onboard", "list", "-o", how]);
            let shown = text(&listed("table").stdout);
            assert!(shown.contains(&digest[..12]) && !shown.contains(&digest), "{shown}");
            assert!(text(&listed("wide").stdout).contains(&digest));
            act("remove", which);
            assert_eq!(text(&listed("table").stdout), "", "no row, where a script counts them");
            let again = evc(dir.path(), &["onboard", "remove", which[0], which[1], "--serial", serial]);
            assert_eq!(again.status.code(), Some(4), "{}", text(&again.stderr));
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
    let pcr = format!("9={}", "3f".repeat(32));
    let rows: [(&[&str], i32, &str); 17] = [
        (
            &["describe", "device", "edge-1"],
            4,
            "device `edge-1` is not known\n  what to do: `evc get devices`",
        ),
        (&["describe", "vault", "v", "--device", "edge-1"], 4, "device `edge-1` is not known"),
        (&["delete", "policy", "p"], 4, "policy `p` is not known"),
        (&["get", "rule", "r"], 4, "rule `r` is not known"),
        (&["describe", "rule", "r"], 4, "rule `r` is not known"),
        (&["delete", "rule", "r"], 4, "rule `r` is not known"),
        (&["get", "reference", "7"], 4, "reference 7 is not known"),
        (&["onboard", "add", "--cert", file, "--serial", "s"], 1, "v.yaml is no onboarding certificate"),
        (&["reference", "approve", "7"], 4, "reference 7 is not known"),
        (&["apply", "-f", file], 4, "v.yaml was not applied: line 2, column 7: device `edge-1` is not known"),
        (&["delete", "policy", "-"], 1, "not a name"),
        (
            &["recreate", "vault", "v", "--device", "edge-1", "--confirm", "v"],
            4,
            "device `edge-1` is not known",
        ),
        (&["escrow", "list", "edge-1"], 4, "device `edge-1` is not known"),
        (&["escrow", "delete", "edge-1", "--generation", "1", "--confirm", "edge-1"], 4, "is not known"),
        (&["check", "update", "edge-1", "--reference", "1"], 4, "device `edge-1` is not known"),
        (&["reference", "add", "edge-1", "--pcr", &pcr], 4, "device `edge-1` is not known"),
        (&["reference", "add", "edge-1", "--pcr", "9=12"], 1, "PCR 9: give its value in hexadecimal"),
    ];
    assert_eq!(evc(dir.path(), &["escrow", "list"]).status.code(), Some(0), "of no device");
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
    assert_eq!(told.place, Some(evc::api::TextPosition { line: 2, column: 7 }));
    assert!(refused.stdout.is_empty());
}

/// IF-1: what operators know from other tools, and what is left out, is answered with what to type, in the form of all errors.
#[test]
fn a_wrong_use_is_told_with_what_to_type() {
    let dir = tempfile::tempdir().expect("a folder");
    for (args, words) in [
        (
            &["apply", "-f", "x", "--dry-run=server"][..],
            [
                "`--dry-run` takes no value, and was given `server`",
                "write `--dry-run` alone: check everything",
            ],
        ),
        (
            &["get", "devices", "-o", "jsonpath={.a}"],
            [
                "`-o jsonpath={.a}` is not a way to print",
                "table, wide, name, json, yaml; a single field is taken from json",
            ],
        ),
        (
            &["describe", "devices"],
            [
                "<NAME> is missing in `evc describe device`",
                "like `evc describe device edge-1`; `evc get devices` lists",
            ],
        ),
        (
            &["describe", "vaults", "payments"],
            ["--device <DEVICE> is missing in `evc describe vault`", "`evc get vaults` lists what there is"],
        ),
    ] {
        let told = evc(dir.path(), args);
        let said = text(&told.stderr);
        assert_eq!((told.status.code(), told.stdout.len()), (Some(2), 0), "{args:?}: {said}");
        assert!(said.starts_with(&format!("evc: {}\n  what to do: ", words[0])), "{args:?}: {said}");
        assert!(said.contains(words[1]) && said.lines().count() == 2, "{args:?}: {said}");
    }
    let clap = evc(dir.path(), &["get", "everything"]);
    assert!(clap.status.code() == Some(2) && text(&clap.stderr).contains("`everything`"));
    assert!(evc(dir.path(), &["--version"]).status.success());
}

/// Seen-by-users 1.11, 2: what is shown is applied again and changes nothing; several files are one; what would change is told by its fields.
#[test]
fn policies_are_shown_edited_compared_and_applied_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_serving, _) = serve(dir.path());
    let files = dir.path().join("files");
    std::fs::create_dir(&files).expect("made");
    for name in ["a", "b"] {
        let policy = format!("kind: VaultPolicy\nname: {name}\ncustody: tpm+controller\n");
        std::fs::write(files.join(format!("{name}.yaml")), policy).expect("written");
    }
    let files = files.to_str().expect("text");
    let differs = evc(dir.path(), &["diff", "-f", files]);
    assert_eq!(differs.status.code(), Some(6), "{}", text(&differs.stderr));
    assert!(text(&evc(dir.path(), &["apply", "-f", files]).stdout).contains("created"));
    assert_eq!(evc(dir.path(), &["diff", "-f", files]).status.code(), Some(0));
    let shown = text(&evc(dir.path(), &["get", "policy", "a", "b", "-o", "yaml"]).stdout);
    let edited = dir.path().join("edited");
    std::fs::write(&edited, &shown).expect("written");
    let edited_path = edited.to_str().expect("text");
    assert_eq!(evc(dir.path(), &["diff", "-f", edited_path]).status.code(), Some(0), "{shown}");
    std::fs::write(&edited, shown.replacen("72h", "24h", 1)).expect("written");
    let differs = evc(dir.path(), &["diff", "-f", edited_path]);
    let said = text(&differs.stdout);
    let lines = "policy a\n- on_removal.delete_after: 72h\n+ on_removal.delete_after: 24h\n  note: ";
    assert!(differs.status.code() == Some(6) && said.starts_with(lines), "{said}");
    let dry = text(&evc(dir.path(), &["apply", "-f", edited_path, "--dry-run"]).stdout);
    assert!(dry.contains("on_removal.delete_after: 72h -> 24h"), "{dry}");
    assert_eq!(text(&evc(dir.path(), &["get", "pol", "-o", "name"]).stdout), "policy/a\npolicy/b\n");
    let described = text(&evc(dir.path(), &["describe", "policy", "a"]).stdout);
    assert!(
        described.contains("custody:") && described.contains("72h"),
        "a dry run changes nothing: {described}"
    );
    // TH-1 to TH-6 are told of a policy, each with its reason.
    let threats: Vec<&str> = described.lines().filter(|line| line.starts_with("  TH-")).collect();
    assert_eq!(threats.len(), 6, "{described}");
    let once = "  TH-4  the node is stolen, and nobody knows: closed once its key was rotated twice while the node was away";
    assert!(threats[3].starts_with(once), "{described}");
    assert!(threats[4].contains("opens: no measurement is asked for"), "{described}");
    let unknown = evc(dir.path(), &["get", "policies", "c"]);
    assert_eq!(unknown.status.code(), Some(4), "{}", text(&unknown.stderr));
}

/// Seen-by-users 1.10: what is waited for ends the wait; what does not come ends it by the time, with a code of its own and how it was.
#[test]
fn a_wait_ends_by_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let wait = |args: &[&str]| {
        let told = evc(dir.path(), &[&["wait"], args, &["--timeout", "300ms"]].concat());
        (told.status.code(), text(&told.stdout) + &text(&told.stderr))
    };
    let (code, said) = wait(&["controller"]);
    assert!(code == Some(5) && said.contains("is `evc serve` running?"), "{said}");
    let (_serving, _) = serve(dir.path());
    let (code, said) = wait(&["controller"]);
    assert!(code == Some(0) && said.contains("the controller answers"), "{said}");
    let (code, said) = wait(&["device", "edge-1", "--for", "online"]);
    assert!(code == Some(5) && said.contains("waiting; device `edge-1` is not registered"), "{said}");
    let (code, said) = wait(&["vault", "v", "--device", "edge-1", "--for", "gone"]);
    assert_eq!(code, Some(4), "nobody knows of a device that is not there: {said}");
    assert_eq!(wait(&["vault", "v", "--device", "edge-1", "--for", "epoch=x"]).0, Some(2), "used wrongly");
    assert_eq!(evc(dir.path(), &["get", "everything"]).status.code(), Some(2));
    let status = evc(dir.path(), &["status"]);
    assert!(status.status.success() && text(&status.stdout).contains("nothing needs anybody"));
    let version = evc(dir.path(), &["version"]);
    assert!(text(&version.stdout).contains(&format!("controller  {}", env!("CARGO_PKG_VERSION"))));
}

/// Seen-by-users 2: Tab offers names, and says nothing where no controller answers.
#[test]
fn names_are_completed_and_no_error_is_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    let complete = |words: &[&str]| {
        let told = Command::new(env!("CARGO_BIN_EXE_evc"))
            .env("COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
            .env("EVC_DATA", dir.path())
            .arg("--")
            .args(words)
            .output()
            .expect("ran");
        (text(&told.stdout), text(&told.stderr))
    };
    let (offered, said) = complete(&["evc", "describe", "policy", ""]);
    assert!(!offered.contains("shop") && said.is_empty(), "{offered} {said}");
    let (_serving, _) = serve(dir.path());
    let file = dir.path().join("p.yaml");
    std::fs::write(&file, "kind: VaultPolicy\nname: shop\ncustody: tpm\n---\nkind: Vault\nname: till\ndevices: { a: b }\npolicy: shop\n").expect("written");
    assert!(evc(dir.path(), &["apply", "-f", file.to_str().expect("text")]).status.success());
    for (what, name) in [("policy", "shop"), ("rule", "till")] {
        for act in ["describe", "get", "delete"] {
            let (offered, said) = complete(&["evc", act, what, ""]);
            assert!(offered.contains(name) && said.is_empty(), "{act} {what}: {offered} {said}");
        }
    }
}

/// Seen-by-users 2: what every command takes stands apart from what this one does. (That each help begins with an example: `cli::help`.)
#[test]
fn help_keeps_what_is_global_apart() {
    let dir = tempfile::tempdir().expect("a folder");
    for args in [&["get", "devices"][..], &["get"], &["apply"], &["reference", "approve"], &["serve"], &[]] {
        let help = text(&evc(dir.path(), &[args, &["-h"]].concat()).stdout);
        assert!(help.starts_with("Examples:\n  evc "), "{args:?}: {help}");
        let (own, global) = help.split_once("Global options:").unwrap_or_else(|| panic!("{args:?}: {help}"));
        let own = own.split("Usage:").nth(1).unwrap_or_default();
        assert!(!own.contains("--token-file") && global.contains("--output"), "{args:?}: {help}");
        assert!(!global.contains("--ca"), "only in the long help: {help}");
    }
}

/// Seen-by-users 1.15: the log says who did what, and who was refused what from where, each once.
#[test]
fn the_log_says_who_did_what_and_who_was_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (serving, _) = serve(dir.path());
    let file = dir.path().join("p.yaml");
    std::fs::write(&file, "kind: VaultPolicy\nname: shop\ncustody: tpm\n").expect("written");
    assert!(evc(dir.path(), &["apply", "-f", file.to_str().expect("text")]).status.success());
    for _ in 0..3 {
        assert_eq!(evc(dir.path(), &["describe", "device", "edge-7"]).status.code(), Some(4));
    }
    assert!(evc(dir.path(), &["delete", "policy", "shop"]).status.success());
    let (_, log) = terminate(serving);
    let has =
        |words: &[&str]| log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
    assert_eq!(
        has(&["INFO", "operator", "policy shop created", "source=\"127.0.0.1\"", "/api/v1/apply"]),
        1,
        "{log}"
    );
    assert_eq!(has(&["INFO", "operator", "policy `shop` is deleted"]), 1, "{log}");
    assert_eq!(
        has(&["refused", "`edge-7` is not known", "source=", "path=\"/api/v1/devices/edge-7\""]),
        1,
        "{log}"
    );
    assert_eq!(has(&["INFO", "serving", "version=", "root_sha256=", "operator.token"]), 1, "{log}");
    assert!(!log.contains('\u{1b}'), "no colours in a file: {log}");
}

/// What is answered before the router is told in the log as all else is: each refusal once, with from where and what for. Nobody proved which
/// device it is, so none is named.
#[test]
fn the_log_says_what_a_device_was_refused_whichever_way_it_took() {
    for path in ["config", "attest", "info"] {
        let dir = tempfile::tempdir().expect("a folder");
        let (serving, url) = serve(dir.path());
        let (agent, stranger) = (agent(dir.path()), Key::new("EVE"));
        let sealed = seal_from_device(b"anything", &stranger.cert, &stranger.signer).expect("sealed");
        let path = format!("/api/v2/edgedevice/id/00000000-0000-0000-0000-000000000007/{path}");
        for (body, status) in [(&sealed[..], 401), (&sealed[..], 401), (b"?", 400), (b"?", 400)] {
            let asked = agent.post(format!("{url}{path}"));
            assert_eq!(asked.send(body).expect("an answer").status().as_u16(), status, "{path}");
        }
        let (_, log) = terminate(serving);
        let whole = format!("source=\"127.0.0.1\" method=POST path=\"{path}\"");
        for why in ["refused reason=no device is registered", "refused reason=not an envelope"] {
            let told = log.lines().filter(|line| line.contains(why) && line.contains(&whole)).count();
            assert_eq!(told, 1, "{path}, {why}: {log}");
        }
        assert!(!log.contains("device="), "{log}");
    }
}

/// Issue 8, errors: who asks for JSON gets an object on the error stream also where no controller was asked: the line is wrong, a file is not
/// there, nobody answers.
#[test]
fn an_error_of_this_side_is_an_object_for_who_asks_for_json() {
    let dir = tempfile::tempdir().expect("a folder");
    for (args, code, exit) in [
        (&["get", "everything", "-o", "json"][..], "used-wrongly", 2),
        (&["rotate", "vault", "--output=json"], "used-wrongly", 2),
        (&["apply", "-f", "none.yaml", "-o", "json"], "failed", 1),
        (&["get", "devices", "-o", "json"], "failed", 1),
    ] {
        let said = evc(dir.path(), args);
        let told: serde_json::Value = serde_json::from_slice(&said.stderr).expect("an object");
        assert_eq!((told["code"].as_str(), told["exit"].as_i64()), (Some(code), Some(exit)), "{told}");
        assert_eq!(said.status.code(), Some(i32::try_from(exit).expect("small")), "{told}");
        let words = |field: &str| told[field].as_str().is_some_and(|words| words.len() > 8);
        assert!(words("error") && words("advice"), "{told}");
    }
}
