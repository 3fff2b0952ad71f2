//! When a key is made anew, and when that is refused: a rotation that the node could miss needs `force` (VC-3, VC-6).

mod common;

use common::{Answer, Device, Evc};
use vault::ids::Epoch;
use vault::section::Section;

const ROTATE: &str = "/devices/edge-1/vaults/payments/rotate";

fn policy(operation: &str) -> String {
    format!(
        "kind: VaultPolicy\nname: p\ncustody: controller\noperation: {operation}\n---\nkind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n"
    )
}

/// A device whose vault is made and reported at epoch 1.
fn made() -> (Evc, Device, Section) {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&policy("unlock"));
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    (evc, device, section)
}

fn rotate(evc: &Evc, how: &str) -> (u16, String) {
    let Answer { status, body } = evc.operator("POST", ROTATE, how, Some(&evc.token));
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// The epochs that the controller would give out.
fn epochs(evc: &Evc) -> (u64, u64) {
    let shown = evc.act("GET", "/devices/edge-1", "");
    let vault = shown["vaults"].as_array().expect("a list").iter().find(|vault| vault["name"] == "payments");
    let number = |name: &str| vault.expect("listed")[name].as_u64().expect("a number");
    (number("current_epoch"), number("last_epoch"))
}

/// VC-6: what the node holds stays good over a second rotation that nobody forces; whether it was locked, withheld or away meanwhile.
#[test]
fn a_second_rotation_waits_until_the_node_took_the_first() {
    let (evc, mut device, _) = made();
    evc.apply(&policy("lock"));
    assert_eq!(rotate(&evc, "").0, 200, "one may be missed");
    let (status, text) = rotate(&evc, "");
    assert_eq!((status, epochs(&evc)), (409, (2, 1)), "{text}");
    for says in ["the node is still at epoch 1", "epoch 2", "--force"] {
        assert!(text.contains(says), "{says}: {text}");
    }
    evc.apply(&policy("unlock"));
    let section = device.section(&evc);
    assert!(device.keys(&section, "payments").is_some());
    device.report(&evc, &section, 2);
    assert_eq!((rotate(&evc, "").0, epochs(&evc)), (200, (3, 2)), "taken: the next one may go");
}

/// A vault that the node never spoke of may hold any key that went out.
#[test]
fn a_node_that_reported_nothing_counts_as_one_that_took_the_first_key() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&policy("unlock"));
    device.attested(&evc);
    assert_eq!(rotate(&evc, "").0, 200);
    let (status, text) = rotate(&evc, "");
    assert_eq!((status, epochs(&evc)), (409, (2, 1)), "{text}");
    assert!(text.contains("has not reported"), "{text}");
}

/// TH-4: shutting out a node that is away needs no word of it, only the operator's.
#[test]
fn a_forced_rotation_shuts_out_what_the_node_holds_and_says_so() {
    let (evc, _, _) = made();
    assert!(!rotate(&evc, "").1.contains("stays locked"), "nothing is at stake at the first");
    let (status, text) = rotate(&evc, r#"{"force": true, "confirm": "payments"}"#);
    assert_eq!((status, epochs(&evc)), (200, (3, 2)), "{text}");
    assert!(text.contains("still at epoch 1") && text.contains("stays locked"), "{text}");
}

/// A lost answer and its retry are one rotation, also when the node took the key in between, and also when forced.
#[test]
fn a_rotation_that_is_said_twice_is_done_once() {
    let (evc, mut device, _) = made();
    let from_1 = r#"{"expect_epoch": 1}"#;
    assert_eq!(rotate(&evc, from_1).0, 200);
    let section = device.section(&evc);
    device.report(&evc, &section, 2);
    for again in [from_1, r#"{"expect_epoch": 1, "force": true}"#] {
        let (status, text) = rotate(&evc, again);
        assert_eq!((status, epochs(&evc)), (200, (2, 1)), "{text}");
        assert!(text.contains("to epoch 2 already"), "{text}");
    }
    assert_eq!(rotate(&evc, r#"{"expect_epoch": 2}"#).0, 200, "the twin, from where it stands");
    let (status, text) = rotate(&evc, from_1);
    assert_eq!((status, epochs(&evc)), (409, (3, 2)), "{text}");
    assert!(text.contains("is at epoch 3, not 1"), "{text}");
    assert_eq!(rotate(&evc, r#"{"forced": true}"#).0, 400, "a word that is not known is not passed over");
}

/// VC-3: what went out of an epoch that is over is not kept; what may still go out is.
#[test]
fn releases_of_an_epoch_that_is_over_are_forgotten() {
    let (evc, mut device, section) = made();
    let vault = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    let kept = |device: &Device, epoch| {
        let (project, session) = (vault::ids::Project::default(), device.session.session_key().0);
        let all = evc.stored(|tx| tx.releases(&project, device.id, &session));
        all.iter().any(|row| (row.vault, row.epoch) == (vault, Epoch(epoch)))
    };
    for epoch in [2, 3] {
        assert_eq!(rotate(&evc, "").0, 200);
        let section = device.section(&evc);
        device.report(&evc, &section, epoch);
    }
    assert_eq!([1, 2, 3].map(|epoch| kept(&device, epoch)), [false, true, true]);
}

/// The command line says what is at stake before it forces anything, and a command that is run twice rotates once.
#[test]
fn the_command_line_warns_before_it_forces() {
    let (evc, _, _) = made();
    std::fs::write(evc.dir.path().join("url"), &evc.url).expect("written");
    let run = |more: &[&str]| {
        let told = std::process::Command::new(env!("CARGO_BIN_EXE_evc"))
            .args(["rotate", "vault", "payments", "--device", "edge-1", "--data"])
            .arg(evc.dir.path())
            .args(more)
            .output()
            .expect("ran");
        (told.status.success(), String::from_utf8_lossy(&told.stderr).into_owned())
    };
    assert_eq!(run(&["--force"]), (true, String::new()), "nothing is at stake");
    assert_eq!(run(&["--expect-epoch", "1"]), (true, String::new()), "done already");
    assert_eq!(epochs(&evc), (2, 1));
    let (done, said) = run(&[]);
    assert!(!done && said.contains("still at epoch 1") && said.contains("--force"), "{said}");
    let (done, said) = run(&["--force"]);
    assert!(!done && said.contains("--confirm payments"), "{said}");
    let (done, said) = run(&["--force", "--confirm", "payments"]);
    assert!(done && said.contains("forced: ") && said.contains("reported epoch 1"), "{said}");
    assert_eq!(epochs(&evc), (3, 2));
}

/// What is told of a rotation is so: no key goes out to a lost device, and none is promised to it.
#[test]
fn a_rotation_of_a_lost_device_promises_nothing() {
    let (evc, ..) = made();
    evc.act("POST", "/devices/edge-1/lost", "");
    let (status, told) = rotate(&evc, "{}");
    assert!(status == 200 && told.contains("marked as lost"), "{told}");
    assert!(!told.contains("takes it at its next contact"), "{told}");
}
