//! PCR values as operators give them: `PCR=HEX` on the command line; in a file a line `PCR: HEX` for each, or JSON. Nothing here says what they
//! are worth.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;
use vault::text::plain;

use super::read;

/// Longest file.
const LONGEST: u64 = 64 << 10;

type Pcrs = BTreeMap<u8, String>;

/// Those of the file, and those that are said beside it: the latter count.
pub(super) fn given(said: &[String], from: Option<&Path>) -> anyhow::Result<Pcrs> {
    let mut all = from.map(of_file).transpose()?.unwrap_or_default();
    let mut beside = Pcrs::new();
    for text in said {
        let (pcr, value) = text.split_once('=').with_context(|| {
            format!("`{}`: write `--pcr PCR=HEX`, like 9=3f5a.. with all of its digits", plain(text))
        })?;
        add(&mut beside, pcr, value)?;
    }
    all.extend(beside);
    Ok(all)
}

fn of_file(path: &Path) -> anyhow::Result<Pcrs> {
    let text = if path.as_os_str() == "-" {
        read::text(io::stdin().lock(), LONGEST)
    } else {
        read::named(path, LONGEST)
    };
    let text = text.with_context(|| format!("can't read the PCR values of {}", path.display()))?;
    read_text(&text).with_context(|| format!("the PCR values of {}", path.display()))
}

fn read_text(text: &str) -> anyhow::Result<Pcrs> {
    if text.trim_start().starts_with('{') { of_json(text) } else { of_lines(text) }
}

/// `{"9": "HEX"}`, or that under `pcrs`, as `evc reference list -o json` shows it.
fn of_json(text: &str) -> anyhow::Result<Pcrs> {
    let value: Value = serde_json::from_str(text).context("this is no JSON")?;
    let fields = value.get("pcrs").unwrap_or(&value).as_object();
    let mut all = Pcrs::new();
    for (pcr, value) in fields.context("write {\"9\": \"HEX\"}")? {
        let value = value.as_str().with_context(|| format!("PCR {}: write its value as text", plain(pcr)))?;
        add(&mut all, pcr, value)?;
    }
    Ok(all)
}

fn of_lines(text: &str) -> anyhow::Result<Pcrs> {
    let mut all = Pcrs::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.split_once(':') {
            // The head of a list, like `pcrs:` or `sha256:`.
            Some((head, "")) if head.trim().parse::<u8>().is_err() => {}
            None if line.is_empty() || line == "---" => {}
            Some((pcr, value)) => {
                add(&mut all, pcr, value).with_context(|| format!("line {}", number + 1))?;
            }
            None => bail!("line {}: write `PCR: HEX`, like `9: 3f5a...`", number + 1),
        }
    }
    Ok(all)
}

fn add(all: &mut Pcrs, pcr: &str, value: &str) -> anyhow::Result<()> {
    let [pcr, value] = [pcr, value].map(|text| text.trim().trim_matches(['"', '\'']));
    let number: u8 =
        pcr.parse().map_err(|_| anyhow!("`{}` is no number of a PCR: write one of 0 to 23", plain(pcr)))?;
    let digits = value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")).unwrap_or(value);
    let digits = digits.to_ascii_lowercase();
    if ![64, 96].contains(&digits.len()) || hex::decode(&digits).is_err() {
        bail!("PCR {number}: give its value in hexadecimal, 64 digits (SHA-256) or 96 (SHA-384)");
    }
    if all.insert(number, digits).is_some() {
        bail!("PCR {number} stands there twice: give the values of one bank");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        format!("{:#}", read_text(text).expect_err("refused"))
    }

    /// Whatever form the values come in they are the same; a value that would be lost or doubled is refused with its place.
    #[test]
    fn values_are_read_in_each_form() {
        let (nine, four) = ("9a".repeat(32), "4B".repeat(32));
        let all = Pcrs::from([(9, nine.clone()), (4, four.to_lowercase())]);
        for text in [
            format!("9: {nine}\n4: \"{four}\"  # the loader\n"),
            format!("---\npcrs:\n  9: '{nine}'\n  4: {four}\n"),
            format!("  sha256:\n    4 : 0x{four}\n    9 : 0x{nine}\n"),
            format!("{{\"9\": \"{nine}\", \"4\": \"{four}\"}}"),
            format!("{{\"id\": 3, \"pcrs\": {{\"9\": \"{nine}\", \"4\": \"{four}\"}}}}"),
        ] {
            assert_eq!(read_text(&text).expect("good"), all, "{text}");
        }
        for (text, words) in [
            (format!("9: {nine}\n9: {four}\n"), "line 2: PCR 9 stands there twice"),
            ("9: 1234".into(), "line 1: PCR 9: give its value in hexadecimal"),
            (format!("boot: {nine}"), "line 1: `boot` is no number"),
            ("9:".into(), "line 1: PCR 9: give"),
            ("nonsense".into(), "line 1: write"),
            ("{\"9\": 7}".into(), "PCR 9: write its value as text"),
            ("{".into(), "no JSON"),
        ] {
            assert!(refused(&text).contains(words), "{text}: {}", refused(&text));
        }
    }

    /// What is said beside a file counts.
    #[test]
    fn what_is_said_beside_a_file_counts() {
        let said = |value: &str| vec![format!("9={}", value.repeat(32))];
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), format!("9: {}\n0: {}\n", "aa".repeat(32), "bb".repeat(32)))
            .expect("written");
        let all = given(&said("cc"), Some(file.path())).expect("good");
        assert_eq!(all, Pcrs::from([(0, "bb".repeat(32)), (9, "cc".repeat(32))]));
        assert!(
            given(&["9".into()], None).is_err() && given(&[said("cc"), said("cc")].concat(), None).is_err()
        );
    }
}
