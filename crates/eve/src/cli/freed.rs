//! Whether this kernel wipes memory when it is freed. Where it does not, plain pages of a vault's files stay in memory after a lock, until
//! something else is written over them (mm/page_alloc.c, `init_on_free`).

use std::fs;

/// What becomes of pages that are freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freed {
    Wiped,
    Left,
    NotKnown,
}

/// What is to be said of this kernel.
pub(crate) fn note() -> Option<&'static str> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // /proc/config.gz would tell too. No unpacker is taken in for one bit.
    let config = fs::read_to_string(format!("/boot/config-{}", release.trim())).ok();
    match freed(&fs::read_to_string("/proc/cmdline").unwrap_or_default(), config.as_deref()) {
        Freed::Wiped => None,
        Freed::Left => Some(
            "this kernel does not wipe memory that is freed: after a lock what was read of a vault may stay in it; boot with init_on_free=1",
        ),
        Freed::NotKnown => Some(
            "whether this kernel wipes memory that is freed is not known, and after a lock what was read of a vault may stay in it; boot with init_on_free=1",
        ),
    }
}

/// By the kernel's command line, of which the last word counts, or else by what it was built with.
fn freed(cmdline: &str, config: Option<&str>) -> Freed {
    let said = cmdline.split_whitespace().filter_map(|word| word.strip_prefix("init_on_free=")).next_back();
    let built = |config: &str| config.lines().any(|line| line == "CONFIG_INIT_ON_FREE_DEFAULT_ON=y");
    match (said, config.map(built)) {
        (Some("1" | "y" | "Y" | "on"), _) | (None, Some(true)) => Freed::Wiped,
        (Some("0" | "n" | "N" | "off"), _) | (None, Some(false)) => Freed::Left,
        (Some(_), _) | (None, None) => Freed::NotKnown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Facts, 7: what stays in memory after a lock is told, unless the kernel is known to wipe it.
    #[test]
    fn memory_is_wiped_where_command_line_or_config_say_so() {
        let (on, off) =
            ("A=y\nCONFIG_INIT_ON_FREE_DEFAULT_ON=y\n", "# CONFIG_INIT_ON_FREE_DEFAULT_ON is not set\n");
        for (cmdline, config, told) in [
            ("quiet init_on_free=1 panic=1\n", None, Freed::Wiped),
            ("init_on_free=on", Some(off), Freed::Wiped),
            ("quiet", Some(on), Freed::Wiped),
            ("init_on_free=0", Some(on), Freed::Left),
            ("init_on_free=1 init_on_free=0", None, Freed::Left),
            ("quiet", Some(off), Freed::Left),
            ("no_init_on_free=1", None, Freed::NotKnown),
            ("init_on_free=what", Some(on), Freed::NotKnown),
            ("", None, Freed::NotKnown),
        ] {
            assert_eq!(freed(cmdline, config), told, "{cmdline} {config:?}");
        }
    }
}
