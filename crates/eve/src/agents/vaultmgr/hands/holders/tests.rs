use std::process::Command;

use super::*;

fn unhurried() -> bool {
    false
}

#[test]
fn an_open_file_names_its_process_and_not_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let _open = fs::File::create(dir.path().join("private-name")).expect("creates");
    let found = search(dir.path(), What::Vault(None), &unhurried);
    let own = format!("process {} (", std::process::id());
    assert!(found.iter().any(|line| line.starts_with(&own) && line.ends_with("an open file")), "{found:?}");
    assert!(!found.concat().contains("private-name"));
}

#[test]
fn nobody_holds_an_idle_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    assert_eq!(search(dir.path(), What::Vault(None), &unhurried), Vec::<String>::new());
}

/// A search ends, however many processes anybody starts, and says that it was cut short.
#[test]
fn a_search_that_takes_too_long_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let _open = fs::File::create(dir.path().join("file")).expect("creates");
    let mut there = Command::new("sleep").arg("600").current_dir(dir.path()).spawn().expect("starts");
    let told = search(dir.path(), What::Vault(None), &|| true);
    there.kill().and_then(|()| there.wait()).expect("ends");
    assert!(matches!(told.as_slice(), [one] if one.contains("too many")), "{told:?}");
}

/// TH-3: how many threads a holder has is up to any user: whether they hang is not looked at for longer than the search may take.
#[test]
fn no_holder_has_so_many_threads_that_a_search_does_not_end() {
    let wait = std::sync::Barrier::new(101);
    let asked = std::cell::Cell::new(0);
    let late = || asked.replace(asked.get() + 1) >= 5;
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| wait.wait());
        }
        let hangs = Process(PathBuf::from(format!("/proc/{}", std::process::id()))).hangs(&late);
        wait.wait();
        assert!(!hangs);
    });
    assert!((6..10).contains(&asked.get()), "it was asked {} times whether it is late", asked.get());
}

/// Threats: a process can't write to root's terminal by what it calls itself.
#[test]
fn a_name_with_control_characters_is_told_escaped() {
    let dir = tempfile::tempdir().expect("a directory");
    let _open = fs::File::create(dir.path().join("file")).expect("creates");
    let before = fs::read("/proc/self/comm").expect("reads");
    fs::write("/proc/self/comm", "a\x1b[2Jb").expect("names itself");
    let found = search(dir.path(), What::Vault(None), &unhurried).concat();
    fs::write("/proc/self/comm", before.trim_ascii_end()).expect("names itself");
    assert!(found.contains(r"(a\u001b[2Jb)") && !found.contains('\x1b'), "{found}");
}

/// Issue 7, B: threads share their open files, and are looked through once: a machine of thousands of threads takes no longer.
#[test]
fn a_table_that_threads_share_is_looked_through_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let subject = Subject::new(dir.path(), What::Vault(None), &unhurried).expect("is there");
    let wait = std::sync::Barrier::new(101);
    let tables = std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| wait.wait());
        }
        let tables = Process(PathBuf::from(format!("/proc/{}", std::process::id()))).tables(&subject).len();
        wait.wait();
        tables
    });
    // Other tests have threads with tables of their own.
    assert!((1..20).contains(&tables), "{tables}");
}
