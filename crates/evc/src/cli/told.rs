//! What a command asked for, in every form that it may be printed in.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use cli::{Forms, Output, aged, yaml};
use serde::Serialize;
use serde_json::Value;
use vault::text::plain;

use super::client::Rows;
use super::failed::Failed;
use super::table::{self, Row};
use crate::api::{Damaged, Done};

/// What a command asked for.
pub(super) struct Told {
    forms: Forms,
    /// What of it is damaged.
    damaged: Vec<Damaged>,
    /// What a person is told where a list has no rows.
    none: Option<String>,
}

impl Told {
    /// What is damaged comes first, as in the table.
    pub(super) fn list<T: Row>(rows: impl Into<Rows<T>>) -> Result<Self, Failed> {
        let Rows { whole, damaged } = rows.into();
        let mut all: Vec<Value> = damaged.iter().map(value).collect::<anyhow::Result<_>>()?;
        all.extend(whole.iter().map(value).collect::<anyhow::Result<Vec<_>>>()?);
        Self::rows(Value::Array(all), &whole, damaged)
    }

    pub(super) fn one<T: Row>(it: &T) -> Result<Self, Failed> {
        Self::rows(value(it)?, std::slice::from_ref(it), Vec::new())
    }

    fn rows<T: Row>(value: Value, rows: &[T], damaged: Vec<Damaged>) -> Result<Self, Failed> {
        let of_damaged = damaged.iter().map(|row| format!("{}/{}", row.kind.word(), row.called()));
        let forms = Forms {
            value,
            text: table::table(rows, &damaged, false),
            wide: table::table(rows, &damaged, true),
            names: of_damaged.chain(rows.iter().map(Row::name)).collect(),
            documents: T::documents(rows),
        };
        Ok(Self { forms, damaged, none: None })
    }

    /// That it is whole: said once it is printed.
    ///
    /// # Errors
    /// [`Failed::Damaged`].
    pub(super) fn sound(self) -> Result<(), Failed> {
        if self.damaged.is_empty() { Ok(()) } else { Err(Failed::Damaged(self.damaged)) }
    }

    /// With what else should be known, below a table.
    pub(super) fn with_notes(mut self, notes: &[String]) -> Self {
        let notes: String = notes.iter().map(|note| format!("  note: {}\n", plain(&aged(note)))).collect();
        self.forms.text += &notes;
        self.forms.wide += &notes;
        self
    }

    /// A sentence, and what else should be known: no table.
    pub(super) fn done(done: &Done) -> Result<Self, Failed> {
        let notes = done.notes.iter().map(|note| format!("  note: {}\n", plain(&aged(note))));
        let text: String = [format!("{}\n", plain(&aged(&done.done)))].into_iter().chain(notes).collect();
        Self::whole(done, text, String::new())
    }

    /// One thing, whole, with its text for people.
    pub(super) fn whole(it: &impl Serialize, text: String, name: String) -> Result<Self, Failed> {
        let names = if name.is_empty() { Vec::new() } else { vec![name] };
        let forms = Forms::of(it, text, names).context(UNSHOWN)?;
        Ok(Self { forms, damaged: Vec::new(), none: None })
    }

    /// Nothing: it was said otherwise.
    pub(super) fn nothing() -> Result<Self, Failed> {
        Self::whole(&Value::Null, String::new(), String::new())
    }

    /// The same, of what can be applied again.
    pub(super) fn with_document(mut self, document: String) -> Self {
        self.forms.documents = Some(document);
        self
    }

    /// With what is said where it has no rows.
    pub(super) fn but_for_none(self, none: Option<String>) -> Self {
        Self { none, ..self }
    }

    /// With rows that are damaged beside it.
    pub(super) fn with_damaged(self, damaged: Vec<Damaged>) -> Self {
        Self { damaged, ..self }
    }

    /// Prints it.
    ///
    /// # Errors
    /// It can't be written; a reader that went away is none.
    pub(super) fn print(&self, output: Output) -> anyhow::Result<()> {
        if self.forms.value.is_null() {
            return Ok(());
        }
        if output.is_for_people() && self.forms.value.as_array().is_some_and(Vec::is_empty) {
            self.tell_none();
        }
        self.forms.print(output)
    }

    /// For who looks; a script counts rows of the standard output, and this is none.
    fn tell_none(&self) {
        match &self.none {
            Some(words) => cli::complain(&plain(words)),
            None if io::stdout().is_terminal() => cli::complain("nothing there"),
            None => {}
        }
    }

    /// The rows that are not among those printed before, but for ages, which change by themselves. Headings only where there is something
    /// to print for the first time.
    pub(super) fn news(&self, before: &mut Vec<Value>) -> Vec<usize> {
        let rows: Vec<Value> =
            self.forms.value.as_array().into_iter().flatten().cloned().map(without_ages).collect();
        let new = (0..rows.len()).filter(|&at| !before.contains(&rows[at])).collect();
        *before = rows;
        new
    }

    /// Lines of the table, its heading first.
    pub(super) fn lines(&self, output: Output) -> Vec<String> {
        let text = if output == Output::Wide { &self.forms.wide } else { &self.forms.text };
        text.lines().map(ToOwned::to_owned).collect()
    }

    /// A row as JSON, and by its name.
    pub(super) fn row(&self, at: usize, output: Output) -> String {
        match output {
            Output::Name => self.forms.names.get(at).map(|name| plain(name).into_owned()).unwrap_or_default(),
            Output::Yaml => format!("---\n{}", yaml(&self.forms.value[at]).trim_end()),
            _ => plain(&self.forms.value[at].to_string()).into_owned(),
        }
    }
}

/// What changes by the mere passing of time.
const AGES: [&str; 7] = ["seen", "last_seen", "heard", "last", "state_now", "reported", "condition_since"];

fn without_ages(mut row: Value) -> Value {
    if let Value::Object(fields) = &mut row {
        fields.retain(|name, _| !AGES.contains(&name.as_str()));
        fields.values_mut().for_each(|value| *value = without_ages(value.take()));
    }
    if let Value::Array(items) = &mut row {
        items.iter_mut().for_each(|value| *value = without_ages(value.take()));
    }
    row
}

fn value(it: &impl Serialize) -> anyhow::Result<Value> {
    serde_json::to_value(it).context(UNSHOWN)
}

const UNSHOWN: &str = "the answer can't be shown";
