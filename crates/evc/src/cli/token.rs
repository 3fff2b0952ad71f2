//! `evc token rotate`: the new token is safe in its file before the controller ends the old one. Cut short anywhere, the file holds
//! a token that is good, and saying it again finishes.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use disk::Disk;
use serde_json::{Value, json};

use super::client::Client;
use crate::service::{new_token, token_hash};

/// Puts a new token in the place of the one in use.
pub(super) fn rotate(client: &mut Client) -> anyhow::Result<Value> {
    let file = client.token_file().canonicalize().context("the token's file")?;
    let folder = File::open(file.parent().unwrap_or(Path::new("/"))).context("the token's folder")?;
    // Two at once would end each other's.
    folder.try_lock().context("another rotation is under way, or the folder can't be locked")?;
    let token = new_token()?;
    let new = file.with_added_extension("new");
    let disk = Disk::linux();
    disk.write(&new, token.as_bytes(), 0o600)
        .with_context(|| format!("can't write {}; nothing was changed", new.display()))?;
    if let Err(error) = client.post("/tokens", &json!({ "sha256": hex::encode(token_hash(&token)) })) {
        let _ = disk.unlink(&new);
        return Err(error);
    }
    disk.rename(&new, &file).with_context(|| {
        format!("can't put the new token into {}; the old one is still good", file.display())
    })?;
    client.carry(&token);
    client.delete("/tokens/others").context("the old token is still good; run `evc token rotate` again")
}
