//! What operators are told, but of a vault's life and of what is in the way of an act.

use vault::ids::Name;

use super::Words;
use crate::fleet::fared::listed;
use crate::service::{APPRAISED_PCRS, BadRequest, Form, NoToken, Unknown};

pub(super) fn request(request: &BadRequest) -> Words {
    match request {
        BadRequest::Json { form, why } => Words::new(why.to_string(), of_form(*form)),
        BadRequest::Name(why) => Words::new("this is not a name", why.to_string()),
        BadRequest::OnboardingCertificate(why) => {
            Words::new(why.to_string(), "give the onboarding certificate's PEM file, with a P-256 key")
        }
        BadRequest::Serial => Words::new(
            "a serial has 1 to 256 printable characters",
            "give the device's serial, or `*` for any",
        ),
        BadRequest::GiveBackToAny => Words::new(
            "what is kept of a deleted device is given back to one serial, not to any",
            "give the device's own serial",
        ),
        BadRequest::CertificateDigest => Words::new(
            "the digest is not a certificate's SHA-256",
            "give its 64 hexadecimal digits, as `evc onboard list` shows them",
        ),
        BadRequest::TokenHash => Words::new("the hash is not a token's", of_form(Form::NewToken)),
        BadRequest::Labels(why) => Words::new(
            "what is given is no list of labels",
            format!("{why}; give them like `site=berlin,tier=gold`"),
        ),
        BadRequest::AfterVault => Words::new("`after` is not DEVICE/VAULT", "give two UUIDs"),
        BadRequest::AfterReference => {
            Words::new("`after` is not a number", "give the last one's `id`, or nothing")
        }
        BadRequest::DeleteAfter { seconds } => Words::new(
            format!("`delete_after` of {seconds} seconds is out of bounds"),
            "give at most 366 days, in seconds",
        ),
        BadRequest::PcrNotAppraised { pcr } => Words::new(
            format!("PCR {pcr} is not among those that are appraised"),
            format!("leave it out; appraised are {}", listed(APPRAISED_PCRS.0)),
        ),
        BadRequest::PcrValues => Words::new(
            "the PCR values are not all of one bank",
            "give each in hexadecimal: 64 digits of the SHA-256 bank, or 96 of the SHA-384 bank, as the other values of the device are",
        ),
        BadRequest::NoPcrs => {
            Words::new("no PCR value is given", "say `--pcr 9=HEX`, or `--from` with a file of such values")
        }
        BadRequest::Courier(why) => Words::new(why.to_string(), FROM_NODE),
        BadRequest::CourierText => {
            Words::new("the courier's file does not come in base64", of_form(Form::Importing))
        }
        BadRequest::CourierMixed => Words::new(
            "what is in the courier's file is not of one device and one session",
            "take no file together from others; let the node write it anew, and take that",
        ),
        BadRequest::CourierLife => Words::new(
            "the challenge of a courier can't be good for so long",
            "give `--good-for` from 1m to 90d; without it, it is 7 days",
        ),
    }
}

const FROM_NODE: &str = "give the file that the node wrote with `eve export-evidence`, whole and unchanged";

fn of_form(form: Form) -> &'static str {
    match form {
        Form::Allow => "send {cert_pem, serial, name?}",
        Form::NewToken => "send {sha256}: 64 hexadecimal digits",
        Form::Labelling => "send {set?, take?}: labels with their values, and keys",
        Form::Rotation => "send {force?, expect_epoch?, confirm?}",
        Form::Rehoming => "send {to, confirm}: the name or UUID of the other device, and the vault again",
        Form::NewIdentity => {
            "send {id, confirm}: the identity that it is to have, a UUID, and the device again"
        }
        Form::NewReference => {
            "send {pcrs, like?}: PCR numbers with hexadecimal values, and the number of another reference value"
        }
        Form::Exporting => "send {good_for_s?}: seconds",
        Form::Importing => "send {file}: a file of `eve export-evidence`, in base64",
        Form::Adoption => {
            "send {policy, remove?, confirm?}: its name, whether it is only to be removed, and the vault again where that is at once"
        }
    }
}

pub(super) fn no_token(token: NoToken) -> Words {
    let problem = match token {
        NoToken::Absent => "the request has no operator's token",
        NoToken::Unknown => "this token is not known",
        NoToken::Ended => "this token was ended by another one",
    };
    Words::new(
        problem,
        "give the file with the operator's token: --token-file, or EVC_TOKEN_FILE; `evc token new`, on the controller's machine, makes one",
    )
}

pub(super) fn unknown(unknown: &Unknown) -> Words {
    let (what, advice) = match unknown {
        Unknown::DefaultVault { vault, device } => return of_default(vault, device),
        Unknown::Device { which } => {
            (format!("device `{which}`"), "`evc get devices` lists those that have registered")
        }
        Unknown::Vault { vault, device } => {
            (format!("vault `{vault}` of device `{device}`"), "see `evc get vaults`")
        }
        Unknown::Policy { policy } => (
            format!("policy `{policy}`"),
            "see `evc get policies`; a `kind: VaultPolicy` document of that name, applied, makes it",
        ),
        Unknown::Rule { rule } => (format!("rule `{rule}`"), "see `evc get rules`"),
        Unknown::Reference { id } => (format!("reference {id}"), "see `evc reference list`"),
        Unknown::DeletedDevice { which } => (
            format!("one deleted device `{which}` of which something is kept"),
            "see `evc device deleted`; where two had the name, give the UUID",
        ),
        Unknown::Bundle { device, generation } => (
            format!("a bundle of device `{device}` in escrow of generation {generation}"),
            "see `evc escrow list`",
        ),
        Unknown::BundleOfName { device } => (
            format!("one bundle of device `{device}` in escrow whose SHA-256 begins so"),
            "give 8 or more of its letters, as `evc escrow list` with the device shows them",
        ),
        Unknown::NoBundle { device } => (
            format!("a bundle of device `{device}` in escrow"),
            "a node with a TPM sends one by itself when it polls: see `evc describe device`",
        ),
        Unknown::Allowance { serial } => {
            (format!("an allowance for serial `{serial}` with this certificate"), "see `evc onboard list`")
        }
        Unknown::Path => ("this path".into(), "the command line knows every path: see `evc --help`"),
    };
    Words::new(format!("{what} is not known"), advice)
}

fn of_default(vault: &Name, device: &Name) -> Words {
    Words::new(
        format!(
            "vault `{vault}` of device `{device}` is under its default policy: its node alone has its key and makes it, and takes no order for it from here"
        ),
        format!(
            "if it is missing there, `eve vault recreate {vault:#}` on the node makes it anew, empty; or give it a policy with a `kind: Vault` document, and say this again"
        ),
    )
}
