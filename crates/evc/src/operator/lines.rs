//! What needs somebody, a line each, as the fleet at a glance tells it: of each kind the first few.

use crate::api::{Damaged, Listed};
use crate::store::OrDamaged;

/// Most lines of one kind.
const MOST: usize = 20;

/// Lines, of which only the first are kept.
#[derive(Default)]
pub(super) struct Lines {
    kept: Vec<String>,
    more: usize,
}

impl Lines {
    pub(super) fn add(&mut self, line: impl FnOnce() -> String) {
        if self.kept.len() < MOST { self.kept.push(line()) } else { self.more += 1 }
    }

    pub(super) fn add_damaged<T>(&mut self, rows: Vec<OrDamaged<T>>) {
        self.add_listed(rows.into_iter().map(Listed::from).collect());
    }

    /// Of a list, what is damaged.
    pub(super) fn add_listed<T>(&mut self, rows: Vec<Listed<T>>) {
        for row in rows {
            if let Listed::Damaged(row) = row {
                self.add(|| of_damaged(&row));
            }
        }
    }

    pub(super) fn told(self) -> impl Iterator<Item = String> {
        let more = (self.more > 0).then(|| format!("and {} more like the last", self.more));
        self.kept.into_iter().chain(more)
    }
}

pub(super) fn of_damaged(row: &Damaged) -> String {
    format!("{}: {}", row.words(), row.what_to_do)
}
