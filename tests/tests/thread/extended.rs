//! What is bound to the measured boot, on a TPM whose PCRs something extended since: it is not bound anew in that state, of which no boot is.

use eve_vault_tests::Scene;
use testkit::node::Power;

use super::TPM;
use super::told::{has, until_told};

/// The share of it opens by P alone.
const SEALED: &str = "custody: tpm\nseal: pcrs";
/// The roots of even generations.
const NEXT: [&str; 2] = ["0x1805640", "0x1805641"];

fn roots(scene: &Scene) -> String {
    scene.node.tpm().unwrap().tool("tpm2_getcap", &["handles-nv-index"]).unwrap().to_lowercase()
}

fn is_generation(generation: u64) -> impl Fn(&serde_json::Value) -> bool {
    move |told| told.as_u64() == Some(generation)
}

/// TH-2, TH-6, AC-6: an erase asks for the next generation, and waits for a boot; in that P is bound anew, to it, and what is sealed opens by it.
#[test]
fn p_is_not_bound_to_pcrs_that_were_extended_since_the_boot_and_is_after_the_next_one() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("sealed", SEALED).unwrap();
    scene.vault_with_data("gone", &format!("{TPM}\non_removal: {{ delete_after: 0s }}")).unwrap();
    let measured = format!("4:sha256={}", "a5".repeat(32));
    scene.node.tpm().unwrap().tool("tpm2_pcrextend", &[&measured]).unwrap();
    scene.delete("gone").unwrap();
    until_told(&scene, "notes", has("were extended since the boot"));
    assert_eq!(scene.node.told().unwrap()["generation"], 1, "the one of before is in force");
    assert!(
        NEXT.iter().all(|root| !roots(&scene).contains(root)),
        "nothing of the next one: {}",
        roots(&scene)
    );
    assert!(scene.has_data("sealed"), "what is open stays open");

    scene.node.reboot(Power::Clean).unwrap();
    until_told(&scene, "generation", is_generation(2));
    scene.node.until_gone("gone").unwrap();
    assert!(NEXT.iter().all(|root| roots(&scene).contains(root)), "bound anew: {}", roots(&scene));
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("sealed", "unlocked").unwrap();
    assert!(scene.has_data("sealed"), "by the P of the boot that was measured as this one");
}
