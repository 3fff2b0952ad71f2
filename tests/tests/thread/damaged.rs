//! Files of /config that are damaged while the node is off, or another node's: what opens, what is said, and that all is there again
//! with the file (invariant 4). Files of ours on the disk: `vaultmgr/tests/damage`.

use std::fs;
use std::path::Path;

use eve_vault_tests::Scene;
use serde_json::Value;
use testkit::node::{Parts, Power};
use testkit::wait;

use super::{CONTROLLER, TPM};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Flipped,
    Emptied,
    Removed,
    /// Another node's, of another controller.
    Foreign,
}

use Damage::{Emptied, Flipped, Foreign, Removed};

const ALL: &[Damage] = &[Flipped, Emptied, Removed, Foreign];

/// Of the default vaults, and of one whose place in the signed section is needed to open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opens {
    All,
    Defaults,
    Nothing,
}

/// A file, what is done to it, and what comes of that: what opens, and what `eve status` says, one of these.
type Row = (&'static str, &'static [Damage], Opens, &'static [&'static str]);

const REACHABLE: &[&str] = &["\"reachable\":true"];
const OTHER_KEY: &[&str] = &["config/device.cert.pem is of another key than this device's"];
/// What names the TPM says nothing, or names none that is there, or is away.
const TCTI: &[&str] = &[
    "vaults wait for the TPM, which is failing: config/tcti",
    "config/tcti names it",
    "vaults wait for the TPM, which is failing: this node was installed with a TPM, and there is none now",
];

/// By which the controller is reached and believed, and the node registered.
const CONTROLLERS: &[Row] = &[
    ("server", &[Flipped, Emptied, Removed], Opens::All, &["config/server"]),
    ("server", &[Foreign], Opens::All, &["config/root-certificate.pem"]),
    ("root-certificate.pem", ALL, Opens::Defaults, &["config/root-certificate.pem"]),
    ("onboard.cert.pem", &[Flipped, Foreign], Opens::All, REACHABLE),
    ("onboard.key.pem", &[Emptied, Removed], Opens::All, REACHABLE),
];

/// Who the node is. What belongs to its TPM is made anew where nothing is left of it, and never taken for another.
const OWN: &[Row] = &[
    ("device.cert.pem", &[Flipped, Emptied, Removed], Opens::All, REACHABLE),
    ("device.cert.pem", &[Foreign], Opens::All, OTHER_KEY),
    ("ek.pub", ALL, Opens::All, REACHABLE),
    ("boot-pcrs", &[Flipped, Removed], Opens::All, REACHABLE),
    ("tcti", &[Flipped, Emptied, Removed], Opens::Nothing, TCTI),
    ("serial", &[Emptied, Foreign], Opens::All, REACHABLE),
];

/// Without a TPM the device key is a file, and its vaults are the controller's.
const SOFT: &[Row] = &[
    ("device.key.pem", &[Emptied, Removed, Foreign], Opens::Nothing, OTHER_KEY),
    ("device.cert.pem", &[Flipped, Removed], Opens::All, REACHABLE),
];

fn damage(path: &Path, what: Damage, foreign: &Path) {
    let mut bytes = fs::read(path).unwrap();
    match what {
        Flipped => {
            let at = 100.min(bytes.len() / 2);
            bytes[at] ^= 1;
        }
        Emptied => bytes.clear(),
        Foreign => bytes = fs::read(foreign).unwrap(),
        Removed => return fs::remove_file(path).unwrap(),
    }
    fs::write(path, bytes).unwrap();
}

/// A node with a vault, and another one with its own controller.
struct Nodes {
    scene: Scene,
    other: Scene,
}

impl Nodes {
    fn new(tpm: bool) -> Self {
        let fields = if tpm {
            TPM.to_owned()
        } else {
            format!("{CONTROLLER}\nattest: {{ every: 15m, require: [], on_failure: withhold }}")
        };
        let make = || {
            let mut scene = Scene::prepared(Parts { tpm, ..Parts::default() }).unwrap();
            scene.node.start().unwrap();
            if tpm {
                scene.evc.approve_references(eve_vault_tests::DEVICE).unwrap();
            }
            scene.node.until_vault("config", "unlocked").unwrap();
            scene
        };
        let (mut scene, mut other) = (make(), make());
        scene.vault_with_data("till", &fields).unwrap();
        other.node.off(Power::Clean).unwrap();
        Self { scene, other }
    }

    fn holds(&mut self, table: &[Row]) {
        for (file, whats, opens, says) in table {
            whats.iter().for_each(|what| self.row(file, *what, *opens, says));
        }
        self.is("with all put back", Opens::All, REACHABLE);
    }

    fn row(&mut self, file: &str, what: Damage, opens: Opens, says: &[&str]) {
        let path = self.scene.node.root().join("config").join(file);
        let foreign = self.other.node.root().join("config").join(file);
        self.scene.node.off(Power::Clean).unwrap();
        let whole = fs::read(&path).unwrap();
        damage(&path, what, &foreign);
        self.scene.node.on(Power::Clean).unwrap();
        self.is(&format!("{file}: {what:?}"), opens, says);
        self.scene.node.off(Power::Clean).unwrap();
        // What was made anew in its place is as good.
        if opens != Opens::All || says != REACHABLE {
            fs::write(&path, whole).unwrap();
        }
        self.scene.node.on(Power::Clean).unwrap();
    }

    fn is(&mut self, when: &str, opens: Opens, says: &[&str]) {
        let told = |status: &Value| says.iter().any(|words| status.to_string().contains(words));
        let node = &mut self.scene.node;
        let said = wait::until(when, || node.status().ok().filter(told));
        said.unwrap_or_else(|error| panic!("{error}: {says:?}: {:?}", node.status()));
        for (vault, open) in [
            ("config", opens != Opens::Nothing),
            ("image", opens != Opens::Nothing),
            ("till", opens == Opens::All),
        ] {
            if open {
                node.until_vault(vault, "unlocked").unwrap_or_else(|error| panic!("{when}: {error}"));
            } else {
                // One whose name stands in the Config Vault alone is not known by it.
                let open =
                    node.vault_if_any(vault).unwrap().is_some_and(|vault| vault["state"] == "unlocked");
                assert!(!open, "{when}: {vault}");
            }
        }
        assert_eq!(self.scene.has_data("till"), opens == Opens::All, "{when}");
    }
}

/// Invariant 4, KO-2: what the TPM alone opens needs no controller; and nobody else is believed.
#[test]
fn ko2_damage_to_what_tells_of_the_controller_closes_no_default_vault() {
    Nodes::new(true).holds(CONTROLLERS);
}

/// Invariant 4: what the node can make anew it does; what it can't it waits for, says so, and goes on with it.
#[test]
fn damage_to_what_tells_of_the_node_is_mended_or_waited_for() {
    Nodes::new(true).holds(OWN);
}

/// DF-3: another device key opens nothing, and the one of before all.
#[test]
fn df3_damage_to_a_device_key_is_waited_for() {
    Nodes::new(false).holds(SOFT);
}
