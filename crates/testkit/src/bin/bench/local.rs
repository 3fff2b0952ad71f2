//! Unlock and lock of one vault on the node, beside the `fscrypt` command on the same filesystem.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use eve::bus::messages::{LockVault, UnlockVault};
use eve::bus::{Agent, Bus, Call};
use testkit::fscrypt_cli::FscryptCli;
use testkit::mounts::OwnMounts;
use testkit::node::Parts;
use testkit::{Node, program};
use vault::ids::VaultId;
use vault::report::{State, VaultReport};

use super::report::Report;
use super::stats::{Samples, times};

const PATIENCE: Duration = Duration::from_secs(30);
const VAULTS: &str = "kind: VaultPolicy\nname: p\ncustody: tpm\n---\nkind: Vault\nname: till\ndevice: edge-1\npolicy: p\n---\n\
                      kind: Vault\nname: counter\ndevice: edge-1\npolicy: p\n";
const UNLOCK_GOAL: f64 = 4.0;
const LOCK_GOAL: f64 = 3.0;

/// The two that are compared, and what else stands beside them.
#[derive(Default)]
struct Timings {
    call: Samples,
    eve: Samples,
    fscrypt: Samples,
    ioctl: Samples,
}

struct Bench {
    node: Node,
    bus: Bus,
    /// The vault that is called for; the command line has one of its own.
    till: VaultId,
    files: [PathBuf; 2],
    peer: Peer,
    bare: Bare,
}

pub(crate) fn measure(folder: &Path, mounts: &OwnMounts, quick: bool, report: &mut Report) -> Result<()> {
    let (evc, node) = super::attested(folder, Parts::default())?;
    let bench = Bench::new(folder, mounts, &evc, node)?;
    let (mut unlock, mut lock) = (Timings::default(), Timings::default());
    for number in 0..if quick { 8 } else { 80 } {
        bench.round(number, &mut unlock, &mut lock)?;
    }
    report.section(
        "One vault on the node, against the `fscrypt` command",
        "A vault of custody `tpm` and a directory of the fscrypt command's (raw_key protector) on one ext4, a file in each. \
         *Call*: one call to the running vaultmgr over the bus. The ioctl alone is the kernel's part of each.",
    );
    tell(report, "unlock", &unlock, UNLOCK_GOAL);
    tell(report, "lock", &lock, LOCK_GOAL);
    Ok(())
}

fn tell(report: &mut Report, what: &str, timings: &Timings, goal: f64) {
    report.row(&format!("{what}: call to vaultmgr"), &timings.call.words());
    report.row(&format!("{what}: `fscrypt {what}`"), &timings.fscrypt.words());
    report.row(&format!("{what}: `eve vault {what}`"), &timings.eve.words());
    report.row(&format!("{what}: the ioctl alone"), &timings.ioctl.words());
    let ratio = times(&timings.fscrypt, &timings.call);
    report.speed_goal(
        &format!("{what}: at least {goal} times faster than fscrypt"),
        &format!("{ratio:.1} times"),
        ratio >= goal,
    );
}

impl Bench {
    fn new(folder: &Path, mounts: &OwnMounts, evc: &testkit::Evc, mut node: Node) -> Result<Self> {
        evc.apply(VAULTS)?;
        let files = [in_vault(&mut node, "till")?, in_vault(&mut node, "counter")?];
        let till = node.vault("till")?["id"].as_str().context("an id")?.parse()?;
        let bus = Bus::visit(&node.root(), Agent::Operator);
        let persist = node.root().join("persist");
        let (peer, bare) = (Peer::new(folder, mounts, &persist)?, Bare::new(&persist)?);
        Ok(Self { node, bus, till, files, peer, bare })
    }

    /// All four ways, beginning with another one each time: whoever locks first pays for what the filesystem has to sync.
    fn round(&self, number: usize, unlock: &mut Timings, lock: &mut Timings) -> Result<()> {
        for way in 0..4 {
            self.lock((number + way) % 4, lock)?;
        }
        for way in 0..4 {
            self.unlock((number + way) % 4, unlock)?;
        }
        self.touch()
    }

    fn lock(&self, way: usize, timings: &mut Timings) -> Result<()> {
        match way {
            0 => self.call(State::Locked, &mut timings.call, &LockVault { id: self.till }),
            1 => timings.fscrypt.time(|| self.peer.lock()),
            2 => timings.eve.time(|| self.eve("lock")),
            _ => timings.ioctl.time(|| self.bare.lock()),
        }
    }

    fn unlock(&self, way: usize, timings: &mut Timings) -> Result<()> {
        match way {
            0 => self.call(State::Unlocked, &mut timings.call, &UnlockVault { id: self.till }),
            1 => timings.fscrypt.time(|| self.peer.unlock()),
            2 => timings.eve.time(|| self.eve("unlock")),
            _ => timings.ioctl.time(|| self.bare.unlock()),
        }
    }

    fn call<C: Call<Answer = VaultReport>>(
        &self,
        wanted: State,
        samples: &mut Samples,
        call: &C,
    ) -> Result<()> {
        let report = samples.time(|| self.bus.call(call, PATIENCE))?;
        ensure!(report.state == wanted, "not {wanted:?}: {report:?}");
        Ok(())
    }

    /// Reads all files, so that each lock has something to forget.
    fn touch(&self) -> Result<()> {
        fs::read(self.files[0].as_path())?;
        fs::read(self.files[1].as_path())?;
        fs::read(self.peer.dir.join("file"))?;
        Ok(fs::read(self.bare.dir.join("file")).map(drop)?)
    }

    fn eve(&self, what: &str) -> Result<()> {
        let root = self.node.root();
        quiet(Command::new(program("eve")?).args(["vault", what, "counter", "--root"]).arg(root))
    }
}

/// Writes a file into a vault, once it is open.
fn in_vault(node: &mut Node, vault: &str) -> Result<PathBuf> {
    node.until_vault(vault, "unlocked")?;
    let file = node.vault_dir(vault)?.join("file");
    fs::write(&file, "data")?;
    Ok(file)
}

/// A directory of the fscrypt command's.
struct Peer {
    cli: FscryptCli,
    dir: PathBuf,
    key: String,
}

impl Peer {
    fn new(folder: &Path, mounts: &OwnMounts, persist: &Path) -> Result<Self> {
        let (cli, dir) = (FscryptCli::new(&folder.join("cli"))?, persist.join("peer"));
        cli.take_etc(mounts)?;
        fs::create_dir(&dir)?;
        let key = format!("--key={}", cli.key_file("key", &[5; 32])?.display());
        let path = dir.display().to_string();
        cli.run(&["encrypt", &path, "--source=raw_key", &key, "--name=peer", "--user=root", "--quiet"])?;
        fs::write(dir.join("file"), "data")?;
        Ok(Self { cli, dir, key })
    }

    fn lock(&self) -> Result<()> {
        self.cli.run_bare(&["lock", "--quiet", &self.dir.to_string_lossy()])
    }

    fn unlock(&self) -> Result<()> {
        self.cli.run_bare(&["unlock", "--quiet", &self.key, &self.dir.to_string_lossy()])
    }
}

/// A directory by the ioctls alone.
pub(super) struct Bare {
    fs: File,
    pub(super) dir: PathBuf,
    key: fscrypt::ContentKey,
}

impl Bare {
    pub(super) fn new(persist: &Path) -> Result<Self> {
        let (fs, dir) = (File::open(persist)?, persist.join("bare"));
        fs::create_dir(&dir)?;
        let key = fscrypt::ContentKey::init(|key| {
            key.fill(9);
            Ok::<_, std::convert::Infallible>(())
        })?;
        let identifier = fscrypt::add_key(&fs, &key)?;
        fscrypt::set_policy(
            File::open(&dir)?,
            &fscrypt::Policy { identifier, modes: fscrypt::Modes::AES_256_XTS },
        )?;
        fs::write(dir.join("file"), "data")?;
        Ok(Self { fs, dir, key })
    }

    fn lock(&self) -> Result<()> {
        let id = fscrypt::KeyIdentifier::of(&self.key);
        Ok(fscrypt::remove_key(&self.fs, id, fscrypt::Claims::All).map(drop)?)
    }

    fn unlock(&self) -> Result<()> {
        Ok(fscrypt::add_key(&self.fs, &self.key).map(drop)?)
    }
}

fn quiet(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
