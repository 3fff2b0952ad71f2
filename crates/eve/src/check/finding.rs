//! What a check finds: a code that scripts and docs know it by, how grave it is, what is, and what to do.

use serde::Serialize;

/// How grave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    /// As it should be.
    Good,
    /// To be known.
    Note,
    /// It works, and protects less, or stops working later.
    Warning,
    /// It does not work.
    Fault,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) code: Code,
    pub(crate) level: Level,
    /// What is.
    pub(crate) found: String,
    /// What to do; empty where there is nothing.
    pub(crate) advice: String,
}

impl Finding {
    pub(crate) fn of(code: Code, found: impl Into<String>) -> Self {
        Self::with_advice(code, found, code.advice())
    }

    /// Where whoever found it knows better what to do.
    pub(crate) fn with_advice(code: Code, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { code, level: code.level(), found: found.into(), advice: advice.into() }
    }
}

macro_rules! codes {
    ($($name:ident $level:ident $advice:literal;)*) => {
        /// Each kind of finding. Codes are never used for something else later; docs/checks.md says what each means.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub(crate) enum Code { $($name),* }

        impl Code {
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            pub(crate) fn level(self) -> Level {
                match self { $(Self::$name => Level::$level),* }
            }

            fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice),* }
            }
        }
    };
}
codes! {
    NotRoot Fault "run it as root";
    Config Good "";
    ConfigMissing Fault "";
    ConfigCertificate Fault "take `root-certificate.pem` from the controller's data folder";
    ConfigOnboarding Fault "put there the onboarding certificate and key that the operator allowed with `evc onboard add`";
    ConfigReadOnly Warning "enough for a node that has its certificate and its TPM's name; mount it for writing before the TPM is exchanged, or its file of PCR values is to be kept up";
    ConfigUnwritable Fault "mount it for writing until the device is registered: its certificate is written there, and the name of its TPM";
    Tpm Good "";
    TpmInUse Note "`eve status` says how its TPM is";
    TpmAbsent Note "vaults of this node can have custody `controller` alone";
    TpmUnusable Fault "";
    TpmLockout Warning "our keys work all the same; whoever has the lockout password ends it with `tpm2_dictionarylockout --clear-lockout`";
    TpmEkCertificate Note "whose TPM it is, is known by its first registration alone: onboard over a network that you trust";
    TpmNvFull Fault "`tpm2_getcap handles-nv-index` lists the indices; take away (`tpm2_nvundefine`) what nobody needs";
    TpmNvTight Warning "what is erased stays openable in older images until there is room: `tpm2_getcap handles-nv-index` lists the indices";
    TpmNvForeign Fault "another system uses the places of this node's secrets: `tpm2_nvundefine` them, if that system is gone";
    BootUnmeasured Warning "`seal: pcrs` and `require: [pcrs]` will not open a vault; boot by UEFI with the TPM on, so that firmware measures";
    PcrsMove Warning "keep that software from extending it, or approve the boot anew after each of its changes";
    DiskMissing Fault "mount the filesystem for vaults there";
    DiskReadOnly Fault "mount it for writing; `dmesg` says whether the kernel found errors on it";
    DiskNoEncryption Fault "";
    DiskUnknown Warning "use ext4: on others it is not claimed that old keys are gone from the disk after a rotation";
    DiskJournalData Note "old wraps are wiped out of the journal after each rotation, which costs some milliseconds";
    DiskFull Warning "free some of it: re-keying and status need room";
    DiskQuota Note "only storage limits need it: `tune2fs -O quota,project -Q prjquota` while it is not mounted, and mount with `prjquota`";
    CipherAes Fault "use a kernel with CONFIG_FS_ENCRYPTION and CONFIG_CRYPTO_XTS";
    CipherAdiantum Note "only vaults of `encryption: adiantum` would need it: a kernel with CONFIG_CRYPTO_ADIANTUM";
    Disk Good "";
    Kernel Good "";
    KernelOld Warning "from Linux 5.14 on old wraps and names are wiped out of the journal";
    KernelLandlock Warning "agents have fewer walls; from Linux 6.12 on all of them are there";
    KernelFreed Note "";
    KernelSwap Warning "";
    KernelHardlinks Warning "`sysctl -w fs.protected_hardlinks=1`, and the same in a file of /etc/sysctl.d, so that it holds after a boot";
    MemoryLock Fault "let it lock memory: `LimitMEMLOCK=infinity` in its unit, or CAP_IPC_LOCK";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Issue 9, 11: each finding has its row in the docs, with its level, and the docs name no other.
    #[test]
    fn the_docs_know_each_code_and_its_level() {
        let rows: Vec<_> = include_str!("../../../../docs/checks.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .map(|(code, rest)| (code, rest.split(' ').next().unwrap_or_default()))
            .collect();
        let text = |value: serde_json::Value| value.as_str().expect("text").to_owned();
        let ours: Vec<_> = Code::ALL
            .iter()
            .map(|code| {
                let value = serde_json::to_value(code).expect("serialises");
                (text(value), text(serde_json::to_value(code.level()).expect("serialises")))
            })
            .collect();
        for (code, level) in &ours {
            assert!(rows.contains(&(code, level)), "{code} is {level}");
        }
        assert_eq!(rows.len(), ours.len());
    }
}
