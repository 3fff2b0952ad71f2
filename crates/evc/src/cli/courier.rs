//! `evc export` and `evc import`: what is carried to a node without a line, and back.

use std::io::{self, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use disk::{Disk, Error};
use serde_json::json;
use vault::text::{path_shown, plain};
use wire::courier::MAX_EVIDENCE_FILE;

use super::args::{Exported, Imported};
use super::client::Client;
use super::failed::Failed;
use super::told::Told;
use crate::api::calls::{EXPORT, IMPORT};
use crate::api::{CourierFile, Exporting, Importing};

pub(super) fn export(disk: &Disk, client: &Client, what: &Exported) -> Result<Told, Failed> {
    is_free(&what.file, what.force)?;
    let good_for_s = u32::try_from(what.good_for.as_secs()).unwrap_or(u32::MAX);
    let made = client.tell(&EXPORT, &[&what.device], &Exporting { good_for_s: Some(good_for_s) })?;
    written(disk, &made, Some((&what.file, what.force)), "exported")
}

pub(super) fn import(disk: &Disk, client: &Client, what: &Imported) -> Result<Told, Failed> {
    // Before anything is taken: the evidence is good for one time.
    what.answer.iter().try_for_each(|file| is_free(file, what.force))?;
    let file = STANDARD.encode(read(&what.file)?);
    let made = client.tell(&IMPORT, &[], &Importing { file })?;
    let taken = if made.again { TAKEN_BEFORE } else { "evidence taken" };
    let written = written(disk, &made, what.answer.as_deref().map(|file| (file, what.force)), taken);
    // What was taken stays taken.
    written.map_err(|failed| failed.doing(&without_answer(&made, taken)))
}

const TAKEN_BEFORE: &str = "evidence taken before, and nothing changed";

fn without_answer(made: &CourierFile, taken: &str) -> String {
    let name = &made.device_name;
    format!(
        "device `{name}`: {taken}, and the answer for its node is not written\n  what to do: make room, or name another file, and say the same again; or `evc export \
         {name:#} FILE`: both give the answer again, and no other evidence is needed\n  cause"
    )
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let words = || format!("can't read {}", path_shown(path));
    let from: Box<dyn io::Read> = if is_stream(path) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).with_context(words)?)
    };
    let mut bytes = Vec::new();
    from.take(MAX_EVIDENCE_FILE as u64 + 1).read_to_end(&mut bytes).with_context(words)?;
    if bytes.len() > MAX_EVIDENCE_FILE {
        bail!(
            "{} is longer than a courier's file is ({MAX_EVIDENCE_FILE} bytes): give one that `eve export-evidence` wrote",
            path_shown(path)
        );
    }
    Ok(bytes)
}

fn is_free(path: &Path, force: bool) -> anyhow::Result<()> {
    if !force && !is_stream(path) && std::fs::symlink_metadata(path).is_ok() {
        return Err(taken(path));
    }
    Ok(())
}

fn taken(path: &Path) -> anyhow::Error {
    anyhow!(
        "{} is there already, and is not overwritten\n  what to do: name another file, or say --force",
        path_shown(path)
    )
}

fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

fn written(disk: &Disk, made: &CourierFile, into: Option<(&Path, bool)>, what: &str) -> Result<Told, Failed> {
    let bytes = STANDARD.decode(&made.file).context("the controller's answer is no file of a courier")?;
    let told = told(made, into.map(|(path, _)| path), what);
    let Some((path, force)) = into else { return facts(made, &told) };
    if is_stream(path) {
        let mut out = io::stdout().lock();
        // Whoever reads has all of it, or it is not written: what is left in a buffer would be lost in silence.
        out.write_all(&bytes).and_then(|()| out.flush()).context("can't write to standard output")?;
        let _ = io::stderr().lock().write_all(told.as_bytes());
        return Told::nothing();
    }
    write(disk, path, &bytes, force)?;
    facts(made, &told)
}

/// The file is of one node, and says which vaults it has.
fn write(disk: &Disk, path: &Path, bytes: &[u8], force: bool) -> anyhow::Result<()> {
    let words = || format!("can't write {}", path_shown(path));
    if force {
        return disk.write(path, bytes, 0o600).with_context(words);
    }
    match disk.write_first(path, bytes, 0o600) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => Err(taken(path)),
        Err(error) => {
            // Whole, and not durable: it is told as not written, and is not to be in the way of whoever says the same again.
            if std::fs::read(path).is_ok_and(|there| there == bytes) {
                let _ = disk.unlink(path);
            }
            Err(error).with_context(words)
        }
        Ok(()) => Ok(()),
    }
}

/// All but the file itself.
fn facts(made: &CourierFile, text: &str) -> Result<Told, Failed> {
    let mut value = json!(made);
    value.as_object_mut().map(|fields| fields.remove("file"));
    Told::whole(&value, text.to_owned(), format!("device/{}", made.device_name))
}

fn told(made: &CourierFile, into: Option<&Path>, what: &str) -> String {
    let name = &made.device_name;
    let head = match into {
        Some(path) if !is_stream(path) => {
            format!("device `{name}`: {what}; the answer for its node is in {}\n", path.display())
        }
        Some(_) => format!("device `{name}`: {what}\n"),
        None => {
            format!("device `{name}`: {what}; `evc export {name:#} FILE` writes the answer for its node\n")
        }
    };
    let notes = notes(made).into_iter().map(|note| format!("  note: {}\n", plain(&note)));
    [head].into_iter().chain(notes).collect()
}

fn notes(made: &CourierFile) -> Vec<String> {
    let until = &made.answer_until;
    let mut notes = vec![match (&made.session, made.section) {
        (None, _) => {
            "it holds a challenge alone: this controller knows no session of the node yet".to_owned()
        }
        (Some(session), None) => {
            format!(
                "it holds no list of vaults for session {session}: what is missing comes with the node's evidence"
            )
        }
        (Some(session), Some(section)) => format!(
            "it holds list of vaults {section} for session {session} of the node, and keys of so many vaults: {}; after a restart of the node it opens nothing",
            made.releases
        ),
    }];
    notes.push(format!("evidence of the node over its challenge is taken until {until}, once"));
    if made.lost {
        let name = &made.device_name;
        notes.push(format!(
            "the device is marked as lost: no key goes to it, and its vaults are ordered to be locked: carry the answer to the node, where `eve import` locks them; if it is \
             in good hands again: `evc device found {name:#}`, and then a new file of `evc export {name:#} FILE`"
        ));
    }
    if let Some(lacks) = &made.lacks {
        notes.push(format!("its evidence was good and satisfies no policy: {lacks}"));
    }
    notes
}
