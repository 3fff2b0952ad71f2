//! What zedagent keeps and passes on of the controller's answers, signed with the golden keys.

use super::config::is_word;
use super::courier::Says;
use super::pace::{INFO_EVERY, INFO_WINDOW, Poll};
use super::*;
use crate::bus::messages::CarriedAnswer;
use crate::paths;
use attest::SessionKey;
use uuid::Uuid;
use vault::ids::{DeviceId, DeviceKey, Incarnation, SectionVersion};
use vault::section::Section;
use wire::config::{ConfigParts, ConfigResponse, DeviceConfig};
use wire::envelope::seal_from_controller;
use wire::{FileSigner, P256PublicKey};

const DEVICE: DeviceId = DeviceId(Uuid::from_u128(0xd0));
const SESSION: SessionKey = SessionKey([7; 32]);

fn golden(name: &str) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/keys").join(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A signed answer: without a configuration, with one, with one and a section.
fn answer(config: Option<Option<Section>>) -> Vec<u8> {
    let parts = |section| ConfigParts { device: Some(DEVICE), section, ..ConfigParts::default() };
    let config = config.map(|section| DeviceConfig::new(&parts(section)).expect("within bounds"));
    let response = ConfigResponse { config_hash: "1".to_owned(), config, control: None };
    let signer = FileSigner::from_pem(&golden("controller-signing.key.pem")).expect("a key");
    seal_from_controller(&response.encode(), &golden("controller-signing.cert.pem"), &signer).expect("signs")
}

fn section() -> Section {
    let version = SectionVersion { incarnation: Incarnation([1; 16]), version: 1 };
    Section {
        device: DEVICE,
        device_key: DeviceKey([3; 32]),
        session: SESSION,
        version,
        follows: None,
        vaults: Vec::new(),
        removed: Vec::new(),
        lease: None,
    }
}

fn node() -> (tempfile::TempDir, Bus) {
    let dir = tempfile::tempdir().expect("a directory");
    for folder in ["config", "run/eve"] {
        std::fs::create_dir_all(dir.path().join(folder)).expect("makes");
    }
    std::fs::write(paths::server(dir.path()), "localhost:1").expect("writes");
    std::fs::write(paths::root_certificate(dir.path()), golden("root-ca.cert.pem")).expect("writes");
    let bus = Bus::join(dir.path(), crate::bus::Agent::Zedagent).expect("joins");
    (dir, bus)
}

/// Onboarded, in a session.
fn zedagent<'a>(bus: &'a Bus, root: &Path) -> Zedagent<'a> {
    let options = Options { poll: Duration::from_secs(60), unlisted: crate::sandbox::Unlisted::Refused };
    let mut zedagent = Zedagent::new(bus, (&Disk::linux(), root), options, BeforeWalls::look(root));
    let (signing, ecdh) = (golden("controller-signing.cert.pem"), golden("controller-ecdh.cert.pem"));
    let certs = wire::certs::encode_list(&signing, &[&golden("intermediate-ca.cert.pem")], &[&ecdh]);
    // Any certificate will do for a device's.
    let device_cert = Bytes(golden("controller-signing.cert.pem"));
    let onboarded = Onboarded { device: DEVICE, device_cert, certs: Bytes(certs) };
    zedagent.hear(Event::Onboarded(onboarded));
    zedagent.identify().expect("is known");
    zedagent.hear(Event::Session(Session { key: SESSION, lease: None }));
    zedagent
}

/// IF-6, DF-1: a lock waits in the topic for a vaultmgr that is away, and the checkpoint keeps the last section: an answer that
/// says nothing of vaults, as the first of every session, takes the place of neither.
#[test]
fn an_answer_takes_the_place_of_one_that_says_more_nowhere() {
    let (dir, bus) = node();
    let mut zedagent = zedagent(&bus, dir.path());
    let mut take = |config| {
        let published = zedagent.take_config(answer(config), Poll::Regular).expect("is taken");
        (published.is_some(), zedagent.unsaved.clone())
    };
    let with_section = answer(Some(Some(section())));
    let (published, kept) = take(Some(Some(section())));
    assert!(published && kept.as_ref().is_some_and(|kept| kept.envelope.0.len() == with_section.len()));
    assert_eq!(take(None), (false, kept.clone()), "nothing changed");
    assert_eq!(take(Some(None)), (true, kept), "the section is withheld, which vaultmgr must know");
}

/// IF-6: a zedagent that was started anew may ask before it hears of the session. What it is told then is no word on vaults: it withholds no list that
/// the session has.
#[test]
fn an_answer_without_a_session_says_nothing_of_vaults() {
    let (dir, bus) = node();
    let mut zedagent = zedagent(&bus, dir.path());
    zedagent.session = None;
    assert!(zedagent.take_config(answer(Some(None)), Poll::Regular).expect("is taken").is_none());
    zedagent.hear(Event::Session(Session { key: SESSION, lease: None }));
    assert_eq!(zedagent.known_hash(), "", "all is asked for, now that there is one");
    assert!(zedagent.take_config(answer(Some(None)), Poll::Regular).expect("is taken").is_some(), "the twin");
}

/// TH-3: what vaultmgr refused is asked for in full at each poll until something counts, and when another controller is accepted; what was taken
/// is not asked for again.
#[test]
fn th3_what_did_not_count_is_asked_for_in_full() {
    let (dir, bus) = node();
    let mut zedagent = zedagent(&bus, dir.path());
    let status = |unheard, root| VaultStatus { unheard, root: Some([root; 32]), ..VaultStatus::default() };
    for (status, asks) in [
        (status(false, 1), "1"),
        (status(true, 1), ""),
        (status(true, 1), ""),
        (status(false, 1), "1"),
        (status(false, 2), ""),
    ] {
        zedagent.take_config(answer(Some(None)), Poll::Regular).expect("is taken");
        zedagent.hear(Event::Vaults(Box::new(status)));
        assert_eq!(zedagent.known_hash(), asks, "{:?}", zedagent.vaults);
    }
}

/// TH-3: orders to lock reach vaultmgr also beside no configuration.
#[test]
fn th3_orders_beside_no_configuration_are_passed_on() {
    let (dir, bus) = node();
    let mut zedagent = zedagent(&bus, dir.path());
    zedagent.tpm = Some(TpmStatus::Absent { device_key: own_point() });
    let (_, mut control) = zedagent.believed(&carried(SESSION, false)).expect("is believed");
    assert!(!is_word(&control), "it only asks");
    control.orders = vec![wire::control::Order::Lock(vault::ids::IMAGE_VAULT)];
    assert!(is_word(&control));
}

/// The verdict on one session's evidence is no news of the next session.
#[test]
fn a_new_session_has_no_verdict_yet() {
    let (dir, bus) = node();
    let mut zedagent = zedagent(&bus, dir.path());
    zedagent.status.attested = true;
    zedagent.status.attestation = Some("accepted".to_owned());
    zedagent.hear(Event::Session(Session { key: SESSION, lease: None }));
    assert_eq!(zedagent.status.attestation.as_deref(), Some("accepted"), "the same session");
    zedagent.hear(Event::Session(Session { key: SessionKey([8; 32]), lease: None }));
    assert_eq!(zedagent.status.attestation, None);
    let info = zedagent.info().expect("is known");
    assert_eq!(info.attestation_error, None);
}

/// Evidence that is good and satisfies no policy is not called accepted and no more; it is again when a section comes. What was refused since
/// stays refused.
#[test]
fn good_evidence_that_satisfies_no_policy_is_told_so() {
    let (dir, bus) = node();
    let mut zedagent = zedagent(&bus, dir.path());
    zedagent.accepted();
    zedagent.judged("PCRs".to_owned());
    let told = "accepted, but satisfies no policy: PCRs";
    assert_eq!((zedagent.status.attestation.as_deref(), zedagent.status.attested), (Some(told), false));
    assert_eq!(zedagent.info().expect("is known").attestation_error.as_deref(), Some(told));
    zedagent.accepted();
    assert_eq!(zedagent.status.attestation.as_deref(), Some(told), "evidence again, of the same");
    zedagent.judged(String::new());
    assert_eq!((zedagent.status.attestation.as_deref(), zedagent.status.attested), (Some("accepted"), true));
    zedagent.status.attestation = Some("the quote is not good".to_owned());
    zedagent.judged(String::new());
    assert_eq!(zedagent.status.attestation.as_deref(), Some("the quote is not good"));
}

/// Seen-by-users 1.5: a section for this session says that its evidence was good, to a life that never heard the verdict; one for
/// another session says nothing.
#[test]
fn a_section_for_this_session_says_that_it_is_attested() {
    let (dir, bus) = node();
    let mut zedagent = zedagent(&bus, dir.path());
    let other = Section { session: SessionKey([8; 32]), ..section() };
    zedagent.take_config(answer(Some(Some(other))), Poll::Regular).expect("is taken");
    assert_eq!(zedagent.status.attestation, None);
    zedagent.take_config(answer(Some(Some(section()))), Poll::Regular).expect("is taken");
    assert_eq!((zedagent.status.attestation.as_deref(), zedagent.status.attested), (Some("accepted"), true));
}

fn own_point() -> Vec<u8> {
    let cert = wire::Certificate::from_pem(&golden("controller-signing.cert.pem")).expect("reads");
    cert.public_key().point().to_vec()
}

/// A signed answer of a courier's: it asks, and perhaps gives the bundle back.
fn carried(session: SessionKey, gives_back: bool) -> CarriedAnswer {
    let id = vault::escrow::Bundle::id_of(vault::ids::Generation(1), b"x");
    let bundle = wire::escrow::SealedBundle { id, place: None, enc: vec![9; 32], ciphertext: vec![1; 64] };
    let own = P256PublicKey::from_point(&own_point()).expect("a point").name();
    let control = wire::control::Control {
        device: DEVICE,
        session,
        challenge: Some(wire::control::Challenge {
            nonce: [5; 32],
            ttl_s: 600,
            pcrs: wire::control::PcrMask(1),
            wants_quote: true,
            wants_location: false,
        }),
        device_key: Some(own),
        orders: Vec::new(),
        as_of: None,
        lacks: String::new(),
        held_bundle: None,
        rescue: gives_back.then_some(bundle),
        no_rescue: None,
        keeps_bundles: true,
        drill: None,
        send_again: false,
    };
    let response = ConfigResponse { config_hash: "1".to_owned(), config: None, control: Some(control) };
    let signer = FileSigner::from_pem(&golden("controller-signing.key.pem")).expect("a key");
    let envelope = seal_from_controller(&response.encode(), &golden("controller-signing.cert.pem"), &signer)
        .expect("signs");
    let (signing, ecdh) = (golden("controller-signing.cert.pem"), golden("controller-ecdh.cert.pem"));
    let certs = wire::certs::encode_list(&signing, &[&golden("intermediate-ca.cert.pem")], &[&ecdh]);
    CarriedAnswer { envelope: Bytes(envelope), certs: Bytes(certs) }
}

/// Decision 76: a courier's answer that gives the bundle back and says nothing of vaults reaches vaultmgr too, in the present session alone; one that
/// only asks is for any session, and passes nothing on.
#[test]
fn an_imported_answer_with_the_bundle_alone_is_passed_on() {
    let (dir, bus) = node();
    let mut zedagent = zedagent(&bus, dir.path());
    zedagent.tpm = Some(TpmStatus::Absent { device_key: own_point() });
    let other = SessionKey([8; 32]);
    let asks = zedagent.import(ImportAnswer(carried(other, false))).expect("is taken");
    assert_eq!((asks.asks, asks.rescue), (true, false));
    assert_eq!(zedagent.import(ImportAnswer(carried(other, true))), Err(CourierRefusal::OtherSession));
    let back = zedagent.import(ImportAnswer(carried(SESSION, true))).expect("is taken");
    assert_eq!((back.section, back.rescue), (None, true));
    for (gives_back, orders, has_section, says) in [
        (false, 0, false, Says::Nothing),
        (true, 0, false, Says::OfTheBundle),
        (true, 1, false, Says::OfVaults),
        (false, 1, false, Says::OfVaults),
        (true, 0, true, Says::OfVaults),
    ] {
        let answer = zedagent.believed(&carried(SESSION, gives_back)).expect("is believed");
        let mut control = answer.1;
        control.orders = vec![wire::control::Order::Lock(vault::ids::IMAGE_VAULT); orders];
        assert_eq!(Says::of(&control, has_section), says, "{control:?}, {has_section}");
    }
}

/// Decision 76: whoever asks for evidence while it is made for another is refused, with what to do; the first one gets its file.
#[test]
fn a_second_export_takes_nothing_from_the_first() {
    let (dir, bus) = node();
    let mut zedagent = zedagent(&bus, dir.path());
    zedagent.tpm = Some(TpmStatus::Absent { device_key: own_point() });
    let ask = ExportEvidence {
        answer: carried(SESSION, false),
        device_cert: Bytes(golden("controller-signing.cert.pem")),
    };
    let ((first, one), (second, other)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    zedagent.export(&ask, first);
    zedagent.export(&ask, second);
    assert_eq!(other.try_recv(), Ok(Err(CourierRefusal::Busy)));
    assert_eq!(one.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty), "it still waits for tpmmgr");
}

/// Decision 24: a few changes one after the other are posted at once; of a flood, so many in that time.
#[test]
fn a_few_changes_are_posted_at_once_and_a_flood_is_held_back() {
    let posted = |times: usize, oldest: u64| {
        let mut all = [None; INFO_BURST];
        (0..times).for_each(|at| all[at] = Some(Duration::from_millis(1)));
        if times == INFO_BURST {
            all[INFO_BURST - 1] = Some(Duration::from_millis(oldest));
        }
        all
    };
    for times in 0..INFO_BURST {
        assert_eq!(info_wait(posted(times, 0), true), Duration::ZERO, "{times} went before it");
    }
    let full = posted(INFO_BURST, 100);
    assert_eq!(info_wait(full, true), INFO_WINDOW - Duration::from_millis(100), "so many did");
    assert_eq!(info_wait(posted(INFO_BURST, 10_000), true), Duration::ZERO, "the first of them is long ago");
    assert_eq!(info_wait(full, false), INFO_EVERY - Duration::from_millis(1));
}

/// TH-3: what is new of an agent that does not answer goes to the controller at once; that one was started does not.
#[test]
fn a_silent_agent_is_reported_at_once() {
    use crate::bus::messages::{AgentLine, Agents};
    let (dir, bus) = node();
    let mut zedagent = zedagent(&bus, dir.path());
    zedagent.vaults_due = false;
    let agents = |restarts, silent_since_unix_s| {
        let agent = crate::bus::Agent::Vaultmgr;
        Event::Agents(Agents(vec![AgentLine { agent, pid: Some(1), restarts, silent_since_unix_s }]))
    };
    zedagent.hear(agents(0, None));
    zedagent.hear(agents(1, None));
    assert!(!zedagent.vaults_due, "no news");
    zedagent.hear(agents(1, Some(86_400)));
    assert!(std::mem::take(&mut zedagent.vaults_due));
    let notes = zedagent.info_of(DEVICE).expect("told").node.expect("a report").notes;
    let note = "vaultmgr does not answer since 1970-01-02T00:00:00Z: meanwhile no vault is locked";
    assert!(notes.iter().any(|told| told.starts_with(note)), "{notes:?}");
    zedagent.hear(agents(2, None));
    assert!(zedagent.vaults_due, "it answers again");
}
