//! Leases of what the TPM alone opens: a word of the controller's, on the policy's demands.

use evc::store::{Alarm, Scope};
use vault::lease::{LeaseNonce, is_leased};

use super::*;

const POLICIES: &str = "kind: VaultPolicy\nname: free\ncustody: tpm\n---\nkind: Vault\nname: other\ndevice: edge-1\npolicy: free\n---\n\
                        kind: VaultPolicy\nname: p\ncustody: tpm\nlease: 1h\n---\nkind: Vault\nname: own\ndevice: edge-1\npolicy: p\n";

/// Whether the section names the question, and gives the vault `own` a lease.
fn leased(section: &Section, question: u8) -> (bool, bool) {
    let own = section.vaults.iter().find(|entry| entry.name.as_str() == "own").expect("listed");
    (section.lease == Some(LeaseNonce([question; 16])), is_leased(own))
}

/// TH-3, seen-by-users 0.12: while a device may be two no lease is renewed, whatever the custody: else a copy of node and TPM would go on
/// opening the vault.
#[test]
fn a_device_that_may_be_two_gets_no_lease_of_a_vault_that_its_tpm_opens() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply(POLICIES);
    device.lease = Some(LeaseNonce([1; 16]));
    let told = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    assert_eq!(leased(&told, 1), (true, true), "one device");
    let two = Alarm::Told("may be two".into());
    let alarm =
        evc.app.store.write(Scope::Device(device.id), |tx| Box::pin(tx.set_alarm(device.id, Some(&two))));
    evc.wait(alarm).expect("written");
    device.lease = Some(LeaseNonce([2; 16]));
    let told = section(&device.poll(&evc).expect("an answer")).expect("a section");
    assert_eq!(leased(&told, 2), (false, false), "it may be two");
    let shown = evc.act("GET", "/vaults?device=edge-1", "").to_string();
    assert!(shown.contains("withheld: the device may be two"), "{shown}");
    evc.act("DELETE", "/devices/edge-1/alarm?confirm=edge-1", "");
    let told = section(&device.poll(&evc).expect("an answer")).expect("a section");
    assert_eq!(leased(&told, 2), (true, true), "settled");
}
