//! A search for many secrets at once: as bytes, in hexadecimal of either case, in base64 at any alignment, and as Rust prints
//! bytes: in lists of numbers, and as text with escapes.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

const CHUNK: usize = 1 << 20;

/// Secrets by name, ready to be looked for.
pub(crate) struct Search {
    names: Vec<String>,
    patterns: AhoCorasick,
    longest: usize,
}

impl Search {
    pub(crate) fn of(secrets: &[(String, Vec<u8>)]) -> Self {
        let forms = secrets
            .iter()
            .flat_map(|(name, secret)| forms(secret).into_iter().map(move |form| (name.clone(), form)));
        let (names, forms): (Vec<_>, Vec<_>) = forms.unzip();
        let longest = forms.iter().map(Vec::len).max().unwrap();
        Self { names, patterns: AhoCorasick::new(forms).unwrap(), longest }
    }

    /// Names of the secrets that a file holds.
    pub(crate) fn in_file(&self, path: &Path) -> Vec<String> {
        let mut file = File::open(path).unwrap();
        let (mut window, mut found) = (Vec::new(), Vec::new());
        while file.by_ref().take(CHUNK as u64).read_to_end(&mut window).unwrap() > 0 {
            found.extend(self.in_bytes(&window));
            // What may be the beginning of a find that ends in the next chunk stays.
            window.drain(..window.len().saturating_sub(self.longest - 1));
        }
        found.sort();
        found.dedup();
        found
    }

    /// The same of a log, where a list may stand over many lines.
    pub(crate) fn in_log(&self, path: &Path) -> Vec<String> {
        let log = fs::read(path).unwrap();
        assert!(!log.is_empty(), "{} says something", path.display());
        let joined: Vec<u8> = log.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        [self.in_file(path), self.in_bytes(&joined)].concat()
    }

    pub(crate) fn in_bytes(&self, bytes: &[u8]) -> Vec<String> {
        self.patterns.find_iter(bytes).map(|hit| self.names[hit.pattern().as_usize()].clone()).collect()
    }

    /// The same of every regular file under a folder but those named.
    pub(crate) fn under(&self, folder: &Path, but: &[&str]) -> Vec<(PathBuf, Vec<String>)> {
        let files = files(folder).into_iter().filter(|path| !but.iter().any(|name| path.ends_with(name)));
        let found = files.map(|path| (self.in_file(&path), path)).filter(|(found, _)| !found.is_empty());
        found.map(|(found, path)| (path, found)).collect()
    }
}

fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let hexadecimal = hex::encode(secret);
    let mut forms = vec![secret.to_vec(), hexadecimal.to_uppercase().into_bytes(), hexadecimal.into_bytes()];
    // In a longer text the secret may begin at any of three places of a group of base64.
    forms.extend((0..3).map(|skipped| {
        let whole = (secret.len() - skipped) / 3 * 3;
        STANDARD_NO_PAD.encode(&secret[skipped..skipped + whole]).into_bytes()
    }));
    // As logs print bytes.
    let printed =
        [format!("{secret:?}"), format!("{secret:02x?}"), format!("{secret:x?}"), format!("{secret:02X?}")];
    for list in printed.iter().map(|list| list.trim_matches(['[', ']'])) {
        forms.push(list.into());
        forms.push(list.replace(' ', "").into_bytes());
    }
    forms.push(secret.escape_ascii().to_string().into_bytes());
    forms
}

/// All of them, also of writes that were cut short: of a folder in which nobody writes any more.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let of = |entry: fs::DirEntry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => files(&entry.path()),
        kind if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    };
    entries.flat_map(of).collect()
}

#[test]
fn the_search_finds_what_is_planted_in_each_form() {
    let secret: Vec<u8> = (0..32).map(|byte| byte ^ 0xa5).collect();
    let search = Search::of(&[("planted".to_owned(), secret.clone())]);
    let dir = tempfile::tempdir().unwrap();
    let text = |bytes: &[u8]| hex::encode(bytes).into_bytes();
    let shifted =
        |by: usize| STANDARD_NO_PAD.encode([&vec![1; by][..], &secret, b"tail"].concat()).into_bytes();
    for form in [
        secret.clone(),
        text(&secret),
        text(&secret).to_ascii_uppercase(),
        shifted(0),
        shifted(1),
        shifted(2),
        format!("Key({secret:?})").into_bytes(),
        format!("Key({secret:02x?})").into_bytes(),
        format!("Key({secret:x?})").into_bytes(),
        format!("b\"{}\"", secret.escape_ascii()).into_bytes(),
    ] {
        // Across the border of two chunks.
        let file = dir.path().join("file");
        fs::write(&file, [&vec![9; CHUNK - 20][..], &form, b"end"].concat()).unwrap();
        assert_eq!(search.in_file(&file), ["planted"]);
    }
    fs::write(dir.path().join("file"), format!("{secret:#?}")).unwrap();
    assert_eq!(search.in_log(&dir.path().join("file")), ["planted"]);
    fs::write(dir.path().join("file"), [&vec![9; CHUNK][..], &secret[1..]].concat()).unwrap();
    assert!(search.under(dir.path(), &[]).is_empty(), "a part is no find");
}
