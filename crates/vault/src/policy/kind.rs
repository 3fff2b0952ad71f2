//! Which kind a document is, read before anything else of it; and that it has the fields of that kind alone. What it has beside is refused by
//! name: what belongs to another kind with where to put it, what no kind has with the fields of this one.

use serde_saphyr::{Location, Spanned};

use super::parts::{Checked, later, needed};
use super::raw::{Fields as _, NotBuilt, Raw, RawHead};
use super::vault::{RawVault, vault};
use super::vault_policy::{RawPolicy, policy};
use super::{BadFile, Document};

/// A kind of document.
#[derive(Clone, Copy)]
enum Kind {
    Policy,
    Vault,
}

const KINDS: &str = "write `kind: VaultPolicy` or `kind: Vault`";

/// Fields that a document of Kubernetes has.
const KUBERNETES: [&str; 3] = ["apiVersion", "metadata", "spec"];

/// Checks a document of any kind. With it comes the place of its name.
pub(super) fn document(raw: Spanned<Raw>) -> Checked<(Document, Location)> {
    let place = raw.referenced;
    let Raw { head: RawHead { kind, name }, policy: of_policy, vault: of_vault, not_built, unknown } =
        raw.value;
    no_kubernetes(&unknown)?;
    let kind = Kind::of(&needed("kind", kind, place, KINDS)?)?;
    kind.knows(&unknown)?;
    let name = needed("name", name, place, "name it: `name: berlin-lines`")?;
    let document = match kind {
        Kind::Policy => {
            kind.has_no(of_vault.first())?;
            built(&not_built)?;
            policy(&name, of_policy).map(Document::Policy)
        }
        Kind::Vault => {
            kind.has_no(of_policy.first())?;
            built(&not_built)?;
            vault(&name, of_vault)
        }
    };
    Ok((document?, name.referenced))
}

impl Kind {
    fn of(text: &Spanned<String>) -> Checked<Self> {
        match text.value.as_str() {
            "VaultPolicy" => Ok(Self::Policy),
            "Vault" => Ok(Self::Vault),
            other => Err(BadFile::at(text.referenced, format!("`{other}` is not a kind"), KINDS)),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Policy => "VaultPolicy",
            Self::Vault => "Vault",
        }
    }

    fn fields(self) -> impl Iterator<Item = &'static str> {
        let own = match self {
            Self::Policy => RawPolicy::NAMES,
            Self::Vault => RawVault::NAMES,
        };
        RawHead::NAMES.iter().chain(own).copied()
    }

    fn knows(self, unknown: &[Spanned<String>]) -> Checked<()> {
        let Some(field) = unknown.first() else { return Ok(()) };
        let all: Vec<String> = self.fields().map(|field| format!("`{field}`")).collect();
        let problem = format!("`{}` is not a field of a {}", field.value, self.word());
        Err(BadFile::at(field.referenced, problem, format!("write one of {}", all.join(", "))))
    }

    /// None of another kind's.
    fn has_no(self, field: Option<(&str, Location)>) -> Checked<()> {
        let Some((field, at)) = field else { return Ok(()) };
        let advice = match (self, field) {
            (Self::Vault, _) => "put it into the VaultPolicy that this vault names",
            (Self::Policy, "policy") => "name the policy in a `kind: Vault` document",
            (Self::Policy, _) => "a policy is for any device; name devices in a `kind: Vault` document",
        };
        Err(BadFile::at(at, format!("`{field}` does not belong in a {}", self.word()), advice))
    }
}

fn no_kubernetes(unknown: &[Spanned<String>]) -> Checked<()> {
    match unknown.iter().find(|field| KUBERNETES.contains(&field.value.as_str())) {
        Some(field) => Err(BadFile::at(
            field.referenced,
            format!("`{}` is not a field of a document", field.value),
            "this is no Kubernetes: leave `apiVersion`, `metadata` and `spec` out, and write their fields beside `kind`",
        )),
        None => Ok(()),
    }
}

fn built(fields: &NotBuilt) -> Checked<()> {
    let Some((field, at)) = fields.first() else { return Ok(()) };
    let advice = match field {
        "rotate" => "leave it out and rotate with `evc rotate vault NAME --device DEVICE`",
        "geofence" => "leave it out; location is not checked",
        "ip" => "leave it out; the address is not checked",
        _ => "leave it out; the size of a vault is not limited",
    };
    Err(later(at, field, advice))
}
