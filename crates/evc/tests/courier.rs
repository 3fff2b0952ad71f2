//! A courier at the controller (decision 76): a device that never has a line gets its keys by files alone; what is sent again, mixed, late, or of
//! a lost device, gives nothing.

mod common;

use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::couriered::{body, nonce, nothing, parts, read};
use common::{Device, Evc, new_session, section};
use evc::clock::now;
use serde_json::{Value, json};
use vault::ids::VaultId;
use vault::report::{State, VaultReport};
use vault::section::{MAX_VAULTS, Operation, Release, Section};
use wire::courier::CourierEvidence;
use wire::info::{DeviceInfo, PcrStatus, VaultLine};

const POLICY: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: own\ndevice: edge-1\npolicy: p\n";
const DAY_S: u64 = 86_400;
/// Keys of `own`, and of the two default vaults, which a device without a TPM has from here too.
const ALL: usize = 3;

fn export(evc: &Evc) -> Value {
    evc.act("POST", "/devices/edge-1/courier", "{}")
}

fn import(evc: &Evc, parts: &CourierEvidence) -> Value {
    evc.act("POST", "/courier", &body(parts))
}

/// Code and text of a refusal.
fn refused(evc: &Evc, body: &str) -> (u16, String) {
    let answer = evc.operator("POST", "/courier", body, Some(&evc.token));
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

fn own(section: &Section) -> &vault::section::Entry {
    section.vaults.iter().find(|entry| entry.name.as_str() == "own").expect("listed")
}

/// What is known of it, but how long ago that was: that changes by itself.
fn known(evc: &Evc) -> Value {
    let mut known = evc.act("GET", "/devices/edge-1", "");
    known["device"].as_object_mut().expect("a device").remove("seen").expect("when it was seen");
    known
}

/// CO-3: by files alone a session gets keys that are sealed to it; the file that brought it there is good once: brought again it changes nothing, and
/// gives the answer again.
#[test]
fn co3_evidence_in_a_file_is_answered_by_keys_once() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    evc.apply(POLICY);
    let first = export(&evc);
    assert_eq!(
        (&first["session"], &first["section"], &first["releases"]),
        (&Value::Null, &Value::Null, &json!(0))
    );
    let evidence = parts(&device, nonce(&read(&evc, &first)));
    let evc = evc.restart();
    let answer = import(&evc, &evidence);
    assert_eq!(answer["releases"], json!(ALL), "over an end of the controller: {answer}");
    let told = section(&read(&evc, &answer)).expect("a section");
    assert_eq!(told.session, device.session.session_key());
    assert!(device.keys(&told, "own").is_some(), "they open with the session's key");
    let before = (known(&evc)["device"].clone(), known(&evc)["vaults"].clone());
    assert_eq!(answer.get("again"), None);
    assert_eq!(known(&evc)["device"]["attestation"]["of_now"], json!(true), "it is heard by this session");
    for (again, is_said) in [(import(&evc, &evidence), json!(true)), (export(&evc), Value::Null)] {
        assert_eq!((known(&evc)["device"].clone(), known(&evc)["vaults"].clone()), before, "nothing changed");
        assert_eq!(
            (&again["section"], &again["releases"], &again["again"]),
            (&answer["section"], &json!(ALL), &is_said),
            "the answer again"
        );
        assert!(device.keys(&section(&read(&evc, &again)).expect("a section"), "own").is_some());
    }
    let mut device = Device { session: new_session(), ..device };
    device.attested(&evc);
    let (status, words) = refused(&evc, &body(&evidence));
    assert!(
        status == 409 && words.contains("courier-over") && words.contains("evc export edge-1"),
        "other evidence stands by now: {words}"
    );
}

/// CO-3: an answer that can't be written is said with what was taken, by an exit code of its own kind; and the same command, said again, gives it.
#[test]
fn co3_an_answer_that_is_not_written_is_given_again() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    evc.apply(POLICY);
    let stick = tempfile::tempdir().expect("a folder");
    let at = |name: &str| stick.path().join(name).to_str().expect("text").to_owned();
    let evidence = parts(&device, nonce(&read(&evc, &export(&evc))));
    std::fs::write(at("evidence"), evidence.encode().expect("fits")).expect("written");
    let imported = |answer: &str, out: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evc"));
        command.args(["import", &at("evidence"), "--answer", answer]).arg("--data").arg(evc.dir.path());
        let done = command.args(["--url", &evc.url]).stdout(out).output().expect("ran");
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned(), done.stdout)
    };
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").expect("opened"));
    let closed = || Stdio::from(std::io::pipe().expect("a pipe").1);
    let nowhere = at("nowhere/answer");
    for (answer, out, cause) in [
        ("-", full(), "No space left"),
        ("-", closed(), "Broken pipe"),
        (&*nowhere, Stdio::null(), "can't write"),
    ] {
        let (code, said, _) = imported(answer, out);
        assert_eq!(code, Some(1), "{said}");
        for words in ["device `edge-1`: evidence taken", "is not written", "evc export edge-1 FILE", cause] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    let (code, said, file) = imported("-", Stdio::piped());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("taken before, and nothing changed"), "{said}");
    let answer = read(&evc, &json!({ "file": STANDARD.encode(file) }));
    assert!(device.keys(&section(&answer).expect("a section"), "own").is_some(), "with its keys");
}

/// CO-4: a challenge is over when its time is up, when another one was answered since, and in another life of the database.
#[test]
fn co4_a_challenge_that_is_over_is_refused() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(POLICY);
    let evidence = parts(&device, nonce(&read(&evc, &export(&evc))));
    let file = STANDARD.encode(evidence.encode().expect("fits"));
    let late = evc.wait(evc.as_operator().import(&file, None, now() + 7 * DAY_S + 1));
    assert!(late.is_err_and(|why| why.to_string().contains("is over")), "its time is up");
    device.attested(&evc);
    let (status, words) = refused(&evc, &body(&evidence));
    assert!(status == 409 && words.contains("courier-over"), "it answered by the line: {words}");
    let bad = evc.operator("POST", "/devices/edge-1/courier", "{\"good_for_s\":59}", Some(&evc.token));
    assert_eq!(bad.status, 400);
}

/// CO-5: to a lost device nothing is released, by either way; its vaults are ordered to be locked.
#[test]
fn co5_a_lost_device_gets_no_keys_by_a_courier() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(POLICY);
    device.attested(&evc);
    let evidence = parts(&device, nonce(&read(&evc, &export(&evc))));
    evc.act("POST", "/devices/edge-1/lost", "");
    for made in [export(&evc), import(&evc, &evidence)] {
        assert_eq!((&made["releases"], &made["lost"]), (&json!(0), &json!(true)));
        let told = section(&read(&evc, &made)).expect("a section");
        assert_eq!(own(&told).operation, Operation::Lock);
        assert!(matches!(own(&told).release, Release::Withheld { .. }), "{:?}", own(&told).release);
    }
}

/// What the command line says to this, of the operator's machine.
fn says(evc: &Evc, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evc"));
    command.args(args).arg("--data").arg(evc.dir.path()).args(["--url", &evc.url]);
    let said = command.output().expect("ran");
    String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
}

/// CO-5: whoever brings a lost device's file reads that it is lost, what the answer does, and how the mark comes off; also where the file was taken
/// before, is over, or is worth nothing.
#[test]
fn co5_who_brings_a_file_of_a_lost_device_reads_what_to_do() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    evc.apply(POLICY);
    let evidence = parts(&device, nonce(&read(&evc, &export(&evc))));
    let second = parts(&device, nonce(&read(&evc, &export(&evc))));
    let file = |name: &str, parts: &CourierEvidence| {
        let path = evc.dir.path().join(name);
        std::fs::write(&path, parts.encode().expect("fits")).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let [evidence, second] = [file("one", &evidence), file("two", &second)];
    evc.act("POST", "/devices/edge-1/lost", "");
    for (brought, head) in
        [(&evidence, "evidence taken;"), (&evidence, "evidence taken before"), (&second, "is over")]
    {
        let said = says(&evc, &["import", brought]);
        for words in [
            head,
            "marked as lost",
            "no key goes to it",
            "eve import",
            "evc device found edge-1",
            "evc export edge-1 FILE",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    evc.act("DELETE", "/devices/edge-1/lost", "");
    let said = says(&evc, &["import", &evidence]);
    assert!(said.contains("evidence taken before") && !said.contains("lost"), "{said}");
}

/// CO-6: what is not of one device and one session, or was changed on the way, is refused whole.
#[test]
fn co6_what_does_not_belong_together_is_refused() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    let other = Device::onboarded(&evc, "edge-2");
    evc.apply(POLICY);
    let nonce = nonce(&read(&evc, &export(&evc)));
    let good = parts(&device, nonce);
    let others = parts(&other, nonce);
    let (_, words) = refused(&evc, &body(&others));
    assert!(words.contains("courier-over"), "another device's challenge: {words}");
    let mixed = [
        CourierEvidence { poll: others.poll.clone(), ..good.clone() },
        CourierEvidence { report: others.report.clone(), ..good.clone() },
        CourierEvidence { keys: good.quote.clone(), ..good.clone() },
        CourierEvidence { quote: others.quote.clone(), ..good.clone() },
    ];
    for (number, mixed) in mixed.iter().enumerate() {
        let (status, words) = refused(&evc, &body(mixed));
        assert!(status == 400 && words.contains("one device and one session"), "{number}: {words}");
    }
    device.session = new_session();
    let polled = CourierEvidence { poll: device.seal(&device.ask()), ..good.clone() };
    assert!(
        refused(&evc, &body(&polled)).1.contains("one device and one session"),
        "keys for another session"
    );
    let mut forged = good.clone();
    *forged.poll.last_mut().expect("bytes") ^= 1;
    assert!(matches!(refused(&evc, &body(&forged)).0, 400 | 401));
    assert_eq!(refused(&evc, &json!({ "file": STANDARD.encode(b"PK") }).to_string()).0, 400);
    assert_eq!(refused(&evc, &json!({ "file": "%" }).to_string()).0, 400);
    assert_eq!(import(&evc, &good)["releases"], json!(ALL), "none of it was counted");
}

/// CO-6: what is refused of a file's last part takes nothing of its others: all of it is one transaction.
#[test]
fn co6_a_file_is_taken_whole_or_not_at_all() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    evc.apply(POLICY);
    let good = parts(&device, nonce(&read(&evc, &export(&evc))));
    // Under a policy that does not read there is no list to answer with.
    common::sql(evc.dir.path(), &["UPDATE policies SET changed_at = -changed_at"]);
    assert_eq!(refused(&evc, &body(&good)).0, 500);
    assert_eq!(evc.stored(|tx| tx.standing(device.id)), None, "its evidence is not taken");
    common::sql(evc.dir.path(), &["UPDATE policies SET changed_at = -changed_at"]);
    assert_eq!(import(&evc, &good)["releases"], json!(ALL), "and its challenge is good still");
}

/// CO-7: a file that was on its way for days does not show its device as heard now, but as of when its challenge was given.
#[test]
fn co7_a_device_is_seen_as_of_its_challenge() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    evc.apply(POLICY);
    let (given, came) = (now() + DAY_S, now() + 3 * DAY_S);
    let made = evc.wait(evc.as_operator().export("edge-1", None, given)).expect("exported");
    let evidence = parts(&device, nonce(&read(&evc, &json!({ "file": made.file }))));
    let file = STANDARD.encode(evidence.encode().expect("fits"));
    evc.wait(evc.as_operator().import(&file, None, came)).expect("taken");
    assert_eq!(known(&evc)["device"]["last_seen"], json!(evc::clock::text(given)));
}

/// CO-10: a courier's challenge counts where an operator imports its answer, and not by the line: evidence of weeks ago is never taken as of now.
#[test]
fn co10_a_couriers_challenge_is_not_answered_by_the_line() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(POLICY);
    let evidence = parts(&device, nonce(&read(&evc, &export(&evc))));
    evc.post(&device.own("attest"), &evidence.quote);
    device.attested(&evc);
}

/// CO-8: a file renews a lease by the node's own question, and by nothing else.
#[test]
fn co8_a_lease_is_renewed_by_the_question_that_the_node_put_into_its_file() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&POLICY.replace("custody: controller\n", "custody: controller\nlease: 30d\n"));
    device.lease = Some(vault::lease::LeaseNonce([7; 16]));
    let evidence = parts(&device, nonce(&read(&evc, &export(&evc))));
    let told = section(&read(&evc, &import(&evc, &evidence))).expect("a section");
    assert_eq!(told.lease, device.lease);
    let told = section(&read(&evc, &export(&evc))).expect("a section");
    assert_eq!(told.lease, None, "nobody asked");
}

/// CO-3: a node that never has a line, and has as many vaults as there may be, each with as much to say as a status holds, is served.
#[test]
fn co3_the_report_of_as_many_vaults_as_there_may_be_is_taken() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    evc.apply(POLICY);
    let mut evidence = parts(&device, nonce(&read(&evc, &export(&evc))));
    let said = [format!("storage limit not enforced: {}; take it out of use", "why ".repeat(240))];
    let line = |n: usize| {
        let report = VaultReport {
            id: VaultId(uuid::Uuid::from_u128((7 << 100) + n as u128)),
            name: format!("app-{n}").parse().expect("a name"),
            state: State::Locked,
            created: true,
            epoch: None,
            wanted: Operation::Unlock,
            last: None,
            opened: None,
            storage: None,
            change_due: false,
            holds_escrow_up: false,
            under_anothers_key: false,
            behind_in_escrow: None,
            ordered_locked: false,
            detail: said.to_vec(),
        };
        VaultLine::of(report, PcrStatus::Unknown)
    };
    let mut info =
        DeviceInfo { vaults: (0..MAX_VAULTS).map(line).collect(), ..device.info(&nothing(&device), 1) };
    info.node.as_mut().expect("ours").accepted = None;
    evidence.report = device.seal(&info.encode());
    assert!(evidence.report.len() > 1 << 20, "it is long: {}", evidence.report.len());
    assert_eq!(import(&evc, &evidence)["releases"], json!(ALL));
}
