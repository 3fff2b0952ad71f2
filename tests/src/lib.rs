//! Whole-system tests: real `evc`, real `eve run`, real TPM, real kernel encryption. What they share.

pub mod at_rest;
pub mod keys;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::libc::ENOKEY;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use testkit::node::Parts;
use testkit::{Evc, Node, wait};

/// The node's name at the controller.
pub const DEVICE: &str = "edge-1";

/// Every level of every crate.
const TRACE: &str = "trace";

/// A controller and a node, in a folder that goes with them.
pub struct Scene {
    // In the order of their end.
    /// The node.
    pub node: Node,
    /// The controller.
    pub evc: Evc,
    /// Where each vault's file lies. Remembered, so that nobody who names vaults otherwise, or no more, is believed.
    files: BTreeMap<String, PathBuf>,
    dir: TempDir,
}

impl Scene {
    /// Both started; the node is onboarded, attested, and its reference values are approved.
    ///
    /// # Errors
    /// What did not come about.
    pub fn attested() -> Result<Self> {
        let mut scene = Self::prepared(Parts::default())?;
        scene.node.start()?;
        scene.evc.approve_references(DEVICE)?;
        scene.node.until_vault("config", "unlocked")?;
        Ok(scene)
    }

    /// The controller started; the node allowed, and off.
    ///
    /// # Errors
    /// As [`Scene::attested`].
    pub fn prepared(parts: Parts) -> Result<Self> {
        Self::controlled(Evc::new, parts)
    }

    /// The same, and both log all that they and their libraries can.
    ///
    /// # Errors
    /// As [`Scene::attested`].
    pub fn traced(parts: Parts) -> Result<Self> {
        Self::controlled(|dir| Evc::logging(dir, TRACE), Parts { log: TRACE, ..parts })
    }

    /// A controller and a node as another build left them: `evc/data`, and `edge-1` with disk, TPM and /config, packed. The controller
    /// started; the node off.
    ///
    /// # Errors
    /// As [`Scene::attested`].
    pub fn kept(packed: &Path, parts: Parts) -> Result<Self> {
        let dir = folder()?;
        unpack(packed, dir.path())?;
        let evc = Evc::new(&dir.path().join("evc"))?;
        let node = Node::kept(&dir.path().join(DEVICE), DEVICE, &evc, parts)?;
        Ok(Self { node, evc, files: BTreeMap::new(), dir })
    }

    fn controlled(evc: impl FnOnce(&Path) -> Result<Evc>, parts: Parts) -> Result<Self> {
        let dir = folder()?;
        let evc = evc(&dir.path().join("evc"))?;
        let node = Node::made(&dir.path().join(DEVICE), DEVICE, &evc, parts)?;
        Ok(Self { node, evc, files: BTreeMap::new(), dir })
    }

    /// The folder of all that.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Applies a policy of this name and fields, and a vault of the same name under it.
    ///
    /// # Errors
    /// The controller's refusal.
    pub fn apply(&self, vault: &str, fields: &str) -> Result<String> {
        self.evc.apply(&vault_yaml(vault, fields))
    }

    /// The same, then waits until the vault is open, and puts a file into it.
    ///
    /// # Errors
    /// As the steps.
    pub fn vault_with_data(&mut self, vault: &str, fields: &str) -> Result<()> {
        self.apply(vault, fields)?;
        self.node.until_vault(vault, "unlocked")?;
        self.remember_data(vault)?;
        Ok(fs::write(self.data(vault), contents(vault))?)
    }

    /// Remembers where that file lies, or is to lie, in a vault that the node has.
    ///
    /// # Errors
    /// The node does not know the vault.
    pub fn remember_data(&mut self, vault: &str) -> Result<()> {
        let file = self.node.vault_dir(vault)?.join("ledger.txt");
        self.files.insert(vault.to_owned(), file);
        Ok(())
    }

    /// Where that file lies.
    ///
    /// # Panics
    /// None was put there by [`Scene::vault_with_data`], nor told of to [`Scene::remember_data`].
    #[must_use]
    pub fn data(&self, vault: &str) -> &Path {
        self.files.get(vault).unwrap_or_else(|| panic!("no file was put into {vault}"))
    }

    /// Whether the file is there with what was put into it. Asks the kernel alone.
    ///
    /// # Panics
    /// As [`Scene::data`].
    #[must_use]
    pub fn has_data(&self, vault: &str) -> bool {
        fs::read_to_string(self.data(vault)).is_ok_and(|text| text == contents(vault))
    }

    /// The file is kept, and nobody reads it: its vault's directory holds one thing, under a name that says nothing,
    /// that the kernel opens for nobody.
    ///
    /// # Panics
    /// It is not so.
    pub fn assert_closed(&self, vault: &str) {
        let file = self.data(vault);
        let entries = fs::read_dir(file.parent().expect("in a vault")).expect("the directory is kept");
        let entries: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        assert_eq!(entries.len(), 1, "{vault} keeps its one file: {entries:?}");
        assert_ne!(entries[0], file, "{vault} shows a name");
        for path in [&entries[0], file] {
            assert!(File::open(path).is_err(), "{vault} can be read");
        }
        let refused = File::open(&entries[0]).expect_err("as said").raw_os_error();
        assert_eq!(refused, Some(ENOKEY), "{vault}");
    }

    /// The epoch that a vault is at, by the node; none where it has none (yet).
    ///
    /// # Panics
    /// The node has no such vault, or does not answer.
    #[must_use]
    pub fn epoch(&self, vault: &str) -> Option<u64> {
        self.node.vault(vault).expect("the node tells of the vault")["epoch"].as_u64()
    }

    /// Waits until the controller has been told of a vault what holds here; returns the report, as `evc describe vault` shows it.
    ///
    /// # Errors
    /// It is not told; the error has what it was told instead.
    pub fn until_told(&self, vault: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let report = || self.evc.vault(DEVICE, vault).map(|told| told["report"].clone());
        let told = |report: &Result<Value>| report.as_ref().is_ok_and(&holds);
        wait::until_is(&format!("the controller to be told of {vault}: {what}"), report, told)?
    }

    /// Rotates and waits until the node has moved to the new epoch, and the controller knows.
    ///
    /// # Errors
    /// It does not.
    pub fn rotate(&mut self, vault: &str) -> Result<Value> {
        let before = self.epoch(vault);
        self.order_rotation(vault)?;
        let moved =
            self.node.until_vault_is(vault, "a newer epoch", |vault| vault["epoch"].as_u64() > before)?;
        self.evc.until_taken(DEVICE, vault)?;
        Ok(moved)
    }

    /// Rotates, and leaves the node to it.
    ///
    /// # Errors
    /// The controller's refusal.
    pub fn order_rotation(&self, vault: &str) -> Result<()> {
        self.evc.run(&["rotate", "vault", vault, "--device", DEVICE]).map(drop)
    }

    /// Rotates although the node has not taken the key before.
    ///
    /// # Errors
    /// The controller's refusal.
    pub fn force_rotation(&self, vault: &str) -> Result<()> {
        self.evc.run(&["rotate", "vault", vault, "--device", DEVICE, "--force", "--confirm", vault]).map(drop)
    }

    /// Waits until the first boot of a node has come to rest: zedagent ends in it, and starts anew, to be let into the Config Vault that
    /// was made. Until then its process may be gone the moment after it was told of.
    ///
    /// # Errors
    /// It does not start anew.
    pub fn settled(&self) -> Result<()> {
        let anew = |status: &Result<Value>| {
            let agents = status.as_ref().ok().and_then(|status| status["agents"].as_array());
            agents.into_iter().flatten().any(|agent| {
                agent["agent"] == "zedagent" && agent["restarts"] == 1 && agent["pid"].is_number()
            })
        };
        wait::until_is("zedagent to have started anew", || self.node.status(), anew).map(drop)
    }

    /// Waits until an agent whose process was this one runs as another.
    ///
    /// # Errors
    /// It does not.
    pub fn until_anew(&self, agent: &str, before: i32) -> Result<i32> {
        let pid = || {
            self.node.agent_pid(agent).and_then(|pid| {
                ensure!(pid != before, "its process is {pid} still");
                Ok(pid)
            })
        };
        wait::until(&format!("{agent} to run as another process than {before}"), pid)
    }

    /// Kills an agent, as soon as it runs; returns the pid that it had.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self, agent: &str) -> Result<i32> {
        let pid = wait::until(&format!("{agent} to run"), || self.node.agent_pid(agent))?;
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        Ok(pid)
    }

    /// Deletes at the controller.
    ///
    /// # Errors
    /// The controller's refusal.
    pub fn delete(&self, vault: &str) -> Result<()> {
        self.evc.run(&["delete", "vault", vault, "--device", DEVICE, "--confirm", vault]).map(drop)
    }
}

/// Which agents, as users of their own, get through.
fn folder() -> Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("eve-vault-test-").tempdir()?;
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(dir)
}

/// Unpacks files with their owners, holes as holes.
///
/// # Errors
/// tar is missing, or fails.
pub fn unpack(packed: &Path, into: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    let tar =
        tar.args(["--extract", "--gzip", "--sparse", "--numeric-owner", "--same-permissions", "--file"]);
    let status = tar.arg(packed).arg("--directory").arg(into).status().context("tar could not be run")?;
    ensure!(status.success(), "{} could not be unpacked: {status}", packed.display());
    Ok(())
}

/// A policy and a vault under it.
#[must_use]
pub fn vault_yaml(vault: &str, fields: &str) -> String {
    format!(
        "kind: VaultPolicy\nname: {vault}-policy\n{fields}\n---\nkind: Vault\nname: {vault}\ndevice: {DEVICE}\npolicy: {vault}-policy\n"
    )
}

fn contents(vault: &str) -> String {
    format!("the secrets of {vault}\n").repeat(500)
}

/// What a vault's details say, in one line.
#[must_use]
pub fn details(vault: &Value) -> String {
    vault["detail"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
}
