//! H2: the row of one sealed key is gone or does not open. That vault alone is withheld, its device's others are served as before, and each list says
//! which one it is and what to do. By the real service and its API.

mod common;

use common::{Device, Evc};
use vault::cause::Cause;
use vault::section::{Release, Section};

const VAULTS: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: good\ndevice: edge-1\npolicy: p\n---\n\
                      kind: Vault\nname: shut\ndevice: edge-1\npolicy: p\n";
const OF_SHUT: &str = "vault = (SELECT id FROM vaults WHERE name = 'shut')";

/// A device with two vaults, one of them rotated; and what was done to the epochs of that one while the controller was stopped.
fn damaged(how: &str) -> (Evc, Device) {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULTS);
    evc.act("POST", "/devices/edge-1/vaults/shut/rotate", r#"{"force":true,"confirm":"shut"}"#);
    let folder = evc.stop();
    let keep = format!("CREATE TABLE kept AS SELECT * FROM epochs WHERE {OF_SHUT}");
    common::sql(folder.path(), &[&keep, &how.replace("OF_SHUT", OF_SHUT)]);
    (Evc::over(folder), device)
}

fn release<'s>(section: &'s Section, name: &str) -> &'s Release {
    &section.vaults.iter().find(|entry| entry.name.as_str() == name).expect("listed").release
}

#[test]
fn a_key_that_does_not_open_is_withheld_of_its_vault_alone_until_it_is_mended() {
    for how in [
        "DELETE FROM epochs WHERE OF_SHUT",
        "DELETE FROM epochs WHERE OF_SHUT AND epoch = 2",
        "UPDATE epochs SET sealed = zeroblob(length(sealed)) WHERE OF_SHUT",
        "UPDATE epochs SET made_at = -1 WHERE OF_SHUT",
    ] {
        let (evc, mut device) = damaged(how);
        let given = device.attested(&evc);
        assert!(device.keys(&given, "good").is_some(), "{how}");
        let withheld = Release::Withheld { reason: Cause::KeyUnopened };
        assert_eq!(release(&given, "shut"), &withheld, "{how}");
        device.poll(&evc);
        assert!(device.poll(&evc).is_none_or(|answer| answer.config.is_none()), "{how}: said once");
        for list in ["/devices/edge-1", "/vaults", "/glance"] {
            let told = evc.act("GET", list, "").to_string();
            assert!(told.contains("is absent or does not open: stop evc"), "{how}: {list}: {told}");
        }
        let shown = evc.act("GET", "/devices/edge-1", "")["vaults"].to_string();
        assert_eq!(shown.matches(r#""withheld":true"#).count(), 1, "{how}: {shown}");
        let mend = [
            "DELETE FROM epochs WHERE OF_SHUT".replace("OF_SHUT", OF_SHUT),
            "INSERT INTO epochs SELECT * FROM kept".into(),
        ];
        common::sql(evc.dir.path(), &[&mend[0], &mend[1]]);
        let mended = device.section(&evc);
        assert!(device.keys(&mended, "shut").is_some(), "{how}: mended");
        assert!(mended.version.version > given.version.version, "{how}: what is new has a number of its own");
    }
}

/// A node that took the newest has no use for the one before.
#[test]
fn the_newest_key_goes_out_where_only_the_one_before_is_gone() {
    let (evc, mut device) = damaged("DELETE FROM epochs WHERE OF_SHUT AND epoch = 1");
    let given = device.attested(&evc);
    let (current, last) = device.keys(&given, "shut").expect("keys");
    assert_eq!(current, last);
    assert!(device.keys(&given, "good").is_some());
}
