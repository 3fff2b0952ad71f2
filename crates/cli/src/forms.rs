//! An answer in every form that it may be printed in.

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use vault::text::{plain, plain_lines};

use crate::{say, show, yaml};

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For people, with all that a row has.
    Wide,
    /// `KIND/NAME` of each row.
    Name,
    /// For programs.
    Json,
    /// The same as `json`, as YAML; of policies and vaults what `evc apply -f` takes.
    Yaml,
}

impl Output {
    /// As a usage line names them.
    pub const ALL: &'static str = "table|wide|name|json|yaml";

    /// Whether a person reads it.
    #[must_use]
    pub fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// An answer.
#[derive(Debug)]
pub struct Forms {
    /// For programs.
    pub value: Value,
    /// For people.
    pub text: String,
    /// The same, with all that there is of each row.
    pub wide: String,
    /// `KIND/NAME` of each row.
    pub names: Vec<String>,
    /// As documents that can be applied again, where it has such.
    pub documents: Option<String>,
}

impl Forms {
    /// Of one text for people, wide or not.
    ///
    /// # Errors
    /// It can't be shown as JSON.
    pub fn of(it: &impl Serialize, text: String, names: Vec<String>) -> serde_json::Result<Self> {
        Ok(Self { value: serde_json::to_value(it)?, wide: text.clone(), text, names, documents: None })
    }

    /// The same, with another text where all of each row is asked for.
    #[must_use]
    pub fn with_wide(self, wide: String) -> Self {
        Self { wide, ..self }
    }

    /// As it is printed. Nothing in it moves a terminal's cursor but the ends of its lines.
    #[must_use]
    pub fn shown(&self, output: Output) -> String {
        match output {
            Output::Table => self.text.clone(),
            Output::Wide => self.wide.clone(),
            Output::Name => self.names.iter().map(|name| format!("{}\n", plain(name))).collect(),
            Output::Json => plain_lines(&format!("{:#}\n", self.value)),
            Output::Yaml => self.documents.clone().unwrap_or_else(|| yaml(&self.value)),
        }
    }

    /// Prints it.
    ///
    /// # Errors
    /// It can't be written; a reader that went away is none.
    pub fn print(&self, output: Output) -> anyhow::Result<()> {
        let shown = self.shown(output);
        if output.is_for_people() { show(&shown) } else { say(&shown) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Issue 8 B: one answer is the same in every form, and `wide` is `table` where there is no more.
    #[test]
    fn an_answer_has_every_form() {
        let forms =
            Forms::of(&json!({ "a": "b\u{1b}" }), "A\nb\n".into(), vec!["x/b\u{1b}".into()]).expect("JSON");
        for (output, shown) in [
            (Output::Table, "A\nb\n"),
            (Output::Wide, "A\nb\n"),
            (Output::Name, "x/b\\u001b\n"),
            (Output::Json, "{\n  \"a\": \"b\\u001b\"\n}\n"),
            (Output::Yaml, "a: \"b\\\\u001b\"\n"),
        ] {
            assert_eq!(forms.shown(output), shown, "{output:?}");
        }
        let named: Vec<_> = Output::value_variants()
            .iter()
            .filter_map(|output| Some(output.to_possible_value()?.get_name().to_owned()))
            .collect();
        assert_eq!(named.join("|"), Output::ALL);
        assert_eq!(Forms { documents: Some("kind: x\n".into()), ..forms }.shown(Output::Yaml), "kind: x\n");
    }
}
