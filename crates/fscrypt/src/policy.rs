//! What a directory's encryption policy says, in the kernel's numbers.

use crate::KeyIdentifier;

/// `FSCRYPT_MODE_AES_256_XTS`, for contents.
const MODE_AES_256_XTS: u8 = 1;
/// `FSCRYPT_MODE_AES_256_CTS`, for file names.
const MODE_AES_256_CTS: u8 = 4;
/// `FSCRYPT_MODE_ADIANTUM`, for both.
const MODE_ADIANTUM: u8 = 9;
/// `FSCRYPT_POLICY_FLAGS_PAD_32`.
const PAD_32: u8 = 3;
/// `FSCRYPT_POLICY_FLAG_DIRECT_KEY`.
const DIRECT_KEY: u8 = 4;

/// How contents and names are encrypted. Ours are the two constants; any other value comes from a policy made elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Modes {
    pub(crate) contents: u8,
    pub(crate) filenames: u8,
    pub(crate) flags: u8,
    pub(crate) log2_data_unit_size: u8,
}

impl Modes {
    /// AES-256-XTS for contents, AES-256-CTS for names, names padded to 32 bytes: the `fscrypt` tool's standard.
    pub const AES_256_XTS: Self = Self {
        contents: MODE_AES_256_XTS,
        filenames: MODE_AES_256_CTS,
        flags: PAD_32,
        log2_data_unit_size: 0,
    };
    /// Adiantum for contents and names, with the key used directly, as the `fscrypt` tool sets it.
    pub const ADIANTUM: Self = Self {
        contents: MODE_ADIANTUM,
        filenames: MODE_ADIANTUM,
        flags: PAD_32 | DIRECT_KEY,
        log2_data_unit_size: 0,
    };

    /// The modes that the tool's options (padding in bytes, contents, filenames) stand for; `None` when there are no such.
    pub(crate) fn from_options(padding: i64, contents: i64, filenames: i64) -> Option<Self> {
        let pad = match padding {
            4 => 0,
            8 => 1,
            16 => 2,
            32 => PAD_32,
            _ => return None,
        };
        let direct = if (contents, filenames) == (MODE_ADIANTUM.into(), MODE_ADIANTUM.into()) {
            DIRECT_KEY
        } else {
            0
        };
        Some(Self {
            contents: u8::try_from(contents).ok()?,
            filenames: u8::try_from(filenames).ok()?,
            flags: pad | direct,
            log2_data_unit_size: 0,
        })
    }

    /// Bytes to which names are padded.
    pub(crate) fn padding(self) -> i64 {
        4 << (self.flags & PAD_32)
    }
}

/// A version 2 policy of a directory: which key, and how it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// The key's name in the kernel.
    pub identifier: KeyIdentifier,
    /// How contents and names are encrypted.
    pub modes: Modes,
}
