//! The main job, from an empty machine to a deleted vault.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use testkit::blocks::{self, Raw};
use testkit::node::{DISK, Parts, Power};
use testkit::{Evc, Node};

use super::Args;
use super::goods::Goods;
use super::tell::Teller;

const DEVICE: &str = "edge-1";
const VAULT: &str = "payments";

struct Stage {
    evc: Evc,
    node: Node,
    goods: Goods,
}

/// Tells it, in this folder.
pub(crate) fn tell(folder: &Path, args: &Args) -> Result<()> {
    println!(
        "EVE Vault: the main job. A controller, an edge node with a TPM, and a vault whose key needs both."
    );
    let goods = Goods::choose(args.path.as_deref(), folder)?;
    let mut teller = Teller::new();
    let mut stage = onboarding(&mut teller, folder, goods)?;
    vault_made(&mut teller, &mut stage)?;
    rebooted(&mut teller, &mut stage)?;
    rotated(&mut teller, &mut stage)?;
    locked_and_unlocked(&mut teller, &mut stage)?;
    stolen(&mut teller, &mut stage, folder)?;
    if !args.keep {
        removed(&mut teller, &mut stage)?;
    }
    teller.summary(&[
        "the vault's key came from the node's TPM and the controller together, after the TPM had vouched for the boot",
        "a reboot, a new key and a lock left every byte of the data where it was",
        "the disk beside another TPM, without the controller, showed nothing",
        "what the TPM sealed to this boot is in escrow with the controller: after an update it opens once the new boot is approved",
    ]);
    if args.keep {
        keep(&stage)?;
    }
    stage.node.off(Power::Clean)
}

fn policy(operation: &str) -> String {
    format!(
        "kind: VaultPolicy\nname: shop\ncustody: tpm+controller\nseal: pcrs\n\
         attest: {{ every: 15m, require: [pcrs], on_failure: withhold }}\n\
         on_removal: {{ delete_after: 0s }}\noperation: {operation}\n\
         ---\nkind: Vault\nname: {VAULT}\ndevice: {DEVICE}\npolicy: shop\n"
    )
}

fn onboarding(teller: &mut Teller, folder: &Path, goods: Goods) -> Result<Stage> {
    teller.chapter("1. Onboarding");
    let (mut evc, mut node) = (None, None);
    teller.step("start the controller, evc, on SQLite with a CA of its own", || {
        let made = evc.insert(Evc::new(&folder.join("evc"))?);
        Ok(format!("it answers at {}", made.server()))
    })?;
    let evc = evc.context("the controller")?;
    let parts = Parts { disk: DISK + 2 * goods.size, ..Parts::default() };
    teller.step("make a node: a disk, a TPM 2.0, a measured boot; allow its certificate", || {
        node = Some(Node::made(&folder.join(DEVICE), DEVICE, &evc, parts)?);
        Ok("ready".to_owned())
    })?;
    let mut node = node.context("the node")?;
    teller.step("start the node; its default vaults open by its TPM alone", || {
        node.start()?;
        node.until_vault("config", "unlocked")?;
        node.until_vault("image", "unlocked")?;
        Ok("config and image are open".to_owned())
    })?;
    teller.step("the node onboards and attests; approve what its first quote showed", || {
        evc.approve_references(DEVICE)?;
        Ok("reference values approved".to_owned())
    })?;
    Ok(Stage { evc, node, goods })
}

fn vault_made(teller: &mut Teller, Stage { evc, node, goods }: &mut Stage) -> Result<()> {
    teller.chapter("2. A vault under TPM + controller custody");
    let mut said = String::new();
    teller.step("evc apply -f shop.yaml", || {
        said = evc.apply(&policy("unlock"))?;
        Ok("taken".to_owned())
    })?;
    said.lines().for_each(|line| teller.show(line));
    teller.step("the node is challenged, quotes, gets the key, makes the vault", || {
        node.until_vault(VAULT, "unlocked")?;
        Ok("unlocked".to_owned())
    })?;
    let dir = node.vault_dir(VAULT)?;
    teller.step(&format!("copy {} into it", goods.name()), || goods.copy_into(&dir))
}

fn rebooted(teller: &mut Teller, Stage { node, goods, .. }: &mut Stage) -> Result<()> {
    teller.chapter("3. A reboot");
    teller.step(
        "all processes end, the disk is unmounted, the TPM is reset, the boot is measured again",
        || {
            node.reboot(Power::Clean)?;
            Ok("booted".to_owned())
        },
    )?;
    teller.step("the node attests anew and gets the key again", || {
        node.until_vault(VAULT, "unlocked")?;
        Ok("unlocked".to_owned())
    })?;
    let dir = node.vault_dir(VAULT)?;
    teller.step("read the data back", || goods.same_in(&dir))
}

fn rotated(teller: &mut Teller, Stage { evc, node, goods }: &mut Stage) -> Result<()> {
    teller.chapter("4. A new key, with no data rewritten");
    let before = on_disk(node, goods)?;
    let epoch = node.vault(VAULT)?["epoch"].as_u64().unwrap_or_default();
    teller.step("evc rotate; the node wraps its 32-byte protector key anew", || {
        evc.run(&["rotate", "vault", VAULT, "--device", DEVICE])?;
        let newer = |vault: &serde_json::Value| vault["epoch"].as_u64() > Some(epoch);
        let vault = node.until_vault_is(VAULT, "a newer epoch", newer)?;
        Ok(format!("epoch {epoch} -> {}", vault["epoch"]))
    })?;
    teller.step("compare the file's extents and the raw blocks on the disk", || {
        let after = on_disk(node, goods)?;
        ensure!(before == after, "the data moved or changed: {before:?} {after:?}");
        Ok(format!("every block unchanged, extents: {}", after.extents.len()))
    })
}

fn on_disk(node: &Node, goods: &Goods) -> Result<Raw> {
    blocks::raw(&goods.biggest_in(&node.vault_dir(VAULT)?)?, node.disk().image())
}

fn locked_and_unlocked(teller: &mut Teller, Stage { evc, node, goods }: &mut Stage) -> Result<()> {
    teller.chapter("5. Locked, unlocked");
    let dir = node.vault_dir(VAULT)?;
    teller.step("apply `operation: lock`", || {
        evc.apply(&policy("lock"))?;
        node.until_vault(VAULT, "locked")?;
        Ok("locked".to_owned())
    })?;
    let names = unreadable(&dir, goods)?;
    teller.show(&format!("ls {}: {}", dir.display(), names.join(" ")));
    teller.step("apply `operation: unlock`", || {
        evc.apply(&policy("unlock"))?;
        node.until_vault(VAULT, "unlocked")?;
        goods.same_in(&dir)
    })
}

/// The names in a locked vault, when none tells anything and none can be opened.
fn unreadable(dir: &Path, goods: &Goods) -> Result<Vec<String>> {
    let entries: Vec<PathBuf> = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let names: Vec<_> =
        entries.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    ensure!(!names.is_empty(), "{} is empty", dir.display());
    if names.iter().any(|name| name == goods.name()) {
        bail!("{} can be read", goods.name());
    }
    ensure!(
        !entries.iter().any(|path| path.is_file() && fs::File::open(path).is_ok()),
        "a locked file opens"
    );
    Ok(names)
}

fn stolen(teller: &mut Teller, Stage { node, goods, .. }: &mut Stage, folder: &Path) -> Result<()> {
    teller.chapter("6. The disk in a thief's hands");
    let dir = node.vault_dir(VAULT)?;
    let place = dir.strip_prefix(node.root())?.to_owned();
    let mut thief = None;
    teller.step(
        "turn the node off, copy its disk, put it beside another TPM, out of reach of the controller",
        || {
            node.off(Power::Clean)?;
            thief = Some(node.stolen_disk(&folder.join("thief"))?);
            Ok("copied".to_owned())
        },
    )?;
    let mut thief = thief.context("the copy")?;
    teller.step("start the node's software there", || {
        thief.start()?;
        thief.until_vault("config", "missing")?;
        thief.until_vault("image", "missing")?;
        Ok("nothing opens".to_owned())
    })?;
    teller.show(&format!(
        "eve vault list: {}",
        thief.run(&["vault", "list"])?.trim().replace('\n', "\n                      ")
    ));
    let names = unreadable(&thief.root().join(place), goods)?;
    teller.show(&format!("ls {VAULT}: {}", names.join(" ")));
    thief.off(Power::Clean)?;
    teller.step("turn the node itself on again", || {
        node.on(Power::Clean)?;
        node.until_vault(VAULT, "unlocked")?;
        goods.same_in(&dir)
    })
}

fn removed(teller: &mut Teller, Stage { evc, node, .. }: &mut Stage) -> Result<()> {
    teller.chapter("7. Removed");
    let dir = node.vault_dir(VAULT)?;
    teller.step("evc delete vault (its grace is 0 s here)", || {
        evc.run(&["delete", "vault", VAULT, "--device", DEVICE, "--confirm", VAULT])?;
        node.until_gone(VAULT)?;
        ensure!(!dir.exists(), "{} is still there", dir.display());
        Ok("directory and keys are gone".to_owned())
    })
}

fn keep(Stage { evc, node, .. }: &Stage) -> Result<()> {
    let bins = std::env::current_exe()?.parent().context("a folder of binaries")?.to_owned();
    println!("\nAll of it runs on. In another terminal, as root:\n");
    println!("  export PATH={}:$PATH EVC_DATA={}", bins.display(), evc.data().display());
    println!("  export EVE_ROOT={}", node.root().display());
    println!("  evc status; evc get devices; evc get vaults; evc describe vault {VAULT} --device {DEVICE}");
    println!("  eve status; eve vault list; ls $(eve vault path {VAULT}); eve bus tail");
    println!("  eve vault lock {VAULT}; ls $(eve vault path {VAULT}); eve vault unlock {VAULT}");
    println!("  evc delete vault {VAULT} --device {DEVICE} --confirm {VAULT}    # chapter 7, left to you");
    println!("  logs: {} {}", evc.log().display(), node.log().display());
    println!("\nEnter, or an interrupt, ends it and removes everything.");
    if std::io::stdin().read_line(&mut String::new())? == 0 {
        // Nobody is at the keyboard: as of a service, or behind a pipe.
        println!("The input is at its end, so Enter can't come: an interrupt ends it.");
        loop {
            std::thread::park();
        }
    }
    Ok(())
}
