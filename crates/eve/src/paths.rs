//! Files of the node, under its root. Whose each is stands in the bus table and in ARCHITECTURE.md.

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
    /// Marker: this node works with its TPM (DF-5). Only informs.
    tpm_in_use = "persist/status/tpmmgr/tpm_in_use";
    /// nim's list of ports.
    port_config = "persist/status/nim/DevicePortConfigList.json";
    /// zedagent's checkpoint, in the Config Vault.
    checkpoint = "persist/config/zedagent";
}
