//! The secrets of the domain, a boxed newtype each: moved without copies, wiped on drop, never printed, never compared with `==`.
//! `grep expose_` lists every reader.

use std::fmt;

use zeroize::Zeroizing;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $expose:ident) => {
        $(#[$doc])*
        pub struct $name(Box<Zeroizing<[u8; 32]>>);

        impl $name {
            /// Fills a secret in place, leaving no copy on the stack.
            ///
            /// # Errors
            /// Those of `fill`.
            pub fn init<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
                let mut secret = Box::new(Zeroizing::new([0; 32]));
                fill(&mut secret)?;
                Ok(Self(secret))
            }

            /// Copies a secret out of a buffer that the caller wipes.
            #[must_use]
            pub fn copied_from(bytes: &[u8; 32]) -> Self {
                let mut secret = Box::new(Zeroizing::new([0; 32]));
                secret.copy_from_slice(bytes);
                Self(secret)
            }

            /// Returns the bytes.
            #[must_use]
            pub fn $expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    };
}

secret! {
    /// A controller's share of one vault at one epoch (KO-3).
    ControllerKey, expose_controller_key
}
secret! {
    /// The TPM's share of one vault, from the node's share table (KO-1).
    TpmShare, expose_tpm_share
}
secret! {
    /// `R` (docs/GLOSSARY.md): what wraps a protector's own key. Derived, never stored.
    WrappingSecret, expose_wrapping_secret
}
secret! {
    /// A root read from the TPM's NV: `T_g` or `P_g`.
    RootSecret, expose_root_secret
}
secret! {
    /// A volume storage key: seals the shares of one TPM policy.
    VolumeKey, expose_volume_key
}
secret! {
    /// Authenticates one generation's whole share table.
    TableKey, expose_table_key
}
secret! {
    /// A vault's recovery key: opens its recovery protector, and lies on the disk encrypted to the operator's recipients alone.
    RecoveryKey, expose_recovery_key
}
secret! {
    /// `W_g`: seals the root that is bound to PCRs into the escrow bundle of its generation, and nothing else.
    EscrowKey, expose_escrow_key
}
