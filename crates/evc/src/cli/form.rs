//! Refusals and errors of the controller, held against one form: each says what is, in plain words, and what to do, by commands that are there.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use form::{every, wrong_line, wrong_words};
use uuid::Uuid;
use vault::ids::{BadName, DeviceId, Epoch, Generation, Name, Project, VaultId};
use vault::ledger::Older;
use vault::life::{
    NodeAt, NotAdopted, NotApplied, NotDeleted, NotDone, NotLetIn, NotRecreated, NotRehomed, NotRotated,
    Unfit,
};
use vault::policy::BadFile;

use crate::custody::{CustodyError, KekFault, SealedRow, Unmade};
use crate::fleet::evidence::BadEvidence;
use crate::http::ListenError;
use crate::service::{
    AtStake, BadRequest, Barred, Body, Fault, Form, InTheWay, Irrevocable, LifeRefusal, Message, NoToken,
    NotAdmitted, Refusal, Stale, StartError, Unknown, Unproved, Which, chain,
};
use crate::store::StoreError;
use crate::words::Words;

every! {
    bodies: Body { Body::Cut => Body::Cut, Body::Unread => Body::Unread, Body::TooLong { .. } => Body::TooLong { most: 7 } }
    messages: Message {
        Message::Envelope(_) => Message::Envelope(wire::envelope::DeviceEnvelope::parse(b"x").expect_err("none")),
        Message::Payload(_) => Message::Payload(wire::config::ConfigRequest::decode(b"\xff").expect_err("none")),
        Message::Registration(_) => Message::Registration(wire::register::Register::decode(b"").expect_err("none")),
        Message::Session(_) => Message::Session(wire::release::SealError),
        Message::AttestationKey(_) => Message::AttestationKey(::attest::KeyError::Malformed),
        Message::Certificate(_) => Message::Certificate(Which::Device),
    }
    unproved: Unproved {
        Unproved::Signature => Unproved::Signature,
        Unproved::OtherCertificate => Unproved::OtherCertificate,
        Unproved::NoSuchCertificate => Unproved::NoSuchCertificate,
        Unproved::Removed => Unproved::Removed,
        Unproved::NotRegistered => Unproved::NotRegistered,
        Unproved::KeyNotShown => Unproved::KeyNotShown,
    }
    not_admitted: NotAdmitted {
        NotAdmitted::Serial { .. } => NotAdmitted::Serial { serial: SERIAL.into() },
        NotAdmitted::OutOfTime(_) => NotAdmitted::OutOfTime(Which::Device),
        NotAdmitted::Removed { .. } => NotAdmitted::Removed { name: name(), serial: SERIAL.into() },
        NotAdmitted::Full { .. } => NotAdmitted::Full { most: 7 },
        NotAdmitted::OthersSerial => NotAdmitted::OthersSerial,
        NotAdmitted::RegisteredOtherwise => NotAdmitted::RegisteredOtherwise,
        NotAdmitted::TooOften { .. } => NotAdmitted::TooOften { within_s: 3600 },
        NotAdmitted::OthersName { .. } => NotAdmitted::OthersName { name: name() },
    }
    barred: Barred {
        Barred::OthersPath => Barred::OthersPath,
        Barred::OthersReport => Barred::OthersReport,
        Barred::Pinned { .. } => Barred::Pinned { kind: 11, device: name() },
        Barred::TakenOff { .. } => Barred::TakenOff { kind: 11, device: name() },
        Barred::Escrow { .. } => Barred::Escrow { device: name() },
        Barred::LateTpm { .. } => Barred::LateTpm { device: name() },
    }
    stale: Stale { Stale::Session => Stale::Session, Stale::Report => Stale::Report }
    requests: BadRequest {
        BadRequest::Json { .. } => BadRequest::Json {
            form: Form::Rotation,
            why: serde_json::from_str::<u8>("x").expect_err("no number"),
        },
        BadRequest::Name(_) => BadRequest::Name(BadName),
        BadRequest::OnboardingCertificate(_) => {
            BadRequest::OnboardingCertificate(wire::Certificate::from_pem(b"x").expect_err("none"))
        },
        BadRequest::Serial => BadRequest::Serial,
        BadRequest::GiveBackToAny => BadRequest::GiveBackToAny,
        BadRequest::CertificateDigest => BadRequest::CertificateDigest,
        BadRequest::TokenHash => BadRequest::TokenHash,
        BadRequest::Labels(_) => BadRequest::Labels(vault::labels::BadLabels::Word),
        BadRequest::AfterVault => BadRequest::AfterVault,
        BadRequest::AfterReference => BadRequest::AfterReference,
        BadRequest::DeleteAfter { .. } => BadRequest::DeleteAfter { seconds: 40_000_000 },
        BadRequest::PcrNotAppraised { .. } => BadRequest::PcrNotAppraised { pcr: 5 },
        BadRequest::PcrValues => BadRequest::PcrValues,
        BadRequest::NoPcrs => BadRequest::NoPcrs,
        BadRequest::Courier(_) => BadRequest::Courier(wire::courier::CourierError::Damaged),
        BadRequest::CourierText => BadRequest::CourierText,
        BadRequest::CourierMixed => BadRequest::CourierMixed,
        BadRequest::CourierLife => BadRequest::CourierLife,
    }
    tokens: NoToken {
        NoToken::Absent => NoToken::Absent,
        NoToken::Unknown => NoToken::Unknown,
        NoToken::Ended => NoToken::Ended,
    }
    unknown: Unknown {
        Unknown::Device { .. } => Unknown::Device { which: "edge-1".into() },
        Unknown::Vault { .. } => Unknown::Vault { vault: name(), device: name() },
        Unknown::DefaultVault { .. } => Unknown::DefaultVault { vault: name(), device: name() },
        Unknown::Policy { .. } => Unknown::Policy { policy: name() },
        Unknown::Rule { .. } => Unknown::Rule { rule: name() },
        Unknown::Reference { .. } => Unknown::Reference { id: 7 },
        Unknown::DeletedDevice { .. } => Unknown::DeletedDevice { which: "edge-1".into() },
        Unknown::Bundle { .. } => Unknown::Bundle { device: name(), generation: Generation(2) },
        Unknown::BundleOfName { .. } => Unknown::BundleOfName { device: name() },
        Unknown::NoBundle { .. } => Unknown::NoBundle { device: name() },
        Unknown::Allowance { .. } => Unknown::Allowance { serial: SERIAL.into() },
        Unknown::Path => Unknown::Path,
    }
    in_the_way: InTheWay {
        InTheWay::Taken => InTheWay::Taken,
        InTheWay::OthersName { .. } => InTheWay::OthersName { name: name() },
        InTheWay::AllowedOtherwise => InTheWay::AllowedOtherwise,
        InTheWay::AllowedElsewhere => InTheWay::AllowedElsewhere,
        InTheWay::EncryptionOfVaults { .. } => InTheWay::EncryptionOfVaults { policy: name() },
        InTheWay::LeaseOfDefault { .. } => InTheWay::LeaseOfDefault { policy: name(), vault: name() },
        InTheWay::LimitOfConfig { .. } => InTheWay::LimitOfConfig { policy: name(), vault: name() },
        InTheWay::Unfit { .. } => {
            InTheWay::Unfit { policy: name(), device: name(), why: Unfit::Custody }
        },
        InTheWay::PolicyInUse { .. } => InTheWay::PolicyInUse { policy: name(), vault: name(), device: name() },
        InTheWay::PolicyOfDeleted { .. } => InTheWay::PolicyOfDeleted { policy: name(), vault: name(), device: name() },
        InTheWay::PolicyOfRule { .. } => InTheWay::PolicyOfRule { policy: name(), rule: name() },
        InTheWay::HasVaults { .. } => InTheWay::HasVaults { device: name(), vaults: vec![name()] },
        InTheWay::HasBundle { .. } => InTheWay::HasBundle { device: name(), received_at: 1 },
        InTheWay::Unmeasured { .. } => {
            InTheWay::Unmeasured { reference: 7, device: name(), why: ::attest::Unmeasured::NoBank }
        },
        InTheWay::BundleInForce { .. } => {
            InTheWay::BundleInForce { device: name(), generation: Generation(2) }
        },
        InTheWay::BundleOver { .. } => {
            InTheWay::BundleOver { device: name(), generation: Generation(1), in_force: Generation(2) }
        },
        InTheWay::NothingAlike { .. } => InTheWay::NothingAlike { device: name(), lacking: vec![0, 4] },
        InTheWay::SameReference { .. } => InTheWay::SameReference { id: 7 },
        InTheWay::CourierOver { .. } => InTheWay::CourierOver { device: name(), is_lost: true },
        InTheWay::CourierRefused { .. } => {
            InTheWay::CourierRefused { device: name(), is_lost: true, why: BadEvidence::NoAttestationKey }
        },
        InTheWay::VaultTwice { .. } => InTheWay::VaultTwice { vault: name(), device: name(), line: 7 },
        InTheWay::NotLetIn { .. } => not_let_in_as(NotLetIn::Lost),
        InTheWay::KeyShut { .. } => InTheWay::KeyShut { vault: name(), device: name() },
        InTheWay::NotConfirmed { .. } => InTheWay::NotConfirmed { name: name(), act: Irrevocable::Recreate },
    }
    irrevocable: Irrevocable {
        Irrevocable::Recreate => Irrevocable::Recreate,
        Irrevocable::Rehome { .. } => Irrevocable::Rehome { device: name() },
        Irrevocable::ForgetBundles => Irrevocable::ForgetBundles,
        Irrevocable::ForgetDevice => Irrevocable::ForgetDevice,
        Irrevocable::Repin => Irrevocable::Repin,
        Irrevocable::Identify => Irrevocable::Identify,
        Irrevocable::Force { .. } => Irrevocable::Force { node: NodeAt::Epoch(Epoch(1)) },
        Irrevocable::Settle => Irrevocable::Settle,
        Irrevocable::DeleteDevice { .. } => Irrevocable::DeleteDevice {
            vaults: vec![AtStake { name: name(), known: None }],
        },
    }
    applied: NotApplied { NotApplied::OtherEncryption => NotApplied::OtherEncryption, NotApplied::Full => NotApplied::Full }
    not_deleted: NotDeleted { NotDeleted::NoGrace => NotDeleted::NoGrace }
    rotated: NotRotated {
        NotRotated::NoKeyHere => NotRotated::NoKeyHere,
        NotRotated::Older(_) => NotRotated::Older(Older::Forked),
        NotRotated::Removing => NotRotated::Removing,
        NotRotated::Elsewhere { .. } => NotRotated::Elsewhere { current: Epoch(2), expected: Epoch(1) },
        NotRotated::NeverMade { .. } => NotRotated::NeverMade { node: Epoch(2), newest: Epoch(1) },
        NotRotated::NotTaken { .. } => NotRotated::NotTaken { node: NodeAt::Epoch(Epoch(1)), newest: Epoch(2) },
    }
    recreated: NotRecreated {
        NotRecreated::NotMissing => NotRecreated::NotMissing,
        NotRecreated::NeverMade => NotRecreated::NeverMade,
        NotRecreated::NoDisk => NotRecreated::NoDisk,
        NotRecreated::NotMounted => NotRecreated::NotMounted,
        NotRecreated::InEscrow => NotRecreated::InEscrow,
    }
    adopted: NotAdopted {
        NotAdopted::Unknown => NotAdopted::Unknown,
        NotAdopted::Several => NotAdopted::Several,
        NotAdopted::ForeignKey { .. } => NotAdopted::ForeignKey { name: name(), epoch: Epoch(1) },
        NotAdopted::Listed { .. } => NotAdopted::Listed { name: name() },
        NotAdopted::Gone { .. } => NotAdopted::Gone { name: name() },
        NotAdopted::Elsewhere { .. } => NotAdopted::Elsewhere { name: name(), other: DeviceId(uuid::Uuid::nil()) },
        NotAdopted::Closes { .. } => NotAdopted::Closes { name: name(), by: vault::life::Closes::Policy },
        NotAdopted::Full => NotAdopted::Full,
        NotAdopted::NameTaken { .. } => NotAdopted::NameTaken { name: name() },
    }
    not_let_in: NotLetIn {
        NotLetIn::Lost => NotLetIn::Lost,
        NotLetIn::Doubled => NotLetIn::Doubled,
        NotLetIn::Unproved => NotLetIn::Unproved,
        NotLetIn::HeldBack => NotLetIn::HeldBack,
        NotLetIn::Itself => NotLetIn::Itself,
        NotLetIn::Otherwise { .. } => NotLetIn::Otherwise { held_to: device() },
        NotLetIn::Registered { .. } => NotLetIn::Registered { name: name() },
        NotLetIn::Deleted { .. } => NotLetIn::Deleted { name: name() },
        NotLetIn::Closes { .. } => NotLetIn::Closes { vaults: vec![name()] },
    }
    rehomed: NotRehomed {
        NotRehomed::Older(_) => NotRehomed::Older(Older::Forked),
        NotRehomed::SameDevice => NotRehomed::SameDevice,
        NotRehomed::MayBeThere => NotRehomed::MayBeThere,
        NotRehomed::Removing => NotRehomed::Removing,
        NotRehomed::KeyInTpm => NotRehomed::KeyInTpm,
        NotRehomed::MadeThere => NotRehomed::MadeThere,
        NotRehomed::NameTaken => NotRehomed::NameTaken,
        NotRehomed::Full => NotRehomed::Full,
    }
    faults: Fault {
        Fault::NoDevice => Fault::NoDevice,
        Fault::VaultWithoutDevice => Fault::VaultWithoutDevice,
        Fault::Certificate => Fault::Certificate,
        Fault::Signing => Fault::Signing,
        Fault::Configuration => Fault::Configuration,
        Fault::Source => Fault::Source,
    }
    stores: StoreError {
        StoreError::Taken => StoreError::Taken,
        StoreError::Again => StoreError::Again,
        StoreError::Busy(_) => StoreError::Busy("x".into()),
        StoreError::InUse => StoreError::InUse,
        StoreError::OtherVersion => StoreError::OtherVersion,
        StoreError::OtherLog => StoreError::OtherLog,
        StoreError::Newer { .. } => StoreError::Newer { there: 9, known: 7 },
        StoreError::Damaged(_) => StoreError::Damaged("x".into()),
        StoreError::Exchanged => StoreError::Exchanged,
        StoreError::LogRemoved => StoreError::LogRemoved,
        StoreError::Overwritten => StoreError::Overwritten,
        StoreError::Disk(_) => StoreError::Disk("x".into()),
        StoreError::Failed(_) => StoreError::Failed("x".into()),
    }
    starts: StartError {
        StartError::File { .. } => StartError::File { path: "/d/kek".into(), source: io::Error::other("x") },
        StartError::Taken { .. } => StartError::Taken { path: "/d".into() },
        StartError::Shared { .. } => StartError::Shared { path: "/d".into() },
        StartError::DatabaseLost { .. } => StartError::DatabaseLost { folder: "/d".into(), left: "kek".into() },
        StartError::OtherRoot { .. } => StartError::OtherRoot { path: "/d/root".into() },
        StartError::Store { .. } => StartError::Store { path: "/d/evc.db".into(), source: StoreError::InUse },
        StartError::Clock => StartError::Clock,
        StartError::Behind { .. } => StartError::Behind { now: "1970".into(), seen: "2026".into() },
        StartError::NotStarted => StartError::NotStarted,
        StartError::Custody(_) => StartError::Custody(CustodyError::Unreadable),
        StartError::Database(_) => StartError::Database(StoreError::OtherVersion),
    }
    custody: CustodyError {
        CustodyError::KekFile { .. } => CustodyError::KekFile { file: "/d/kek".into(), source: KekFault::Gone },
        CustodyError::Unsealed(_) => CustodyError::Unsealed(SealedRow::Key("ca".into())),
        CustodyError::Clock { .. } => {
            CustodyError::Clock { now: "1970".into(), begins: "2024".into(), ends: "2054".into() }
        },
        CustodyError::Absent(_) => CustodyError::Absent(SealedRow::Period("2026-11".into())),
        CustodyError::Making(_) => CustodyError::Making(Unmade::Randomness),
        CustodyError::Unreadable => CustodyError::Unreadable,
        CustodyError::Session(_) => CustodyError::Session(wire::release::SealError),
        CustodyError::NotSealed(_) => CustodyError::NotSealed(wire::escrow::NotSealed),
        CustodyError::Certificate(_) => CustodyError::Certificate(rcgen::Error::CouldNotParseCertificate),
        CustodyError::Tls(_) => CustodyError::Tls(rustls::Error::DecryptError),
        CustodyError::Store(_) => CustodyError::Store(StoreError::Failed("x".into())),
    }
    keks: KekFault {
        KekFault::Gone => KekFault::Gone,
        KekFault::Other => KekFault::Other,
        KekFault::Unsaved => KekFault::Unsaved,
        KekFault::OpenToOthers { .. } => KekFault::OpenToOthers { mode: 0o644 },
        KekFault::Length { .. } => KekFault::Length { bytes: 7 },
        KekFault::Making(_) => KekFault::Making(Unmade::Sealing),
        KekFault::System(_) => KekFault::System(io::Error::from(ErrorKind::PermissionDenied)),
    }
    unmade: Unmade { Unmade::Randomness => Unmade::Randomness, Unmade::Sealing => Unmade::Sealing }
    rows: SealedRow {
        SealedRow::Key(_) => SealedRow::Key("ca".into()),
        SealedRow::Period(_) => SealedRow::Period("2026-11".into()),
        SealedRow::Epoch(..) => SealedRow::Epoch(Project::default(), device(), vault(), Epoch(1)),
        SealedRow::EpochBeforeProjects(..) => SealedRow::EpochBeforeProjects(device(), vault(), Epoch(1)),
        SealedRow::Bundle(..) => {
            let bundle = vault::escrow::Bundle::id_of(Generation(1), b"x");
            SealedRow::Bundle(Project::default(), device(), bundle)
        },
    }
    listens: ListenError {
        ListenError::Bind { .. } => bind(ErrorKind::AddrInUse),
        ListenError::Tls(_) => ListenError::Tls(CustodyError::Tls(rustls::Error::DecryptError)),
    }
}

const SERIAL: &str = "SN-1";

fn name() -> Name {
    "payments".parse().expect("a name")
}

fn device() -> DeviceId {
    DeviceId(Uuid::from_u128(7))
}

fn not_let_in_as(cause: NotLetIn) -> InTheWay {
    InTheWay::NotLetIn { device: name(), wished: device(), cause }
}

fn vault() -> VaultId {
    VaultId(Uuid::from_u128(8))
}

fn bind(why: ErrorKind) -> ListenError {
    ListenError::Bind { address: ([192, 0, 2, 7], 8443).into(), source: why.into() }
}

fn all() -> Vec<Refusal> {
    let life = |cause: NotDone| Refusal::from(LifeRefusal { vault: name(), device: name(), cause });
    let file =
        BadFile { line: 2, column: 7, problem: "`x` is no custody".into(), advice: "write `tpm`".into() };
    let mut all: Vec<Refusal> = bodies().into_iter().map(Into::into).collect();
    all.extend(messages().into_iter().map(Refusal::from));
    all.extend(unproved().into_iter().map(Refusal::from));
    all.extend(not_admitted().into_iter().map(Refusal::from));
    all.extend(barred().into_iter().map(Refusal::from));
    all.extend(stale().into_iter().map(Refusal::from));
    all.extend(requests().into_iter().map(Refusal::from));
    all.push(file.into());
    all.push(Refusal::from(Unknown::Policy { policy: name() }).of_document((2, 7)));
    all.extend(tokens().into_iter().map(Refusal::from));
    all.extend(unknown().into_iter().map(Refusal::from));
    all.extend(in_the_way().into_iter().map(Refusal::from));
    let once = |act| InTheWay::NotConfirmed { name: name(), act };
    all.extend(irrevocable().into_iter().map(|act| Refusal::from(once(act))));
    all.extend(applied().into_iter().map(|cause| life(cause.into())));
    all.extend(not_deleted().into_iter().map(|cause| life(cause.into())));
    all.extend(rotated().into_iter().map(|cause| life(cause.into())));
    all.extend(recreated().into_iter().map(|cause| life(cause.into())));
    all.extend(adopted().into_iter().map(|cause| life(cause.into())));
    all.extend(not_let_in().into_iter().map(|cause| Refusal::from(not_let_in_as(cause))));
    all.extend(rehomed().into_iter().map(|cause| life(cause.into())));
    all.push(Refusal::Busy);
    all.push(Refusal::Custody(CustodyError::Making(Unmade::Randomness)));
    all.extend(stores().into_iter().map(Refusal::Store));
    all.extend(faults().into_iter().map(Refusal::from));
    all
}

/// IF-2: whoever reads one learns what is and what to do, and nothing of how it is programmed.
#[test]
fn every_refusal_says_what_is_and_what_to_do() {
    let evc = crate::cli::command();
    for refusal in all() {
        let Words { problem, advice } = (&refusal).into();
        for words in [&problem, &advice] {
            assert_eq!(wrong_words(&evc, words), [""; 0]);
            assert!(!words.contains("os error"), "{words}");
        }
        assert_ne!(problem, advice);
        assert!(advice.len() > 8, "{problem}: {advice}");
    }
}

/// The same of what keeps the controller from its start, or from listening: what, where it lies, and what to do, in one line.
#[test]
fn every_failed_start_says_where_and_what_to_do() {
    let evc = crate::cli::command();
    let custody = custody().into_iter().chain(
        rows().into_iter().flat_map(|row| [CustodyError::Absent(row.clone()), CustodyError::Unsealed(row)]),
    );
    let custody = custody.chain(unmade().into_iter().map(CustodyError::Making));
    let custody = custody.chain(
        keks().into_iter().map(|source| CustodyError::KekFile { file: PathBuf::from("/d/kek"), source }),
    );
    let store = |source| StartError::Store { path: "/d/evc.db".into(), source };
    let starts = starts().into_iter().chain(custody.map(StartError::Custody));
    let starts =
        starts.chain(stores().into_iter().map(store)).chain(stores().into_iter().map(StartError::Database));
    let reasons = [ErrorKind::PermissionDenied, ErrorKind::AddrNotAvailable, ErrorKind::InvalidInput];
    let listens = listens().into_iter().chain(reasons.map(bind));
    let told = starts.map(|error| chain(&error)).chain(listens.map(|error| chain(&error)));
    let wrong: Vec<String> = told.flat_map(|told| wrong_line(&evc, &PLACES, &told)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where what keeps it from its start can be found.
const PLACES: [&str; 10] = [
    "/d",
    "evc.db",
    "clock",
    "192.0.2.7:8443",
    "--listen",
    "--name",
    "row",
    "getrandom",
    "session",
    "this evc",
];
