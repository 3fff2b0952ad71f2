//! Answers for people: a table for lists.

use cli::{NOTHING, aged, aligned, cell};
use serde::Serialize;
use serde_json::Value;
use vault::text::plain;

use crate::api::Damaged;

/// What stands in the row of a table.
pub(super) trait Row: Serialize {
    /// The headings, and those that a wide table has beside them.
    const COLUMNS: &'static [&'static str];
    /// Of those, which are left out where no row has anything in them.
    const OPTIONAL: &'static [&'static str] = &[];
    /// The headings of a wide table, after the others.
    const WIDE: &'static [&'static str] = &[];

    /// A cell for each.
    fn cells(&self) -> Vec<Value>;

    /// A cell for each of the wide ones.
    fn wide(&self) -> Vec<Value> {
        Vec::new()
    }

    /// `KIND/NAME`.
    fn name(&self) -> String;

    /// Whether somebody should look at it: then it comes first.
    fn calls(&self) -> bool {
        false
    }

    /// Where it stands among those that somebody should look at, or need not; rows without a place stay as they came.
    fn order(&self) -> Vec<String> {
        Vec::new()
    }

    /// Rows as documents for `evc apply -f`, where there are such.
    fn documents(_rows: &[Self]) -> Option<String>
    where
        Self: Sized,
    {
        None
    }
}

/// A list as a table, what is damaged of it first; nothing where there is nothing.
pub(super) fn table<T: Row>(rows: &[T], damaged: &[Damaged], wide: bool) -> String {
    if rows.is_empty() && damaged.is_empty() {
        return String::new();
    }
    let more: &[&str] = if wide { T::WIDE } else { &[] };
    let headings = T::COLUMNS.iter().chain(more);
    let whole = rows.iter().map(|row| {
        let more = if wide { row.wide() } else { Vec::new() };
        row.cells().iter().chain(&more).map(|value| aged(&cell(value))).collect()
    });
    let headed: Vec<&str> = headings.clone().copied().collect();
    let cells: Vec<Vec<String>> = damaged.iter().map(|row| cells_of(row, &headed)).chain(whole).collect();
    let is_shown = |at: usize, heading: &str| {
        wide || !T::OPTIONAL.contains(&heading) || cells.iter().any(|row| row[at] != NOTHING)
    };
    let columns: Vec<(usize, &str)> =
        headings.copied().enumerate().filter(|(at, heading)| is_shown(*at, heading)).collect();
    let heading = columns.iter().map(|(_, heading)| (*heading).to_owned()).collect();
    let rows = cells.iter().map(|row| columns.iter().map(|(at, _)| row[*at].clone()).collect());
    aligned(&[heading].into_iter().chain(rows).collect::<Vec<_>>())
}

/// What is known of a damaged row, under the headings of its list; what is wrong with it, under the first other one.
fn cells_of(row: &Damaged, headings: &[&str]) -> Vec<String> {
    let mut wrong = Some(format!("damaged: {}", row.damaged));
    let of = headings.iter().map(|heading| match *heading {
        "DEVICE" => row.device.clone().map(|device| plain(&device).into_owned()),
        "NAME" | "SERIAL" => Some(plain(row.called()).into_owned()),
        "ID" | "CERTIFICATE" | "SHA-256" => row.id.clone().map(|id| plain(&id).into_owned()),
        _ => wrong.take().map(|wrong| plain(&wrong).into_owned()),
    });
    of.map(|cell| cell.unwrap_or_else(|| NOTHING.into())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    struct Two(&'static str, Option<u8>);

    impl Row for Two {
        const COLUMNS: &'static [&'static str] = &["NAME", "N"];
        fn cells(&self) -> Vec<Value> {
            vec![json!(self.0), json!(self.1)]
        }
        fn name(&self) -> String {
            self.0.into()
        }
    }

    #[test]
    fn a_list_is_aligned_and_shows_nothing_that_moves_the_cursor() {
        let rows = [Two("a\u{1b}[2J", Some(1)), Two("longer", None)];
        assert_eq!(table(&rows, &[], false), "NAME        N\na\\u001b[2J  1\nlonger      -\n");
    }

    #[test]
    fn a_column_that_may_be_left_out_is_where_no_row_has_anything() {
        #[derive(Serialize)]
        struct Noted(Option<u8>);
        impl Row for Noted {
            const COLUMNS: &'static [&'static str] = &["NAME", "NOTE"];
            const OPTIONAL: &'static [&'static str] = &["NOTE"];
            const WIDE: &'static [&'static str] = &["ID"];
            fn cells(&self) -> Vec<Value> {
                vec![json!("a"), json!(self.0)]
            }
            fn wide(&self) -> Vec<Value> {
                vec![json!(7)]
            }
            fn name(&self) -> String {
                "noted/a".into()
            }
        }
        assert_eq!(table(&[Noted(None)], &[], false), "NAME\na\n");
        assert_eq!(table(&[Noted(None)], &[], true), "NAME  NOTE  ID\na     -     7\n");
        assert_eq!(table(&[Noted(None), Noted(Some(1))], &[], false), "NAME  NOTE\na     -\na     1\n");
        assert_eq!(table::<Noted>(&[], &[], false), "");
    }
}
