//! What comes from outside and acts on a terminal, or begins a line of a log, is written out wherever it is shown (seen-by-users 0b.13).

mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Device, Evc, Key, Serving};
use wire::envelope::seal_registration;
use wire::register::Register;

/// Title, clear, C1, a line of its own, text that runs backwards: in a YAML's double quotes.
const YAML: &str = r#"\e]0;owned\a\e[2J\u009b31m\r\nWARN forged\u202egpj"#;
/// The same in a path.
const PATH: &str = "%1b%5d0;owned%07%1b%5b2J%c2%9b31m%0d%0aWARN%20forged%e2%80%aegpj";
/// As it is shown.
const SHOWN: &str = r"\u001b]0;owned\u0007\u001b[2J\u009b31m\r\nWARN forged\u202egpj";
/// Characters of a peer that the wire lets through: they have no control among them, and still reorder and hide.
const BIDI: &str = "SN\u{202e}1\u{2066}\u{200b}";
const BIDI_SHOWN: &str = r"SN\u202e1\u2066\u200b";

fn evc(evc: &Evc, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evc"));
    command.args(args).arg("--data").arg(evc.dir.path()).args(["--url", &evc.url]).output().expect("ran")
}

/// Nothing in it acts, and it shows what was to be shown.
fn harmless(what: &str, text: &[u8], shown: &str) {
    let text = std::str::from_utf8(text).expect("text");
    let acts = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2066}\u{200b}\u{2028}".contains(c));
    assert!(!text.chars().any(acts), "{what}: {text:?}");
    assert!(text.lines().all(|line| !line.trim_start().starts_with("WARN forged")), "{what}: {text}");
    assert!(text.contains(shown), "{what}: {text}");
}

fn file(dir: &Path) -> String {
    let path = dir.join("hostile.yaml");
    let text = format!(
        "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: v\npolicy: p\ndevice: \"{YAML}\"\n"
    );
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("text").to_owned()
}

#[test]
fn the_command_line_shows_what_is_quoted_and_obeys_none_of_it() {
    let controller = Evc::start();
    let device = Device::new("edge-1");
    let cert = controller.dir.path().join("onboard.pem");
    std::fs::write(&cert, &device.onboard.pem).expect("written");
    let cert = cert.to_str().expect("text");
    for output in ["table", "json"] {
        let added = evc(&controller, &["onboard", "add", "--cert", cert, "--serial", BIDI, "-o", output]);
        harmless("an allowance", &added.stdout, BIDI_SHOWN);
        harmless("a list", &evc(&controller, &["onboard", "list", "-o", output]).stdout, BIDI_SHOWN);
    }
    let applied = evc(&controller, &["apply", "-f", &file(controller.dir.path())]);
    assert!(!applied.status.success());
    harmless("a refusal", &applied.stderr, SHOWN);
    assert!(
        String::from_utf8_lossy(&applied.stderr).contains("\n  what to do: "),
        "our own line break stays"
    );
    let path = controller.operator("GET", &format!("/devices/{PATH}"), "", Some(&controller.token));
    let told: serde_json::Value = serde_json::from_slice(&path.body).expect("JSON");
    harmless("an answer of the API, read as text", told["error"].as_str().expect("text").as_bytes(), SHOWN);
}

/// Words of a node's report: some that stock EVE may send, too.
#[test]
fn words_of_a_node_are_shown_and_not_obeyed() {
    let controller = Evc::start();
    let mut device = Device::onboarded(&controller, "edge-1");
    controller.apply(
        "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: v\npolicy: p\ndevice: edge-1\n",
    );
    let section = device.attested(&controller);
    device.report_saying(&controller, &section, BIDI);
    for args in [&["describe", "device", "edge-1"][..], &["describe", "vault", "v", "--device", "edge-1"]] {
        for output in ["table", "json"] {
            let shown = evc(&controller, &[args, &["-o", output]].concat());
            harmless("a report", &shown.stdout, BIDI_SHOWN);
        }
    }
}

/// Each refusal is one line of the log, whatever it quotes.
#[test]
fn the_log_has_a_line_an_event() {
    for format in [&[][..], &["--log-json"]] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut serve = Command::new(env!("CARGO_BIN_EXE_evc"));
        serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(dir.path()).args(format);
        let serving = Serving(serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started"));
        let (serving, url) = common::announced(serving);
        let applied = Command::new(env!("CARGO_BIN_EXE_evc"))
            .args(["apply", "-f", &file(dir.path()), "--data"])
            .arg(dir.path())
            .output()
            .expect("ran");
        harmless("a refusal", &applied.stderr, SHOWN);
        let onboard = Key::new("onboard");
        let register = Register::new(Key::new("EVE").pem.as_bytes(), BIDI, "").expect("a registration");
        let register = seal_registration(&register.encode(), onboard.pem.as_bytes(), &onboard.signer);
        let agent = common::agent(dir.path());
        let refused = agent
            .post(format!("{url}/api/v2/edgedevice/register"))
            .header("content-type", "application/x-proto-binary")
            .send(register.expect("sealed"));
        assert_eq!(refused.expect("an answer").status(), 403);
        let (code, log) = common::terminate(serving);
        assert_eq!(code, Some(0), "{log}");
        harmless("the log", log.as_bytes(), SHOWN);
        harmless("the log", log.as_bytes(), BIDI_SHOWN);
        if !format.is_empty() {
            let events: Result<Vec<serde_json::Value>, _> = log.lines().map(serde_json::from_str).collect();
            let events = events.expect("JSON lines still");
            let told = |event: &serde_json::Value| event["fields"]["reason"].as_str().map(str::to_owned);
            assert!(events.iter().filter_map(told).any(|reason| reason.contains(BIDI)), "{log}");
        }
    }
}
