//! The bytes of a file, where it has any: what was never written (holes) is neither read nor written, however long it is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::Work;

/// Read or written at once.
pub(super) const PIECE: usize = 256 << 10;

/// The next part from `at` on that was written, as start and end; none when all that follows is a hole.
fn next_part(file: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Err(Errno::NXIO) => Ok(None),
        start => {
            let start = start?;
            Ok(Some((start, rustix::fs::seek(file, SeekFrom::Hole(start))?)))
        }
    }
}

/// Calls `act` for each piece of what is written in a file: where, and how much.
pub(super) fn each_piece(
    file: &File,
    work: &Work,
    mut act: impl FnMut(u64, usize) -> io::Result<bool>,
) -> io::Result<bool> {
    let mut at = 0;
    while let Some((start, end)) = next_part(file, at)? {
        at = start;
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            work.pace()?;
            if !act(at, length)? {
                return Ok(false);
            }
            work.moved(length as u64);
            at += length as u64;
        }
    }
    Ok(true)
}

/// What is written in a file goes to the same places of the other, which is empty; holes stay holes. It ends at the length that
/// the source had at the beginning: what is appended meanwhile is found by comparing.
pub(crate) fn copy_data(source: &File, target: &File, work: &Work) -> io::Result<()> {
    target.set_len(source.metadata()?.len())?;
    let mut piece = vec![0; PIECE];
    each_piece(source, work, |at, length| {
        let read = read_full(source, &mut piece[..length], at)?;
        target.write_all_at(&piece[..read], at).map(|()| true)
    })
    .map(drop)
}

/// Whether two files are of one length and have the same bytes. What is a hole in both is not read.
pub(crate) fn same_data(one: &File, other: &File, work: &Work) -> io::Result<bool> {
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    Ok(covers(one, other, work)? && covers(other, one, work)?)
}

/// Whether all that is written in one reads the same in the other.
fn covers(one: &File, other: &File, work: &Work) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    each_piece(one, work, |at, length| {
        let (n, m) = (read_full(one, &mut left[..length], at)?, read_full(other, &mut right[..length], at)?);
        Ok(left[..n] == right[..m])
    })
}

fn read_full(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
