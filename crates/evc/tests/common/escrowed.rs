//! Bundles that devices put into escrow.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use vault::escrow::{Bundle, BundleId};
use vault::ids::{DeviceKey, Generation, VaultId};
use vault::roots::TpmRoot;
use vault::secret::{RootSecret, TpmShare};
use vault::shares::{Mark, Nonce, Table};
use wire::attest::{AttestRequest, AttestResponse, StoreKeys, StoreKeysCode};
use wire::escrow::{SealedBundle, UploadPlace, seal_up};

use super::{Device, Evc};

/// Of a bundle.
pub(crate) const BYTES: &[u8] = b"a bundle, which the controller can't read";

/// How a bundle is named.
pub(crate) fn id_of(generation: u32, bytes: &[u8]) -> BundleId {
    Bundle::id_of(Generation(generation), bytes)
}

/// A bundle whose share table has these vaults' shares and no other. Those of another salt are other bytes.
pub(crate) fn with_shares(generation: u32, shares: &[VaultId], salt: u8) -> Vec<u8> {
    let root = TpmRoot(RootSecret::copied_from(&[1; 32]));
    let mut table = Table::new(Generation(generation));
    table.follow(1);
    for (id, nonce) in shares.iter().zip(1..) {
        let share = TpmShare::copied_from(&[salt; 32]);
        table.add(*id, Mark::Made, &root.vsk(), &share, Nonce([nonce; 12])).expect("added");
    }
    let (device, bytes) = (DeviceKey([3; 32]), table.encode(&root.table_key()));
    Bundle::new(&root.escrow_key(), None, (device, Generation(generation)), bytes, BTreeMap::new()).encode()
}

static UPLOADS: AtomicU64 = AtomicU64::new(1);

/// The next of its session.
pub(crate) fn next_place(device: &Device) -> UploadPlace {
    UploadPlace { session: device.session.session_key(), number: UPLOADS.fetch_add(1, Relaxed) }
}

/// Sealed to the controller's certificate, as a node does.
pub(crate) fn sealed(evc: &Evc, device: &Device, generation: u32, bytes: &[u8]) -> SealedBundle {
    let trusted = evc.trusted();
    let controller = trusted.ecdh()[0].certificate.public_key();
    seal_up(controller, device.id, next_place(device), id_of(generation, bytes), bytes).expect("sealed")
}

/// A bundle of before, and [`BYTES`] after it.
pub(crate) fn two_bundles(evc: &Evc, device: &Device) {
    for (generation, bytes) in [(1, b"of before".as_slice()), (2, BYTES)] {
        assert_eq!(upload(evc, device, sealed(evc, device, generation, bytes)), StoreKeysCode::Success);
    }
}

/// Posts it.
pub(crate) fn upload(evc: &Evc, device: &Device, bundle: SealedBundle) -> StoreKeysCode {
    let keys = StoreKeys { integrity_token: vec![], keys: vec![], bundle: Some(bundle) };
    match device.attest(evc, &AttestRequest::StoreKeys(keys)) {
        AttestResponse::StoreKeys(code) => code,
        other => panic!("not on keys: {other:?}"),
    }
}
