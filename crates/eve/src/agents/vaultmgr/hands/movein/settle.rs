//! After the exchange: what was written to an original since it was compared is carried over into the vault, where the copy was not
//! written to meanwhile; the rest is kept for a person. An original that the vault has is put among the going, and those are wiped:
//! one that stands in its old place was never overwritten, wherever the power was cut.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::RenameFlags;

use super::arriving::{Arriving, NOT_CARRIED, rename};
use super::compare::same_contents;
use super::stamps::{Stamp, Stamps};
use super::{MoveError, Places, Survey, names};
use crate::agents::vaultmgr::hands::tree::{
    self, Entry, Folder, HELD, HELD_UNKNOWN, Kind, Left, Trouble, Work, shown,
};

const PUT_AWAY: &str =
    "can't be put away to be wiped: if it is marked immutable or append-only take that off (chattr -i -a)";
const ELSEWHERE: &str =
    "was moved in and has another name outside the vault, where its data stays in the clear";
const WRITTEN: &str = "was written to while it was compared with what is in the vault: it is looked at again";

/// Looks at the originals once more, and wipes those that the vault has. Nothing there is success. `open`: the vault can be read.
/// Returns what is in the vault and stays outside of it too, in words.
pub(crate) fn settle(places: &Places, open: bool, work: &Work) -> Result<Vec<String>, MoveError> {
    super::exchange::give_back(places)?;
    let mut former = Former::default();
    let judged = judge(places, open, work, &mut former);
    sync(places)?;
    let wiped = tree::wipe(&places.going, work)?;
    judged?;
    if !wiped.left.is_empty() {
        return Err(MoveError::NotWiped(wiped.left));
    }
    let names = clean(places, work)?;
    let elsewhere = wiped.elsewhere.iter().map(|path| elsewhere(places, path, &former));
    Ok(elsewhere.chain(names).map(|words| format!("plain text left: {words}")).collect())
}

/// Where files of several names lie in the vault, by the number of their inode: as what they are called among the going.
type Former = BTreeMap<OsString, PathBuf>;

/// One that is gone from among the going is told by its name in the vault, and by what finds its other names. Of one that a life before put away that name
/// is not known any more.
fn elsewhere(places: &Places, going: &Path, former: &Former) -> String {
    let number = going.file_name().unwrap_or_default();
    let within = former.get(number).map_or_else(|| shown(&places.place), |path| shown(path));
    let what = if former.contains_key(number) { within } else { format!("a file of {within}") };
    let top = top_of(&places.place);
    format!(
        "{what} {ELSEWHERE}: `find {} -xdev -inum {}` lists it; remove it there",
        shown(&top),
        shown(Path::new(number))
    )
}

/// The topmost folder above it on the same filesystem.
fn top_of(path: &Path) -> PathBuf {
    let device = |path: &Path| path.symlink_metadata().ok().map(|found| found.dev());
    let own = device(path);
    let above = path.ancestors().take_while(|above| device(above) == own);
    above.last().unwrap_or(path).to_owned()
}

fn judge(places: &Places, open: bool, work: &Work, former: &mut Former) -> Result<(), MoveError> {
    let originals = match Folder::top(&places.staging) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        top => top?,
    };
    let survey = Survey::of(&places.staging)?;
    survey.in_use(&places.staging, Some(&originals))?;
    work.begin(survey.bytes);
    places.disk.make_folder(&places.going, 0o700).map_err(io::Error::from)?;
    let going = Folder::top(&places.going)?;
    let vault = if open { Some(Folder::top(&places.place)?) } else { None };
    let stamps = Stamps::read(&places.stamps);
    let arriving = match &vault {
        Some(vault) => Some(Arriving::of(places, vault, &stamps, work)?),
        None => Arriving::none(places).map(|()| None)?,
    };
    let mut judging =
        Judging { stamps, going: &going, arriving, left: Left::default(), work, places, former };
    let judged = judging.folder(&originals, vault.as_ref());
    let ended = judging.arriving.take().map_or(Ok(()), |arriving| arriving.end(places));
    judged?;
    ended?;
    if judging.left.is_empty() { Ok(()) } else { Err(MoveError::Differs(judging.left)) }
}

/// What was carried over, now or in a life before, and the names of the going, before the first of them is overwritten: whatever the
/// judging came to.
fn sync(places: &Places) -> Result<(), MoveError> {
    match Folder::top(&places.going) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        going => Ok(rustix::fs::syncfs(&going?).map_err(io::Error::from)?),
    }
}

/// Nothing of the originals is left but empty folders and links, and the names of all. Says what of these may stay.
fn clean(places: &Places, work: &Work) -> Result<Option<String>, MoveError> {
    let left = match Folder::top(&places.staging) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // Where nothing is encrypted a name is no secret.
        originals if !is_encrypted(places)? => originals.map(|_| None)?,
        originals => names::forget(&originals?, work)?,
    };
    tree::remove(&places.staging, work)?;
    tree::remove(&places.stamps, work)?;
    Ok(left)
}

fn is_encrypted(places: &Places) -> io::Result<bool> {
    let vault = Folder::top(&places.place)?;
    Ok(fscrypt::get_policy(&vault).map_err(io::Error::other)?.is_some())
}

struct Judging<'a> {
    stamps: Stamps,
    going: &'a Folder,
    /// Only while the vault is open.
    arriving: Option<Arriving>,
    left: Left,
    work: &'a Work,
    places: &'a Places,
    former: &'a mut Former,
}

impl Judging<'_> {
    /// `to`: the folder of the vault that it was copied to, while that is there.
    fn folder(&mut self, from: &Folder, to: Option<&Folder>) -> Result<(), Trouble> {
        from.take().map_err(Trouble::of(&from.path, PUT_AWAY))?;
        for name in from.names()? {
            self.work.pace().map_err(Trouble::of(&from.path, super::NOT_COMPARED))?;
            let Some(entry) = from.entry(&name)? else { continue };
            match entry.kind() {
                _ if entry.is_encrypted() => self.keep_encrypted(&entry),
                Kind::Folder => {
                    let inner = to.and_then(|to| to.folder(&name).ok());
                    self.folder(&from.into(&name, entry)?, inner.as_ref())?;
                }
                Kind::File | Kind::Link => self.one(from, to, &name, &entry),
                Kind::Socket | Kind::Special => {}
            }
        }
        Ok(())
    }

    fn one(&mut self, from: &Folder, to: Option<&Folder>, name: &CStr, entry: &Entry) {
        let away = is_settled(entry).and_then(|()| self.is_in(to, name, entry)).and_then(|is_in| {
            if is_in {
                let put = closed(entry).and_then(|()| self.put_away(from, name, entry)).map(|()| true);
                put.inspect(|_| self.remember(entry))
            } else {
                Ok(false)
            }
        });
        match away {
            Ok(true) => {}
            Ok(false) => self.left.add(shown(&entry.path)),
            Err(trouble) => self.left.add(crate::agents::vaultmgr::chain(&trouble)),
        }
    }

    /// It came while the others were moved. Unlinked it would be lost, and that needs no key.
    fn keep_encrypted(&mut self, entry: &Entry) {
        self.left.add(crate::agents::vaultmgr::chain(&Trouble::new(&entry.path, super::ENCRYPTED)));
    }

    fn remember(&mut self, entry: &Entry) {
        let within = entry.path.strip_prefix(&self.places.staging).ok().filter(|_| entry.stat.stx_nlink > 1);
        let number = entry.stat.stx_ino.to_string().into();
        if let Some(within) = within {
            self.former.entry(number).or_insert_with(|| self.places.place.join(within));
        }
    }

    /// Whether the vault has what is in this original, once it was carried over where it had to be and could.
    fn is_in(&self, to: Option<&Folder>, name: &CStr, entry: &Entry) -> Result<bool, Trouble> {
        let unwritten = self.stamps.is_original(&entry.stat);
        let Some(to) = to else { return Ok(unwritten) };
        let Some(copy) = to.entry(name)? else {
            // Removed in the vault since, or new among the originals.
            return if unwritten { Ok(true) } else { self.carry(to, name, entry, None) };
        };
        let untouched = self.stamps.is_copy(&copy.stat);
        if (unwritten && !untouched) || same_contents(entry, &copy, self.work)? {
            return Ok(true);
        }
        if untouched { self.carry(to, name, entry, Some(&copy)) } else { Ok(false) }
    }

    /// Puts what was written to the original into the vault, at once and whole.
    fn carry(
        &self,
        to: &Folder,
        name: &CStr,
        entry: &Entry,
        before: Option<&Entry>,
    ) -> Result<bool, Trouble> {
        let Some(arriving) = self.arriving.as_ref().filter(|_| entry.kind() == Kind::File) else {
            return Ok(false);
        };
        let Some(arrived) = arriving.take_in(entry, self.work)? else { return Ok(false) };
        let placed = match before {
            // Nothing may have taken the name meanwhile.
            None => {
                let put = arriving.put(&arrived, to, name).map(|()| true);
                put.map_err(Trouble::of(&entry.path, NOT_CARRIED))
            }
            Some(before) => arriving.exchange(&arrived, to, name, before, self.work),
        };
        if !matches!(placed, Ok(true)) {
            arriving.give_up(&arrived, to, name, self.work)?;
        }
        placed
    }

    /// Under its number, so that two of one name meet nowhere. A second name of the same file just goes.
    fn put_away(&self, from: &Folder, name: &CStr, entry: &Entry) -> Result<(), Trouble> {
        let failed = || Trouble::of::<io::Error>(&entry.path, PUT_AWAY);
        let unlink = |kind| from.unlink(name, kind).map_err(|errno| failed()(errno.into()));
        if entry.kind() == Kind::Link {
            return unlink(Kind::Link);
        }
        let number = CString::new(entry.stat.stx_ino.to_string()).expect("digits have no zero byte");
        match rename(from, name, self.going, &number, RenameFlags::NOREPLACE) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => unlink(Kind::File),
            renamed => renamed.map_err(failed()),
        }
    }
}

/// Makes what was compared root's alone, and refuses it where somebody could open it for writing since, by a descriptor that he reads it
/// through, or did and wrote. (One with another name, perhaps somebody else's, stays as it is: what has that name later is not wiped.)
pub(super) fn closed(entry: &Entry) -> Result<(), Trouble> {
    if entry.kind() != Kind::File || entry.stat.stx_nlink > 1 || entry.is_fixed() {
        return Ok(());
    }
    entry.take().map_err(Trouble::of(&entry.path, PUT_AWAY))?;
    let closed = is_settled(entry).and_then(|()| is_as_compared(entry));
    if closed.is_err() {
        entry.give_back().map_err(Trouble::of(&entry.path, PUT_AWAY))?;
    }
    closed
}

fn is_as_compared(entry: &Entry) -> Result<(), Trouble> {
    let now = entry.now().map_err(Trouble::of(&entry.path, PUT_AWAY))?;
    if Stamp::of(&now).contents() == Stamp::of(&entry.stat).contents() {
        Ok(())
    } else {
        Err(Trouble::new(&entry.path, WRITTEN))
    }
}

/// Refuses what somebody could write to after it is judged. By its name nobody opens it anew: its folder is root's alone by now.
fn is_settled(entry: &Entry) -> Result<(), Trouble> {
    if entry.kind() != Kind::File {
        return Ok(());
    }
    if entry.has_writers().map_err(Trouble::of(&entry.path, HELD_UNKNOWN))? {
        return Err(Trouble::new(&entry.path, HELD));
    }
    Ok(())
}
