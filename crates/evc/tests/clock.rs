//! What a wrong clock of the controller's does: nothing that can't be undone. Times here are told, none is waited for.

mod common;

use common::{Device, Evc, settings};
use evc::clock::now;
use evc::service::{Settings, start};
use tokio::runtime::Runtime;

const HOUR: u64 = 3600;

/// Root, signing and TLS certificates of a controller that is started at a time.
type Certificates = (Vec<u8>, String, Vec<rustls_pki_types::CertificateDer<'static>>);

fn certificates(runtime: &Runtime, settings: &Settings, at: u64) -> Result<Certificates, String> {
    let app = runtime.block_on(start(settings, at)).map_err(|e| format!("{:#}", anyhow::Error::from(e)))?;
    runtime.block_on(app.store.close());
    let root = std::fs::read(settings.data.join("root-certificate.pem")).expect("a root");
    let list = wire::ControllerCerts::decode(&app.authority.list).expect("a list");
    list.verify(&root, wire::Validity::At(at)).expect("good at that time");
    Ok((root, app.authority.signing_pem.clone(), app.authority.tls_chain.clone()))
}

/// Made by a clock that was never set, the root would be of no use at the right time; and nothing else is made by it either.
#[test]
fn a_first_start_with_a_clock_that_was_never_set_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = settings(dir.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let error = runtime.block_on(start(&settings, 86_400)).err().expect("refused").to_string();
    assert!(error.contains("clock"), "{error}");
    assert!(!dir.path().join("kek").exists());
    runtime.block_on(start(&settings, now())).map(drop).expect("with the clock set right");
}

/// A leaf that ends soon is made anew at a start, under the same root, which nodes are installed with.
#[test]
fn leaves_are_renewed_under_the_same_root() {
    const NINE_YEARS: u64 = 9 * 366 * 86_400;
    let dir = tempfile::tempdir().expect("a folder");
    let settings = settings(dir.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let certificates = |at: u64| certificates(&runtime, &settings, at).expect("started");
    let now = now();
    let (root, signing, tls) = certificates(now);
    assert_eq!(
        certificates(now + 86_400),
        (root.clone(), signing.clone(), tls.clone()),
        "as long as they are good"
    );
    let later = certificates(now + NINE_YEARS);
    assert_eq!(later.0, root);
    assert!(later.1 != signing && later.2 != tls);
    assert_eq!(certificates(now), later, "the clock was ahead: what it made is good at the right time too");
}

/// seen-by-users 0.8: made by a clock that was ahead, the root holds at the right time too, and so do the leaves: nodes by the right time
/// trust them at once, and the controller starts again when its own clock is right.
#[test]
fn a_first_start_with_the_clock_ahead_makes_certificates_that_hold_at_the_right_time() {
    for (days_ahead, served_long) in [(10, false), (10, true), (20 * 365, true)] {
        let dir = tempfile::tempdir().expect("a folder");
        let settings = settings(dir.path());
        let runtime = Runtime::new().expect("a runtime");
        let ahead = now() + days_ahead * 24 * HOUR;
        let app = runtime.block_on(start(&settings, ahead)).map_err(|e| e.to_string()).expect("started");
        if served_long {
            let mut clock = evc::service::Steady::since(ahead);
            runtime.block_on(app.keep_house(&mut clock, ahead, std::time::Duration::ZERO)).expect("kept");
        }
        let root = std::fs::read(dir.path().join("root-certificate.pem")).expect("a root");
        let list = wire::ControllerCerts::decode(&app.authority.list).expect("a list");
        list.verify(&root, wire::Validity::At(now())).expect("good by a clock that is right");
        runtime.block_on(app.store.close());
        drop(app);
        if served_long {
            let error = certificates(&runtime, &settings, now()).expect_err("the time that was seen");
            assert!(error.contains("--clock-is-right"), "{error}");
        }
        let said = Settings { clock_is_right: served_long, ..settings.clone() };
        let (after, ..) = certificates(&runtime, &said, now()).expect("the clock is right again");
        assert_eq!(after, root, "{days_ahead} days");
    }
}

/// An end of a leaf after its root's would be none.
#[test]
fn no_leaf_outlives_its_root() {
    const TWENTY_FIVE_YEARS: u64 = 25 * 366 * 24 * HOUR;
    let dir = tempfile::tempdir().expect("a folder");
    let (_, signing, _) =
        certificates(&Runtime::new().expect("a runtime"), &settings(dir.path()), now() + TWENTY_FIVE_YEARS)
            .expect("started");
    let end = |pem: &str| {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
        pem.parse_x509().expect("X.509").validity().not_after.timestamp()
    };
    let root = std::fs::read_to_string(dir.path().join("root-certificate.pem")).expect("a root");
    assert_eq!(end(&signing), end(&root));
}

/// A restart by a dead clock makes no certificate and changes none: refused, in words, until the clock is right.
#[test]
fn a_restart_outside_the_roots_time_is_refused_and_changes_nothing() {
    const YEAR_2000: u64 = 946_684_800;
    let dir = tempfile::tempdir().expect("a folder");
    let settings = settings(dir.path());
    let runtime = Runtime::new().expect("a runtime");
    let made = certificates(&runtime, &settings, now()).expect("started");
    for at in [YEAR_2000, now() + 31 * 366 * 24 * HOUR] {
        let error = certificates(&runtime, &settings, at).expect_err("refused");
        assert!(
            error.contains("the controller's root certificate is good from")
                && error.contains("set the clock right"),
            "{error}"
        );
    }
    assert_eq!(certificates(&runtime, &settings, now()), Ok(made), "nothing was made anew");
}

/// The time that was seen is kept: a clock well behind it is refused, unless the operator says that it is right.
#[test]
fn a_restart_well_behind_the_time_that_was_seen_is_refused_unless_the_operator_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = settings(dir.path());
    let runtime = Runtime::new().expect("a runtime");
    let app = runtime.block_on(start(&settings, now())).map_err(|e| e.to_string()).expect("started");
    let ahead = now() + 10 * 24 * HOUR;
    let mut clock = evc::service::Steady::since(ahead);
    runtime.block_on(app.keep_house(&mut clock, ahead, std::time::Duration::ZERO)).expect("kept");
    runtime.block_on(app.store.close());
    drop(app);
    let started = |settings: &Settings, at: u64| certificates(&runtime, settings, at).map(drop);
    let error = started(&settings, now()).expect_err("refused");
    assert!(error.contains("--clock-is-right") && error.contains("set it right"), "{error}");
    assert_eq!(started(&settings, ahead - HOUR / 2), Ok(()), "a little behind is no harm");
    let said = Settings { clock_is_right: true, ..settings.clone() };
    assert_eq!(started(&said, now()), Ok(()));
    assert_eq!(started(&settings, now()), Ok(()), "it is said once");
}

/// Threats, Controller: what is remembered of the clock is damaged. The controller starts all the same, nothing ends by a clock that nobody knows, and
/// what is remembered is written anew.
#[test]
fn a_damaged_time_keeps_no_controller_from_starting_and_ends_nothing() {
    let runtime = Runtime::new().expect("a runtime");
    for damaged in [&["time seen"][..], &["time shown"], &["time seen", "time shown"]] {
        let evc = Evc::start();
        let mut device = Device::onboarded(&evc, "edge-1");
        evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\non_removal: { delete_after: 10m }\n---\nkind: Vault\nname: day\ndevice: edge-1\npolicy: p\n");
        device.attested(&evc);
        common::end_graces(&evc, now());
        for name in damaged {
            common::sql(evc.dir.path(), &[&format!("UPDATE meta SET value = x'00' WHERE name = '{name}'")]);
        }
        let evc = evc.restart();
        evc.act("DELETE", "/devices/edge-1/vaults/day", "");
        let (at, second) = (now() + 601, std::time::Duration::from_secs(1));
        let mut clock = runtime.block_on(evc.app.clock(at)).expect("watched");
        assert_eq!(
            runtime.block_on(evc.app.keep_house(&mut clock, at, second)).expect("kept"),
            0,
            "{damaged:?}"
        );
        let (later, hour) = (at + HOUR, std::time::Duration::from_secs(HOUR));
        let ended = runtime.block_on(evc.app.keep_house(&mut clock, later, hour)).expect("kept");
        assert!(ended <= 1, "{damaged:?}");
        let mut clock = runtime.block_on(evc.app.clock(later)).expect("watched");
        let much_later = later + HOUR;
        runtime.block_on(evc.app.keep_house(&mut clock, much_later, hour)).expect("kept");
        let left = common::count(evc.dir.path(), "meta WHERE name LIKE 'time %' AND length(value) <> 8");
        assert_eq!(left, 0, "{damaged:?}: written anew");
    }
}

/// Threats, Controller: one damaged row of a leaf shuts out neither operator nor fleet: it is made anew under the root that nodes were installed with.
#[test]
fn a_damaged_leaf_is_made_anew_under_the_same_root() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = settings(dir.path());
    let runtime = Runtime::new().expect("a runtime");
    let (root, ..) = certificates(&runtime, &settings, now()).expect("started");
    for leaf in ["signing", "ecdh", "tls"] {
        for damage in
            ["sealed = zeroblob(length(sealed))", "cert_pem = 'x'", "cert_pem = CAST(x'ff21' AS TEXT)"]
        {
            common::sql(dir.path(), &[&format!("UPDATE keys SET {damage} WHERE name = '{leaf}'")]);
            let anew = certificates(&runtime, &settings, now());
            assert_eq!(anew.map(|(root, ..)| root).as_ref(), Ok(&root), "{leaf}: {damage}");
        }
    }
    common::sql(dir.path(), &["UPDATE keys SET sealed = zeroblob(length(sealed)) WHERE name = 'ca'"]);
    certificates(&runtime, &settings, now()).expect_err("the root is made once");
}
