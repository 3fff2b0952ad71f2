//! Files of the node. All lie under one root, `--root` (`/` when not given), so many nodes fit on one machine. `persist` is the mount
//! point of a filesystem with encryption. A `?` marks a file that need not be there.
//!
//! ```text
//! config/                           written by the installer, plain
//!   server  root-certificate.pem  proxy?  serial?  tcti?  tpm-owner-auth? (0600)  location.json?
//!   onboard.cert.pem?  onboard.key.pem? (0600)    of no use once the device is registered: take them away
//!   device.cert.pem  ek.pub         written by us: the device's certificate; the name of the EK that belongs here
//!   boot-pcrs                       written by us: the PCRs that P is bound to, to name those that moved; only informs
//!   device.key.pem (0600)           only on a node without a TPM
//! persist/
//!   .fscrypt/{policies,protectors}/ key files where the fscrypt tool looks: the first copy
//!   config/                         the Config Vault itself
//!     zedagent/{lastconfig,controllercerts}   the checkpoint: the last signed answer with a vault section
//!     vaultmgr/record               the newest accepted section as it was signed, its place in the chain, what was listed and
//!                                   removed, the controller's root, which device this is, which incarnations are over
//!   img/                            the Image Vault itself
//!   vaults/<uuid>/                  user vaults
//!   vaults/.meta/<uuid>/            key files: the second copy
//!   vaults/.shares/shares.<g>       the share table of generation g: ciphertext, authenticated
//!   vaults/.meta/.shares/shares.<g> its second copy
//!   vaults/.shares/shares.<g>.lost.<n>   a table that no root opened, kept aside; taken up by the TPM that opens it
//!   vaults/.new/<uuid>/             a default vault in the making: at first its encrypted copy; after the exchange the plain
//!                                   files, until they are wiped; beside it `.stamps` (what they were), `.going` (being wiped)
//!   status/                         nothing secret: nim/DevicePortConfigList.json, tpmmgr/tpm_in_use (only informs)
//! run/eve/                          sockets, lock (the supervisor's; vaultmgr locks persist/vaults itself), locked: what root locked here, for this boot; courier: a courier's last file
//! ```
//!
//! A power cut may leave `.tmp-eve-new-*` and `.tmp-eve-old-*` beside a file that was being replaced: see `disk::scrub`. A durable
//! write is a temporary file, fsync, rename, fsync of the folder. `ek.pub` and `device.cert.pem` are written through a
//! descriptor that was opened before the walls (`agents/keep.rs`), and a part of one is made anew. vaultmgr opens its own files
//! without following links, and reads with a bound. Who may read and write what, `eve walls` prints.

use std::path::{Path, PathBuf};

macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident = $path:literal;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(root: &Path) -> PathBuf {
            root.join($path)
        }
    )*};
}
paths! {
    /// `host:port` of the controller.
    server = "config/server";
    /// The only root that the controller is believed under.
    root_certificate = "config/root-certificate.pem";
    /// `http://host:port` of a proxy on the way to the controller.
    proxy = "config/proxy";
    /// Onboarding certificate.
    onboard_cert = "config/onboard.cert.pem";
    /// Its key.
    onboard_key = "config/onboard.key.pem";
    /// The installer's serial number.
    serial = "config/serial";
    /// How the TPM is reached.
    tcti = "config/tcti";
    /// The password of the TPM's owner, where it has one, 0600.
    tpm_owner_auth = "config/tpm-owner-auth";
    /// Name of the endorsement key that this node was installed with.
    ek_pin = "config/ek.pub";
    /// The boot that the TPM's second root is bound to, PCR by PCR. Only informs.
    boot_pcrs = "config/boot-pcrs";
    /// Device certificate.
    device_cert = "config/device.cert.pem";
    /// Device key of a node without a TPM, 0600.
    device_key = "config/device.key.pem";
    /// Location told by the installer.
    location = "config/location.json";
    /// Sockets.
    run = "run/eve";
    /// The courier's file that was taken last: its challenge is to be answered.
    courier = "run/eve/courier";
    /// Marker: this node works with its TPM (DF-5). Only informs.
    tpm_in_use = "persist/status/tpmmgr/tpm_in_use";
    /// nim's list of ports.
    port_config = "persist/status/nim/DevicePortConfigList.json";
    /// zedagent's checkpoint, in the Config Vault.
    checkpoint = "persist/config/zedagent";
}
