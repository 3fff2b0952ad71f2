//! Design, section 1: what apps read and write in an open vault goes through the kernel alone.

use std::fs;
use std::path::{Path, PathBuf};

use eve_vault_tests::Scene;
use testkit::node::Power;

use super::BOTH;

/// UC-A: while a vault is open no process of ours has a file or folder of it open or mapped, works in it, or has mounted anything there;
/// and what was written stays readable with all of them ended.
#[test]
fn uc_a_nothing_of_ours_lies_in_the_way_of_data() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    scene.settled().unwrap();
    let vault = scene.node.vault_dir("till").unwrap();
    let ours = scene.node.processes();
    assert!(ours.len() >= 6, "the supervisor and five agents: {ours:?}");
    let app = fs::File::open(scene.data("till")).unwrap();
    assert_eq!(
        held(std::process::id().cast_signed(), &vault).len(),
        1,
        "the search finds what there is to find"
    );
    drop(app);
    for pid in ours {
        assert_eq!(held(pid, &vault), Vec::<String>::new(), "process {pid}");
    }
    scene.node.stop(Power::Clean).unwrap();
    assert!(scene.has_data("till"), "with no process of ours at all");
}

/// What a process holds in a folder: descriptors, mapped files, its places, mounts.
fn held(pid: i32, folder: &Path) -> Vec<String> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let descriptors = fs::read_dir(proc.join("fd")).unwrap().map(|entry| entry.unwrap().path());
    let places = ["cwd", "root", "exe"].map(|place| proc.join(place));
    let links = descriptors.chain(places).filter_map(|link| fs::read_link(link).ok());
    let links = links.filter(|to| to.starts_with(folder)).map(|to| to.display().to_string());
    let folder = folder.to_str().unwrap();
    let named = |file| fs::read_to_string(proc.join(file)).unwrap();
    let lines = named("maps") + &named("mountinfo");
    links.chain(lines.lines().filter(|line| line.contains(folder)).map(str::to_owned)).collect()
}
