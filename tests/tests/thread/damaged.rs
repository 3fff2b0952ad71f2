//! Files of /config that are damaged while the node is off, or another node's: what opens, what is said, and that all is there again
//! with the file (invariant 4). Files of ours on the disk: `vaultmgr/tests/damage`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use eve_vault_tests::Scene;
use serde_json::Value;
use testkit::node::{Parts, Power};
use testkit::wait;

use super::{CONTROLLER, TPM};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Flipped,
    /// Its second half was never written.
    Cut,
    Emptied,
    Removed,
    /// What it was when the node was installed.
    Older,
    /// Another node's, of another controller.
    Foreign,
    /// This, of before or by mistake.
    Put(&'static str),
}

use Damage::{Cut, Emptied, Flipped, Foreign, Older, Put, Removed};

const ALL: &[Damage] = &[Flipped, Cut, Emptied, Removed, Foreign];

/// Of the default vaults, and of one whose place in the signed section is needed to open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opens {
    All,
    Defaults,
    Nothing,
}

/// A file, what is done to it, and what comes of that: what opens, and what `eve status` says, one of these.
type Row = (&'static str, &'static [Damage], Opens, &'static [&'static str]);

/// Two files, and the rest as above.
type Pair = ([(&'static str, Damage); 2], Opens, &'static [&'static str]);

const REACHABLE: &[&str] = &["\"reachable\":true"];
/// The password of the TPM's owner.
const OWNER: &str = "tpm-owner-auth";
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
    ("server", &[Cut, Put("127.0.0.1:1")], Opens::All, &["config/server"]),
    ("server", &[Foreign], Opens::All, &["config/root-certificate.pem"]),
    ("root-certificate.pem", ALL, Opens::Defaults, &["config/root-certificate.pem"]),
    ("onboard.cert.pem", &[Flipped, Foreign], Opens::All, REACHABLE),
    ("onboard.key.pem", &[Cut, Emptied, Removed], Opens::All, REACHABLE),
];

/// Who the node is. What belongs to its TPM is made anew where nothing is left of it, and never taken for another.
const OWN: &[Row] = &[
    ("device.cert.pem", &[Flipped, Cut, Emptied, Removed, Older], Opens::All, REACHABLE),
    ("device.cert.pem", &[Foreign], Opens::All, OTHER_KEY),
    ("ek.pub", ALL, Opens::All, REACHABLE),
    ("boot-pcrs", &[Flipped, Cut, Removed], Opens::All, REACHABLE),
    ("tcti", &[Flipped, Cut, Emptied, Removed], Opens::Nothing, TCTI),
    ("serial", &[Emptied, Foreign], Opens::All, REACHABLE),
    (OWNER, &[Put("wrong")], Opens::All, REACHABLE),
];

/// Two at once: what would say that this is another TPM's node.
const OWN_PAIRS: &[Pair] = &[
    (
        [("device.cert.pem", Foreign), ("ek.pub", Foreign)],
        Opens::Nothing,
        &["this is not the TPM that this node was installed with (config/ek.pub)"],
    ),
    ([("device.cert.pem", Removed), ("ek.pub", Removed)], Opens::All, REACHABLE),
    ([("tcti", Foreign), ("ek.pub", Foreign)], Opens::Nothing, OTHER_KEY),
];

/// Without a TPM the device key is a file, and its vaults are the controller's.
const SOFT: &[Row] = &[
    ("device.key.pem", &[Flipped, Cut], Opens::Nothing, &["config/device.key.pem is damaged; restore it"]),
    ("device.key.pem", &[Emptied, Removed, Foreign], Opens::Nothing, OTHER_KEY),
    ("device.cert.pem", &[Flipped, Removed], Opens::All, REACHABLE),
];

fn damage(path: &Path, what: Damage, older: Option<&Vec<u8>>, foreign: &Path) {
    if let Put(text) = what {
        fs::write(path, text).unwrap();
        // What is secret is root's alone; all else every agent reads.
        let mode = if path.ends_with(OWNER) { 0o600 } else { 0o644 };
        return fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let mut bytes = fs::read(path).unwrap();
    match what {
        Flipped => {
            let at = 100.min(bytes.len() / 2);
            bytes[at] ^= 1;
        }
        Cut => bytes.truncate(bytes.len() / 2),
        Emptied => bytes.clear(),
        Older => bytes.clone_from(older.unwrap()),
        Foreign => bytes = fs::read(foreign).unwrap(),
        Removed => return fs::remove_file(path).unwrap(),
        Put(_) => {}
    }
    fs::write(path, bytes).unwrap();
}

/// A node with a vault, and another one with its own controller.
struct Nodes {
    scene: Scene,
    other: Scene,
    /// The files of its /config, as it was installed.
    older: BTreeMap<OsString, Vec<u8>>,
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
        let files = fs::read_dir(scene.node.root().join("config")).unwrap().flatten();
        let older = files.map(|file| (file.file_name(), fs::read(file.path()).unwrap())).collect();
        Self { scene, other, older }
    }

    fn holds(&mut self, table: &[Row], pairs: &[Pair]) {
        for (file, whats, opens, says) in table {
            whats.iter().for_each(|what| self.row(&[(file, *what)], *opens, says));
        }
        pairs.iter().for_each(|(pair, opens, says)| self.row(pair, *opens, says));
        self.is("with all put back", Opens::All, REACHABLE);
    }

    fn row(&mut self, damaged: &[(&str, Damage)], opens: Opens, says: &[&str]) {
        let config = self.scene.node.root().join("config");
        let foreign = self.other.node.root().join("config");
        self.scene.node.off(Power::Clean).unwrap();
        let whole: Vec<_> =
            damaged.iter().map(|(file, _)| (config.join(file), fs::read(config.join(file)).ok())).collect();
        for (file, what) in damaged {
            damage(&config.join(file), *what, self.older.get(OsStr::new(file)), &foreign.join(file));
        }
        self.scene.node.on(Power::Clean).unwrap();
        self.is(&format!("{damaged:?}"), opens, says);
        self.scene.node.off(Power::Clean).unwrap();
        for (path, whole) in whole {
            match whole {
                None => fs::remove_file(path).unwrap(),
                // What was made anew in its place is as good.
                Some(_) if opens == Opens::All && says == REACHABLE => {}
                Some(whole) => fs::write(&path, whole).unwrap(),
            }
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
    Nodes::new(true).holds(CONTROLLERS, &[]);
}

/// Invariant 4: what the node can make anew it does; what it can't it waits for, says so, and goes on with it.
#[test]
fn damage_to_what_tells_of_the_node_is_mended_or_waited_for() {
    Nodes::new(true).holds(OWN, OWN_PAIRS);
}

/// DF-3: another device key opens nothing, and the one of before all.
#[test]
fn df3_damage_to_a_device_key_is_waited_for() {
    Nodes::new(false).holds(SOFT, &[]);
}
