//! Whether a process was ended and is not gone: what it waits for in the kernel has to return first, and until then its locks hold. Words are
//! those of proc_pid_stat(5) and proc_pid_status(5).

use nix::libc::SIGKILL;

/// Of a process's flags: it is on its way out (include/linux/sched.h).
const PF_EXITING: u64 = 4;

/// None of the two is to be had of a process that is gone.
pub(super) fn is_ending(pid: u32) -> bool {
    let file = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    is_on_its_way(&file("stat")) || is_killed(&file("status"))
}

/// Its first thread has ended, or is in the midst of it. A name may have blanks and brackets, so it is what follows the last of these.
fn is_on_its_way(stat: &str) -> bool {
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let (state, flags) = (fields.next(), fields.nth(5));
    let exiting =
        flags.and_then(|flags| flags.parse::<u64>().ok()).is_some_and(|flags| flags & PF_EXITING != 0);
    exiting || matches!(state, Some("Z" | "X"))
}

/// What ends a process for good is made a SIGKILL of each of its threads.
fn is_killed(status: &str) -> bool {
    let pending = |line: &str| {
        let signals = line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(signals.trim(), 16).ok()
    };
    status.lines().filter_map(pending).any(|signals| signals & (1 << (SIGKILL - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_who_is_ending() {
        for (stat, is) in [
            ("7 (eve) S 1 7 7 0 -1 4194560 98", false),
            ("7 (a) Z 1) S 1 7 7 0 -1 4194560 98", false),
            ("7 (eve) Z 1 7 7 0 -1 4194560 98", true),
            ("7 (eve) D 1 7 7 0 -1 4194564 98", true),
            ("7 (eve", false),
            ("", false),
        ] {
            assert_eq!(is_on_its_way(stat), is, "{stat}");
        }
        for (own, shared, is) in
            [("0", "0", false), ("100", "0", true), ("0", "100", true), ("80", "4000", false)]
        {
            let status = format!("State:\tD (disk sleep)\nSigPnd:\t{own:0>16}\nShdPnd:\t{shared:0>16}\n");
            assert_eq!(is_killed(&status), is, "{status}");
        }
        assert!(!is_ending(std::process::id()));
    }

    /// One that ended by itself got no signal.
    #[test]
    fn a_process_that_nobody_has_waited_for_is_ending() {
        let mut child = std::process::Command::new("true").spawn().expect("true");
        let stat = format!("/proc/{}/stat", child.id());
        while !std::fs::read_to_string(&stat).expect("reads").contains(") Z ") {
            std::thread::yield_now();
        }
        assert!(is_ending(child.id()));
        child.wait().expect("ended");
    }

    /// A process that nobody has waited for is gone from all that it held, and is named as ending while that is not told otherwise.
    #[test]
    fn a_process_that_was_killed_is_ending() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        assert!(!is_ending(child.id()));
        child.kill().expect("kills");
        while !is_ending(child.id()) {
            std::thread::yield_now();
        }
        child.wait().expect("ends");
        assert!(!is_ending(child.id()), "gone");
    }
}
