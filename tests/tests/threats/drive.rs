//! TH-1, the drive in another machine, read offline; and TH-6, the same with a key that was guessed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use eve_vault_tests::keys::{self, Known};
use eve_vault_tests::{DEVICE, Scene};
use testkit::node::{Parts, Power};
use vault::coverage::Threat;

use super::columns::{Column, WITH_TPM, WITHOUT_TPM};

/// In the clear, outside of every vault: the thief finds what there is to find.
const OUTSIDE: &str = "written outside of every vault\n";

/// A node with a vault in each column, and the keys R of each, from the first epoch on. The node and the controller are off.
struct Robbed {
    scene: Scene,
    keys: BTreeMap<&'static str, Vec<String>>,
}

fn robbed(tpm: bool, columns: &[Column]) -> Robbed {
    let mut scene = Scene::prepared(Parts { tpm, disk: 32 << 20, ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    if tpm {
        scene.evc.approve_references(DEVICE).unwrap();
    }
    scene.node.until_vault("config", "unlocked").unwrap();
    std::fs::write(scene.node.root().join("persist/outside.txt"), OUTSIDE).unwrap();
    for column in columns {
        scene.vault_with_data(column.name, column.policy).unwrap();
    }
    for column in columns.iter().filter(|column| column.rotated) {
        scene.rotate(column.name).unwrap();
        scene.rotate(column.name).unwrap();
    }
    let known: Vec<Known> = columns.iter().map(|is| Known::of(&scene, is.name, is.custody)).collect();
    let device = scene.evc.json(&["describe", "device", DEVICE]).unwrap()["device"].clone();
    scene.node.stop(Power::Clean).unwrap();
    scene.evc.stop().unwrap();
    let controller = keys::Controller::open(&scene.evc.data(), &device, &known);
    let secrets = keys::of_node(&scene, &known, &controller);
    scene.node.off(Power::Clean).unwrap();
    let of = |column: &Column| {
        let name = format!("{} R", column.name);
        secrets.iter().filter(|(is, _)| *is == name).map(|(_, key)| hex::encode(key)).collect()
    };
    Robbed { keys: columns.iter().map(|column| (column.name, of(column))).collect(), scene }
}

impl Robbed {
    /// What the thief wins with a copy of the disk and this key.
    fn thief(&self, guessed: &str) -> String {
        let (copy, folder) = (self.scene.dir().join("stolen.img"), self.scene.dir().join("stolen"));
        let image = self.scene.node.disk().image();
        assert!(Command::new("cp").arg("--sparse=always").args([image, &copy]).status().unwrap().success());
        let mut thief = Command::new(testkit::program("thief").unwrap());
        let thief = thief.args([&copy, &folder]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut thief = thief.spawn().unwrap();
        writeln!(thief.stdin.take().unwrap(), "{guessed}").unwrap();
        let won = thief.wait_with_output().unwrap();
        assert!(won.status.success(), "the thief works");
        let won = String::from_utf8_lossy(&won.stdout).into_owned();
        assert!(won.contains(OUTSIDE) && won.contains("outside.txt"), "the thief sees what is in the clear");
        won
    }

    /// The same node, robbed of nothing: all of its vaults open.
    fn goes_on(mut self, columns: &[Column]) {
        self.scene.evc.start().unwrap();
        self.scene.node.on(Power::Clean).unwrap();
        for column in columns {
            self.scene.node.until_vault(column.name, "unlocked").unwrap();
            assert!(self.scene.has_data(column.name), "{}: the twin that nobody attacks opens", column.name);
        }
    }
}

fn has_data_of(won: &str, column: &Column) -> bool {
    won.contains(&format!("the secrets of {}\n", column.name))
}

/// All cells of a node; `guessed` says of each column whether TH-6 is to be found closed, as the proposal's table has it.
fn cells(tpm: bool, columns: &[Column], guessed: &[bool]) {
    let robbed = robbed(tpm, columns);
    let won = robbed.thief("");
    assert!(!won.contains("ledger.txt"), "TH-1: a file's name");
    for (column, closed) in columns.iter().zip(guessed) {
        assert!(column.predicted(Threat::DriveRead, tpm) && !has_data_of(&won, column), "TH-1: {column:?}");
        // Of a rotated key the one of two rotations ago, the first of three; else the one in force.
        let keys = &robbed.keys[column.name];
        assert_eq!(keys.len(), if column.rotated { 3 } else { 1 }, "{column:?}");
        let won = robbed.thief(&keys[0]);
        assert_eq!(!has_data_of(&won, column), *closed, "TH-6: {column:?}");
        assert_eq!(column.predicted(Threat::KeyGuessed, tpm), *closed, "TH-6, predicted: {column:?}");
        // The thief could, if his key were good.
        let newest = robbed.thief(keys.last().unwrap());
        assert!(
            has_data_of(&newest, column) && newest.contains("ledger.txt"),
            "the key in force: {column:?}"
        );
    }
    robbed.goes_on(columns);
}

#[test]
fn th1_th6_the_drive_of_a_node_with_a_tpm() {
    cells(true, &WITH_TPM, &[false, false, false, true]);
}

#[test]
fn th1_th6_the_drive_of_a_node_without_a_tpm() {
    cells(false, &WITHOUT_TPM, &[false, true]);
}
