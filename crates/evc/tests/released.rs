//! Keys as they went out are kept, so that what is asked again is answered with the same. Of the nodes that get them none can say that one is damaged: the
//! controller looks itself. By the real service.

mod common;

use common::{Device, Evc, section};

const VAULTS: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: day\ndevice: edge-1\npolicy: p\n---\n\
                      kind: Vault\nname: night\ndevice: edge-1\npolicy: p\n";

/// A key that was damaged in the database is sealed anew, and the others go out as they did; also of builds that kept no digest.
#[test]
fn a_key_that_was_damaged_since_it_went_out_is_sealed_anew() {
    let of_day = "WHERE vault = (SELECT id FROM vaults WHERE name = 'day')";
    for damage in [
        "UPDATE releases SET ciphertext = zeroblob(length(ciphertext))",
        "UPDATE releases SET enc = zeroblob(length(enc))",
        "UPDATE releases SET number = number + 7",
        "UPDATE releases SET digest = NULL",
    ] {
        let evc = Evc::start();
        let mut device = Device::onboarded(&evc, "edge-1");
        evc.apply(VAULTS);
        let first = device.attested(&evc);
        let keys = ["day", "night"].map(|name| device.keys(&first, name).expect("keys"));
        common::sql(evc.dir.path(), &[&format!("{damage} {of_day}")]);
        device.hash.clear();
        let again = section(&device.poll(&evc).expect("an answer")).expect("a section");
        assert_eq!(again.version, first.version, "{damage}: it says the same");
        let told = ["day", "night"].map(|name| device.keys(&again, name).expect("they open"));
        assert_eq!(told, keys, "{damage}");
        device.hash.clear();
        let third = section(&device.poll(&evc).expect("an answer")).expect("a section");
        assert_eq!(third.vaults, again.vaults, "{damage}: kept whole");
    }
}
