//! Which key a public area is of: what stands beside the point in it says nothing of which key signs.

use super::*;

/// Of a TPM2B_PUBLIC: size, type, name algorithm, then its attributes.
const ATTRIBUTES: usize = 6;
/// TPMA_OBJECT noDA, which a key that quotes may have or not.
const NO_DA: u32 = 1 << 10;

/// The same key in another area, as its TPM would show it if it had been made so.
fn in_another_area(ak: &[u8]) -> Vec<u8> {
    let mut area = ak.to_vec();
    let (attributes, _) = area[ATTRIBUTES..].split_first_chunk_mut::<4>().expect("attributes");
    *attributes = (u32::from_be_bytes(*attributes) ^ NO_DA).to_be_bytes();
    area
}

/// Attack F6: a key that an operator took off is not pinned again by other words around it, nor under another certificate; another point is
/// another key.
#[test]
fn a_key_that_was_taken_off_is_known_in_any_area() {
    let evc = Evc::start();
    let (device, tpm) = with_tpm(&evc);
    let (own, other) = (tpm.ak(), FakeTpm::new().ak());
    assert_ne!(in_another_area(&own), own);
    evc.act("DELETE", "/devices/edge-1/attestation-key?confirm=edge-1", "");
    for (area, what) in [(own.clone(), "as it was"), (in_another_area(&own), "in another area")] {
        let (status, text) = pin(&evc, &device, &Key::new("AK"), Some(area));
        assert!(status == 403 && text.contains("was taken off by an operator"), "{what}: {text}");
    }
    let mut broken = own.clone();
    broken.pop();
    assert_ne!(pin(&evc, &device, &Key::new("AK"), Some(broken)).0, 201, "what does not read is no key");
    assert_eq!(pin(&evc, &device, &Key::new("AK"), Some(in_another_area(&other))).0, 201, "another point");
}
