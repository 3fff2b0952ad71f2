//! PCRs that other software of this machine extends after the boot: sealed to, or appraised, they lock out at the next change.
//! Source: systemd.io/TPM2_PCR_MEASUREMENTS; Documentation/ABI/testing/ima_policy.

use std::path::Path;

use super::finding::{Code, Finding};

/// Measurements beyond the first, which is the boot's own (`boot_aggregate`), come from a policy.
const IMA: &str = "sys/kernel/security/ima/runtime_measurements_count";
/// Of systemd's phases, of filesystems and of the machine's identity.
const PHASES: [&str; 3] = ["usr/lib/systemd", "lib/systemd", "etc/systemd"];
/// The stub of a unified kernel image says what it was.
const STUB: &str = "sys/firmware/efi/efivars/StubInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

pub(super) fn look() -> Vec<Finding> {
    of(Path::new("/"))
}

fn of(system: &Path) -> Vec<Finding> {
    let stub = system.join(STUB).exists();
    let moved = [
        (ima(system), "PCR 10: the kernel's IMA has a policy, and measures files into it as they are used"),
        (
            stub,
            "PCRs 11, 12 and 13: this machine boots a unified kernel image, whose stub measures the image, credentials and add-ons",
        ),
        (stub && phases(system), "PCR 11: systemd measures each phase of the boot into it"),
    ];
    moved.into_iter().filter(|(is, _)| *is).map(|(_, what)| Finding::of(Code::PcrsMove, what)).collect()
}

fn ima(system: &Path) -> bool {
    let count =
        std::fs::read_to_string(system.join(IMA)).ok().and_then(|text| text.trim().parse::<u64>().ok());
    count.is_some_and(|count| count > 1)
}

fn phases(system: &Path) -> bool {
    PHASES.iter().any(|folder| system.join(folder).join("system/systemd-pcrphase.service").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Issue 9, 11: each is told by the PCRs that it moves; a machine of which nothing is known to move any is told nothing.
    #[test]
    fn what_moves_pcrs_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("one")).expect("makes");
            std::fs::write(path, text).expect("writes");
        };
        let told = || of(dir.path()).into_iter().map(|found| found.found).collect::<Vec<_>>().join("\n");
        assert_eq!(told(), "");
        write(IMA, "1\n");
        write("usr/lib/systemd/system/systemd-pcrphase.service", "");
        assert_eq!(told(), "", "the boot's own measurement; phases without a stub go nowhere");
        write(IMA, "2\n");
        assert!(told().contains("PCR 10"), "{}", told());
        write(STUB, "x");
        assert!(told().contains("PCRs 11, 12 and 13") && told().contains("PCR 11: systemd"), "{}", told());
    }
}
