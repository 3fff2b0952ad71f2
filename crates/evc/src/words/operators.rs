//! What operators are told, but of a vault's life.

use vault::ids::Name;
use vault::life::Unfit;

use super::{OLDER, Words};
use crate::fleet::fared::{listed, numbers};
use crate::service::{APPRAISED_PCRS, BadRequest, Form, InTheWay, NoToken, Unknown};

/// What is said to whoever takes a device away that has vaults.
const KEEP: &str = "move them to the device that it became (`evc rehome vault`), or delete them first and wait for their end, but for `config` and `image`; `--force` keeps their keys for a grace (`evc device deleted`), and then throws them away: what is under those opens nowhere";

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
        BadRequest::Labels(why) => {
            Words::new("these are no labels", format!("{why}; give them like `site=berlin,tier=gold`"))
        }
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
        Form::Rotation => "send {force?, expect_epoch?}",
        Form::Rehoming => "send {to}: the name or UUID of the other device",
        Form::NewReference => {
            "send {pcrs, like?}: PCR numbers with hexadecimal values, and the number of another reference value"
        }
        Form::Exporting => "send {good_for_s?}: seconds",
        Form::Importing => "send {file}: a file of `eve export-evidence`, in base64",
        Form::Adoption => "send {policy, remove?}: its name, and whether it is only to be removed",
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
            "if it is missing there, `eve vault recreate {vault}` on the node makes it anew, empty; or give it a policy with a `kind: Vault` document, and say this again"
        ),
    )
}

pub(super) fn in_the_way(cause: &InTheWay) -> Words {
    match cause {
        InTheWay::Taken => Words::new(
            "a device, vault or allowance of that name is there already",
            "see `evc get devices`, `evc get vaults` and `evc onboard list`; then give another name, or the same again",
        ),
        InTheWay::OthersName { name } => Words::new(
            format!("the name `{name}` is another device's, or kept for one"),
            "give another name; see `evc get devices` and `evc onboard list`",
        ),
        InTheWay::AllowedOtherwise => Words::new(
            "this certificate and serial were allowed before, with another name or other labels",
            "see `evc onboard list -o wide`; withdraw it with `evc onboard remove` first",
        ),
        InTheWay::AllowedElsewhere => Words::new(
            "this certificate and serial are allowed already, elsewhere at this controller",
            "allow another serial, or make another onboarding certificate",
        ),
        InTheWay::EncryptionOfVaults { policy } => Words::new(
            format!("policy `{policy}` has vaults, and the encryption of a vault can't be changed"),
            "write a new policy and make new vaults under it",
        ),
        InTheWay::LeaseOfDefault { policy, vault } => Words::new(
            format!("policy `{policy}` has a lease, and `{vault}` is a default vault, which can't have one"),
            "write another policy for it, without `lease`",
        ),
        InTheWay::LimitOfConfig { policy, vault } => Words::new(
            format!(
                "policy `{policy}` has a storage limit, and `{vault}` can't have one: its node keeps there what it was told"
            ),
            "write another policy for it, without `storage_limit`",
        ),
        InTheWay::Unfit { policy, device, why } => unfit(policy, device, *why),
        InTheWay::PolicyInUse { policy, vault, device } => Words::new(
            format!("vault `{vault}` of device `{device}` names policy `{policy}`"),
            "delete its vaults or give them another policy first",
        ),
        InTheWay::PolicyOfDeleted { policy, vault, device } => Words::new(
            format!(
                "vault `{vault}` of the deleted device `{device}` names policy `{policy}`, and is kept for its grace"
            ),
            format!(
                "wait until it is over (`evc device deleted`), or delete what is kept for good: `evc device forget {device} --confirm {device}`"
            ),
        ),
        InTheWay::PolicyOfRule { policy, rule } => Words::new(
            format!("rule `{rule}` names policy `{policy}`"),
            "delete the rule (`evc delete rule`), or apply it with another policy first",
        ),
        InTheWay::HasVaults { device, vaults } => has_vaults(device, vaults),
        InTheWay::HasBundle { device, received_at } => Words::new(
            format!(
                "device `{device}` has a bundle in escrow, of {}: after an update of its system its own vaults open by that alone",
                crate::clock::text(*received_at)
            ),
            format!(
                "keep the device; or, where it is never to come back, take `evc delete device {device} --force --confirm {device}`"
            ),
        ),
        InTheWay::Unmeasured { reference, device, why } => unmeasured(*reference, device, why),
        InTheWay::BundleInForce { device, generation } => Words::new(
            format!(
                "the bundle of generation {generation} is the newest of device `{device}`: without it a vault that is sealed to a measured boot opens no more after an update"
            ),
            "leave it; `evc escrow list` with the device shows older ones, and `evc delete device` forgets all of them with their device",
        ),
        InTheWay::NothingAlike { device, lacking } => Words::new(
            format!(
                "no reference value of device `{device}` is approved that these could be like, and they lack PCR {}",
                numbers(lacking)
            ),
            "give all PCRs that are appraised, or say with `--like` which reference value the others are of",
        ),
        InTheWay::SameReference { id } => Words::new(
            format!("these are the values of reference {id} already"),
            "see `evc reference list`; `evc reference approve` says that they are good",
        ),
        InTheWay::CourierOver { device } => Words::new(
            format!(
                "the challenge that this file answers is over: device `{device}` answered it, or another one, already, or its time is up; nothing was changed"
            ),
            format!(
                "if it was taken before, `evc export {device} FILE` gives the answer again; else carry a new file of that command to the node, and bring its evidence over that"
            ),
        ),
        InTheWay::CourierRefused { device, why } => Words::new(
            format!("the evidence of device `{device}` in this file is refused: {why}"),
            format!(
                "see `evc describe device {device}`; then carry a new file of `evc export {device} FILE` to the node"
            ),
        ),
        InTheWay::Older(older) => Words::new(older.to_string(), OLDER),
    }
}

fn unfit(policy: &Name, device: &Name, why: Unfit) -> Words {
    let asks = match why {
        Unfit::Custody => "asks for a TPM",
        Unfit::Pcrs => "requires measured PCRs",
    };
    Words::new(
        format!("policy `{policy}` {asks}, and device `{device}` has no TPM"),
        "use a policy with `custody: controller` and no `require: [pcrs]` for this device",
    )
}

fn has_vaults(device: &Name, vaults: &[Name]) -> Words {
    let names: Vec<String> = vaults.iter().map(|name| format!("`{name}`")).collect();
    Words::new(format!("device `{device}` has vaults: {}", names.join(", ")), KEEP)
}

fn unmeasured(reference: i64, device: &Name, why: &::attest::Unmeasured) -> Words {
    Words::new(
        format!("reference {reference} is of a boot that nothing measured: {why}, as under any software"),
        format!(
            "see that the node's firmware measures its boot into the TPM's SHA-256 or SHA-384 bank, then `evc reference learn {device}`; or do without `require: [pcrs]`"
        ),
    )
}
