//! What fields of several kinds are made of: names, durations, a field that must be written, and the refusal of what is not built.

use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::BadFile;
use super::raw::Text;
use crate::ids::Name;

pub(super) type Checked<T> = Result<T, BadFile>;

pub(super) fn name(text: &Spanned<String>) -> Checked<Name> {
    Name::try_from(text.value.clone()).map_err(|why| {
        BadFile::at(text.referenced, format!("`{}` is not a name", text.value), why.to_string())
    })
}

pub(super) fn duration(
    text: &Spanned<String>,
    field: &str,
    (least, most): (Duration, Duration),
) -> Checked<Duration> {
    let place = text.referenced;
    let value = text.value.trim();
    let parsed = if value == "0" { Ok(Duration::ZERO) } else { humantime::parse_duration(value) };
    let parsed = parsed.map_err(|_| {
        BadFile::at(place, format!("`{value}` is not a duration"), "write it like `15m`, `6h` or `3days`")
    })?;
    if parsed.subsec_nanos() != 0 {
        return Err(BadFile::at(
            place,
            format!("`{field}: {value}` is not in whole seconds"),
            "round it to seconds",
        ));
    }
    if parsed < least || parsed > most {
        let bounds =
            format!("write {} to {}", humantime::format_duration(least), humantime::format_duration(most));
        return Err(BadFile::at(place, format!("`{field}: {value}` is out of bounds"), bounds));
    }
    Ok(parsed)
}

pub(super) fn later(place: Location, what: &str, advice: &str) -> BadFile {
    BadFile::at(place, format!("`{what}` is not built yet"), advice)
}

pub(super) fn needed(field: &str, value: Text, place: Location, advice: &str) -> Checked<Spanned<String>> {
    value.ok_or_else(|| BadFile::at(place, format!("`{field}` is missing"), advice))
}
