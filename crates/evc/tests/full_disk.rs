//! A disk that is full, whose blocks are smaller than the pages that SQLite maps: what needs room is refused in words, and nothing kills the
//! process (seen-by-users 0b.10). Needs root, for a disk in an image.

mod common;

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Serving, agent, serve, terminate};

const BLOCK: u64 = 1024;
/// Blocks that the index of a log needs for its first part.
const INDEX: u64 = 32;
const FULL: &str = "the database's disk is full, can't be written, or fails: make room, or mend it";

/// A small ext4, and a file that takes the room that nothing else has.
struct Small {
    folder: tempfile::TempDir,
    filler: PathBuf,
}

impl Small {
    fn disk() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (image, place) = (folder.path().join("image"), folder.path().join("disk"));
        File::create(&image).expect("made").set_len(8 << 20).expect("sized");
        std::fs::create_dir(&place).expect("made");
        let blocks = BLOCK.to_string();
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-b", &blocks]).arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&place));
        Self { filler: place.join("filler"), folder }
    }

    fn place(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Nothing but so many blocks is free from now on.
    fn leave(&self, blocks: u64) {
        let mut filler = OpenOptions::new().create(true).append(true).open(&self.filler).expect("opened");
        while filler.write(&[0; BLOCK as usize]).is_ok() {}
        let length = filler.metadata().expect("seen").len();
        filler.set_len(length - blocks * BLOCK).expect("shorter");
        // What a file gave back is free after that.
        run(&mut Command::new("sync"));
    }

    fn empty(&self) {
        let _ = std::fs::remove_file(&self.filler);
        run(&mut Command::new("sync"));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.place()).status();
    }
}

fn run(command: &mut Command) {
    let ended = command.status().expect("it is there");
    assert!(ended.success(), "run as root: {command:?}: {ended}");
}

/// Starts it: served, or with what it said when it ended.
fn start(data: &Path) -> Result<Serving, String> {
    let mut serve = Command::new(env!("CARGO_BIN_EXE_evc"));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    let mut child = Serving(serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started"));
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().expect("piped")).read_line(&mut line).expect("read");
    if line.starts_with("listening on ") {
        return Ok(child);
    }
    let said = std::io::read_to_string(child.0.stderr.take().expect("piped")).expect("read");
    let ended = child.0.wait().expect("ended");
    assert_eq!(ended.code(), Some(1), "{ended}: {said}");
    Err(said)
}

#[test]
fn a_start_on_a_full_disk_of_small_blocks_is_refused_in_words() {
    let disk = Small::disk();
    let data = disk.place().join("data");
    terminate(serve(&data).0);
    for free in (0..INDEX + 8).step_by(4) {
        disk.leave(free);
        match start(&data) {
            Ok(serving) => assert_eq!(terminate(serving).0, Some(0), "{free} blocks"),
            Err(said) => assert!(said.contains(FULL), "{free} blocks: {said}"),
        }
        disk.empty();
    }
    assert_eq!(terminate(start(&data).expect("it serves again")).0, Some(0));
}

#[test]
fn a_disk_that_fills_up_under_a_controller_refuses_acts_in_words() {
    let disk = Small::disk();
    let data = disk.place().join("data");
    let (serving, url) = serve(&data);
    let token = std::fs::read_to_string(data.join("operator.token")).expect("a token");
    let agent = agent(&data);
    let apply = |name: u64| {
        let policy = format!("kind: VaultPolicy\nname: p{name}\ncustody: controller\n");
        let request = agent.post(format!("{url}/api/v1/apply"));
        let mut answer =
            request.header("authorization", format!("Bearer {token}")).send(policy).expect("it answers");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
    };
    let mut refused = 0;
    for free in 0..INDEX {
        disk.leave(free);
        match apply(free) {
            (200, _) => {}
            (500, said) => {
                assert!(said.contains("disk-failed"), "{said}");
                refused += 1;
            }
            other => panic!("{free} blocks: {other:?}"),
        }
    }
    assert!(refused > 0, "it was full");
    disk.empty();
    assert_eq!(apply(INDEX).0, 200, "it goes on as soon as there is room");
    assert_eq!(terminate(serving).0, Some(0));
}
