//! `evc token new`: another token, by the right of who reads the controller's key-encryption key. Safe in a file before it is let in.
//! `evc token rotate`: the new token is safe in its file before the controller ends the old one. Cut short anywhere, the file holds
//! a token that is good, and saying it again finishes.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use anyhow::{Context as _, bail};
use disk::Disk;
use nix::unistd::geteuid;

use super::args::Reach;
use super::client::{Client, token_file};
use super::failed::Failed;
use crate::api::calls::{ADD_TOKEN, END_OTHER_TOKENS};
use crate::api::{Done, NewToken};
use crate::clock::now;
use crate::custody::protect;
use crate::service::{let_in, new_token, token_hash};

/// Makes a token on the controller's machine, beside those that there are.
pub(super) fn new(disk: &Disk, reach: &Reach) -> anyhow::Result<Done> {
    // Before any key is read. What is missing of it `evc serve` says.
    let _ = protect();
    let (data, file) = (reach.data(), token_file(reach));
    if fs::symlink_metadata(&file).is_ok() {
        bail!(
            "{} is there already, and is not overwritten\n  what to do: if it is good, `evc token rotate` puts a new one in its place; if not, \
             move it away, or give another --token-file",
            file.display()
        );
    }
    let kek = fs::metadata(data.join("kek")).with_context(|| {
        format!(
            "{} is not the data folder of a controller, or its `kek` can't be reached; give --data, on the controller's machine",
            data.display()
        )
    })?;
    let (new, token) = (file.with_added_extension("new"), new_token()?);
    disk.write(&new, token.as_bytes(), 0o600)
        .with_context(|| format!("can't write {}; nothing was changed", new.display()))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("evc can't start")?;
    if let Err(error) = runtime.block_on(let_in(disk, &data, &token, now())) {
        let _ = disk.unlink(&new);
        return Err(anyhow::Error::new(error).context("no token was made"));
    }
    // Of root's making it is for who runs the controller.
    let given = if geteuid().is_root() { chown(&new, Some(kek.uid()), Some(kek.gid())) } else { Ok(()) };
    let renamed = given.and_then(|()| Ok(disk.rename(&new, &file)?));
    renamed.with_context(|| not_in_place(&new, &file))?;
    let done = format!("a new token is in {}", file.display());
    Ok(Done { done, notes: vec!["those before it are still good: `evc token rotate` ends them".into()] })
}

/// Puts a new token in the place of the one in use.
pub(super) fn rotate(disk: &Disk, client: &mut Client) -> Result<Done, Failed> {
    let file = client.token_file().canonicalize().context("the token's file")?;
    // Two at once would end each other's. The folder is locked by the controller that runs.
    let before = File::open(&file).context("the token's file")?;
    before.try_lock().context("another rotation is under way, or the token's file can't be locked")?;
    let token = new_token().map_err(anyhow::Error::from)?;
    let new = file.with_added_extension("new");
    disk.write(&new, token.as_bytes(), 0o600)
        .with_context(|| format!("can't write {}; nothing was changed", new.display()))?;
    let hash = NewToken { sha256: hex::encode(token_hash(&token)) };
    if let Err(failed) = client.tell(&ADD_TOKEN, &[], &hash) {
        let _ = disk.unlink(&new);
        return Err(failed);
    }
    disk.rename(&new, &file).with_context(|| {
        format!("{}; so is the old one: run `evc token rotate` again", not_in_place(&new, &file))
    })?;
    client.carry(&token);
    let ended = client.call(&END_OTHER_TOKENS, &[]);
    ended.map_err(|failed| failed.doing("the old token is still good; run `evc token rotate` again"))
}

/// Where a new token lies that was let in, and did not get its name for good.
fn not_in_place(new: &Path, file: &Path) -> String {
    match fs::symlink_metadata(new) {
        Ok(_) => format!(
            "the new token can't be put into {}; it is good, and lies in {}",
            file.display(),
            new.display()
        ),
        Err(_) => {
            format!("the new token is in {}, and good, but may be gone after a power cut", file.display())
        }
    }
}
