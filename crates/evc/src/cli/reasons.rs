//! Reasons that stand in sentences of others, each by itself: what is wrong with evidence, what a policy covers, what an update will do, why
//! something is kept or left. All in plain words, by commands that are there.

use ::attest::{
    BadDeviceSignature, CheckError, ClockFell, Difference, Discontinuity, Finding, KeyError, NotAppraised,
    OtherFirmware, QuoteError, Unchecked, Unmeasured,
};
use form::{every, wrong_words};
use vault::condition::State;
use vault::ids::{BadName, Epoch, Generation, Incarnation};
use vault::ledger::Older;
use vault::life::{NotBack, NotDone, NotForgotten, NotOver, NotRotated, Unfit, UnfitDefault};
use vault::policy::BadFile;
use vault::rotation::{BadEpochs, Epochs};
use vault::{coverage, foresee};

use crate::store::{BadEvidence, BadQuote, BadSignature};
use crate::words::evidence::{coarse, in_full};

every! {
    not_appraised: NotAppraised {
        NotAppraised::Key(_) => NotAppraised::Key(KeyError::Malformed),
        NotAppraised::Quote(_) => NotAppraised::Quote(QuoteError::Magic),
        NotAppraised::Check(_) => NotAppraised::Check(CheckError::Signature),
        NotAppraised::Before(_) => NotAppraised::Before(QuoteError::Type),
    }
    unchecked: Unchecked {
        Unchecked::First => Unchecked::First,
        Unchecked::NoneApproved => Unchecked::NoneApproved,
        Unchecked::NotMeasured(_) => Unchecked::NotMeasured(Unmeasured::NoBank),
    }
    findings: Finding {
        Finding::Discontinuity(_) => Finding::Discontinuity(Discontinuity::Resets { was: 7, is: 5 }),
        Finding::ClockFell(_) => Finding::ClockFell(ClockFell { was: 7, is: 5 }),
        Finding::Firmware(_) => Finding::Firmware(OtherFirmware { was: 7, is: 8 }),
        Finding::Pcrs { .. } => Finding::Pcrs { pcrs: "4".into(), differences: vec![differs()] },
    }
    checks: CheckError {
        CheckError::Signature => CheckError::Signature,
        CheckError::QualifyingData => CheckError::QualifyingData,
        CheckError::Selection => CheckError::Selection,
        CheckError::Composite => CheckError::Composite,
    }
    jumps: Discontinuity {
        Discontinuity::Resets { .. } => Discontinuity::Resets { was: 7, is: 5 },
        Discontinuity::Restarts { .. } => Discontinuity::Restarts { was: 7, is: 5 },
        Discontinuity::Clock { .. } => Discontinuity::Clock { was: 7, is: 5 },
    }
    clocks: ClockFell { ClockFell { .. } => ClockFell { was: 7, is: 5 } }
    firmware: OtherFirmware { OtherFirmware { .. } => OtherFirmware { was: 7, is: 8 } }
    keys: KeyError {
        KeyError::Malformed => KeyError::Malformed,
        KeyError::Algorithm => KeyError::Algorithm,
        KeyError::Attributes { .. } => KeyError::Attributes { attributes: 0x50072 },
    }
    quotes: QuoteError {
        QuoteError::Magic => QuoteError::Magic,
        QuoteError::Type => QuoteError::Type,
        QuoteError::Malformed => QuoteError::Malformed,
        QuoteError::TrailingBytes { .. } => QuoteError::TrailingBytes { count: 7 },
    }
    unmeasured: Unmeasured {
        Unmeasured::Untouched(_) => Unmeasured::Untouched(vec![0, 4]),
        Unmeasured::NoBank => Unmeasured::NoBank,
    }
    signatures: BadDeviceSignature { BadDeviceSignature => BadDeviceSignature }
    evidence: BadEvidence {
        BadEvidence::Unbound => BadEvidence::Unbound,
        BadEvidence::Nonce => BadEvidence::Nonce,
        BadEvidence::Unquoted => BadEvidence::Unquoted,
        BadEvidence::NoAttestationKey => BadEvidence::NoAttestationKey,
        BadEvidence::Signature(_) => BadEvidence::Signature(BadSignature::Length),
        BadEvidence::Quote(_) => BadEvidence::Quote(BadQuote::PcrValue),
        BadEvidence::WentBack(_) => BadEvidence::WentBack(findings().remove(0)),
    }
    of_devices: BadSignature {
        BadSignature::Length => BadSignature::Length,
        BadSignature::Certificate => BadSignature::Certificate,
        BadSignature::Unverified(_) => BadSignature::Unverified(BadDeviceSignature),
    }
    of_quotes: BadQuote {
        BadQuote::PcrValue => BadQuote::PcrValue,
        BadQuote::Appraised(_) => BadQuote::Appraised(not_appraised().remove(0)),
    }
    acts: coverage::Act {
        coverage::Act::Mark => coverage::Act::Mark,
        coverage::Act::TwoRotationsAway => coverage::Act::TwoRotationsAway,
        coverage::Act::Rotation => coverage::Act::Rotation,
    }
    closed: coverage::Ground {
        coverage::Ground::WrappedKeys => coverage::Ground::WrappedKeys,
        coverage::Ground::DeviceKeyInTpm => coverage::Ground::DeviceKeyInTpm,
        coverage::Ground::ShareInTpm => coverage::Ground::ShareInTpm,
        coverage::Ground::PcrsRequired => coverage::Ground::PcrsRequired,
        coverage::Ground::PcrsSealed => coverage::Ground::PcrsSealed,
    }
    gaps: coverage::Gap {
        coverage::Gap::IdentityOnDrive => coverage::Gap::IdentityOnDrive,
        coverage::Gap::NoController => coverage::Gap::NoController,
        coverage::Gap::AnyBoot => coverage::Gap::AnyBoot,
        coverage::Gap::NeverRotated => coverage::Gap::NeverRotated,
    }
    opens: foresee::Ground {
        foresee::Ground::Unbound => foresee::Ground::Unbound,
        foresee::Ground::Unmoved => foresee::Ground::Unmoved,
        foresee::Ground::KeyGiven => foresee::Ground::KeyGiven,
        foresee::Ground::Escrow(_) => foresee::Ground::Escrow(Generation(2)),
    }
    bolts: foresee::Bolt {
        foresee::Bolt::Lost => foresee::Bolt::Lost,
        foresee::Bolt::Doubled => foresee::Bolt::Doubled,
        foresee::Bolt::Older => foresee::Bolt::Older,
        foresee::Bolt::OtherDevice => foresee::Bolt::OtherDevice,
        foresee::Bolt::Locked => foresee::Bolt::Locked,
        foresee::Bolt::Removing => foresee::Bolt::Removing,
        foresee::Bolt::NoTpm => foresee::Bolt::NoTpm,
        foresee::Bolt::NotApproved => foresee::Bolt::NotApproved,
        foresee::Bolt::Rejected => foresee::Bolt::Rejected,
        foresee::Bolt::NoBundle => foresee::Bolt::NoBundle,
        foresee::Bolt::BundleShut(_) => foresee::Bolt::BundleShut(Generation(2)),
        foresee::Bolt::NotInBundle(_) => foresee::Bolt::NotInBundle(Generation(2)),
        foresee::Bolt::OtherBundle { .. } => {
            foresee::Bolt::OtherBundle { bundle: Generation(1), in_force: Generation(2) }
        },
    }
    doubts: foresee::Doubt {
        foresee::Doubt::Tpm => foresee::Doubt::Tpm,
        foresee::Doubt::Silent => foresee::Doubt::Silent,
        foresee::Doubt::Generation(_) => foresee::Doubt::Generation(Generation(2)),
        foresee::Doubt::Contents(_) => foresee::Doubt::Contents(Generation(2)),
        foresee::Doubt::DrillFailed => foresee::Doubt::DrillFailed,
        foresee::Doubt::Behind => foresee::Doubt::Behind,
        foresee::Doubt::NotWhole(_) => foresee::Doubt::NotWhole(State::Missing),
    }
    not_back: NotBack {
        NotBack::Taken => NotBack::Taken,
        NotBack::Full => NotBack::Full,
        NotBack::Wanted => NotBack::Wanted,
        NotBack::Keys => NotBack::Keys,
        NotBack::Unopened(_) => NotBack::Unopened("the key of epoch 2".into()),
        NotBack::Row(_) => NotBack::Row("a name that is none".into()),
        NotBack::NoPolicy(_) => NotBack::NoPolicy("shop".parse().expect("a name")),
        NotBack::Policy(_) => NotBack::Policy("a custody that is none".into()),
        NotBack::Unfit(_) => NotBack::Unfit(UnfitDefault::Lease),
    }
    unfit: Unfit { Unfit::Custody => Unfit::Custody, Unfit::Pcrs => Unfit::Pcrs }
    unfit_defaults: UnfitDefault {
        UnfitDefault::Lease => UnfitDefault::Lease,
        UnfitDefault::Limit => UnfitDefault::Limit,
    }
    not_over: NotOver {
        NotOver::Wanted => NotOver::Wanted,
        NotOver::Retained => NotOver::Retained,
        NotOver::Held => NotOver::Held,
        NotOver::Runs { .. } => NotOver::Runs { until: 7 },
    }
    not_forgotten: NotForgotten {
        NotForgotten::NotTold => NotForgotten::NotTold,
        NotForgotten::Held => NotForgotten::Held,
    }
    older: Older {
        Older::Behind { .. } => Older::Behind { reported: 7, own: 5 },
        Older::Ordered { .. } => Older::Ordered { place: 7, own: 5 },
        Older::Forked => Older::Forked,
        Older::LaterLife(_) => Older::LaterLife(Incarnation([7; 16])),
        Older::SomeLaterLife => Older::SomeLaterLife,
        Older::PutBack => Older::PutBack,
    }
    not_done: NotDone {
        NotDone::Applied(_) => NotDone::Applied(vault::life::NotApplied::Full),
        NotDone::Deleted(_) => NotDone::Deleted(vault::life::NotDeleted::NoGrace),
        NotDone::Rotated(_) => NotDone::Rotated(NotRotated::Removing),
        NotDone::Recreated(_) => NotDone::Recreated(vault::life::NotRecreated::NoDisk),
        NotDone::Adopted(_) => NotDone::Adopted(vault::life::NotAdopted::Full),
        NotDone::Rehomed(_) => NotDone::Rehomed(vault::life::NotRehomed::Full),
    }
    files: BadFile {
        BadFile { .. } => BadFile {
            line: 2, column: 7, problem: "`x` is no custody".into(), advice: "write `tpm`".into(),
        },
    }
    names: BadName { BadName => BadName }
    epochs: BadEpochs { BadEpochs { .. } => Epochs::stored(Epoch(1), Epoch(7)).expect_err("none") }
}

fn differs() -> Difference {
    Difference { pcr: 4, was: Some([7; 32].into()), is: Some([8; 32].into()) }
}

fn words<T: ToString>(all: Vec<T>) -> Vec<String> {
    all.into_iter().map(|it| it.to_string()).collect()
}

/// Issue 8, errors: whatever stands in a sentence is in the words of the sentence.
#[test]
fn every_reason_is_in_plain_words() {
    let evc = crate::cli::command();
    let mut told = Vec::new();
    macro_rules! all {
        ($($of:ident),+) => { $(told.extend(words($of()));)+ };
    }
    all!(
        not_appraised,
        unchecked,
        findings,
        checks,
        jumps,
        clocks,
        firmware,
        keys,
        quotes,
        unmeasured,
        signatures
    );
    all!(acts, closed, gaps, opens, bolts, doubts, not_back, unfit, unfit_defaults, not_over, not_forgotten);
    all!(older, not_done, files, names, epochs);
    let of_devices = of_devices().into_iter().map(BadEvidence::Signature);
    let of_quotes = of_quotes().into_iter().map(BadEvidence::Quote);
    for bad in evidence().into_iter().chain(of_devices).chain(of_quotes) {
        told.extend([in_full(&bad), coarse(&bad).to_owned()]);
    }
    let wrong: Vec<String> = told.iter().flat_map(|told| wrong_words(&evc, told)).collect();
    assert_eq!(wrong, [""; 0]);
}

/// Issue 8, errors: the same of sentences that are made where they are told, of no type; one that is told by itself says what to do.
#[test]
fn every_sentence_of_an_error_is_in_form() {
    let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(form::wrong_sentences(&src, &crate::cli::command(), "cli"), [""; 0]);
}
