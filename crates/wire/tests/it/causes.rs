//! Why a key or a bundle is withheld: by a code that keeps its meaning, and in words for who does not know it (decision 87).

use aws_lc_rs::digest::{SHA256, digest};
use vault::cause::Cause;
use vault::section::Release;
use wire::DecodeError;
use wire::config::ConfigResponse;

use crate::beside::golden;
use crate::common::{bytes_field, number_field, vector_json};
use crate::extension::{read, with_vault};

/// Codes are never given another meaning.
const CODES: [(u64, Cause); 13] = [
    (1, Cause::EvidenceWanted),
    (2, Cause::EvidenceOutOfDate),
    (3, Cause::Pcrs),
    (4, Cause::Evidence),
    (5, Cause::NoTpm),
    (6, Cause::LockedByOperator),
    (7, Cause::BeingRemoved),
    (8, Cause::Retained),
    (9, Cause::DeviceLost),
    (10, Cause::DeviceDoubled),
    (11, Cause::KeyUnopened),
    (12, Cause::NoBundle),
    (13, Cause::BundleUnopened),
];

fn other(code: i32, words: &str) -> Cause {
    Cause::Other { code, words: words.to_owned() }
}

/// What a section says that has one vault, withheld by this code and these words.
fn withheld(code: Option<u64>, words: Option<&str>) -> Result<Cause, DecodeError> {
    let words = words.map(|words| bytes_field(1, words.as_bytes())).unwrap_or_default();
    let code = code.map(|code| number_field(2, code)).unwrap_or_default();
    let section = read(&with_vault(&[(10, Vec::new()), (12, bytes_field(12, &[words, code].concat()))]))?;
    match &section.vaults[0].release {
        Release::Withheld { reason } => Ok(reason.clone()),
        release => panic!("{release:?}"),
    }
}

/// IF-1: each cause has its code for ever, whatever words stand beside it; they are for who does not know the code.
#[test]
fn if1_each_cause_has_its_code() {
    assert_eq!(CODES.map(|(_, cause)| cause), Cause::KNOWN);
    for (code, cause) in CODES {
        assert_eq!(withheld(Some(code), Some("in other words")), Ok(cause.clone()), "{code}");
        assert_eq!(withheld(Some(code), None), Ok(cause), "{code}");
    }
}

/// IF-1: the words of a controller that has no codes, or whose code came later, are kept to be shown, and are no cause that this program decides by,
/// though they be the very words of one. The section stands: its other vaults are served.
#[test]
fn if1_what_is_said_in_words_alone_is_no_cause_of_ours() {
    for cause in Cause::KNOWN {
        let words = cause.to_string();
        assert_eq!(withheld(None, Some(&words)), Ok(other(0, &words)));
        assert_eq!(withheld(Some(77), Some(&words)), Ok(other(77, &words)));
    }
    assert_eq!(withheld(Some(u64::MAX), Some("minus one")), Ok(other(-1, "minus one")));
    assert_eq!(withheld(None, None), Ok(other(0, "")));
}

/// The same of what stands beside a configuration, by bytes of another encoder.
#[test]
fn if1_golden_refusals_of_a_bundle_are_read_and_written() {
    let words = Cause::NoBundle.to_string();
    for (name, cause) in [
        ("configresponse-refused", Cause::NoBundle),
        ("configresponse-refused-newer", other(77, &words)),
        ("configresponse-refused-older", other(0, &words)),
    ] {
        let (bytes, about) = (golden(name), vector_json(&format!("extension/{name}.json")));
        assert_eq!(about["sha256"], hex::encode(digest(&SHA256, &bytes)), "{name}");
        let read = ConfigResponse::decode(&bytes).unwrap();
        assert_eq!(read.control.as_ref().unwrap().no_rescue, Some(cause), "{name}");
        assert_eq!(hex::encode(read.encode()), hex::encode(bytes), "{name}");
    }
    let silent = ConfigResponse::decode(&golden("configresponse-orders")).unwrap();
    assert_eq!(silent.control.unwrap().no_rescue, None);
}
