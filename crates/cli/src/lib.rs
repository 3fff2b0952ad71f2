//! What `evc` and `eve` share of their command lines, so that who knows one knows the other: the forms of an answer (`-o`), tables, manual
//! pages, completions, and how a line that was typed wrongly is quoted. It knows no command, and asks nobody anything.

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic where a reader went away: `say`, `complain`"
)]

mod age;
mod forms;
mod log;
mod pages;
mod say;
mod table;
mod typed;
mod used;
mod wrapped;
mod wrong;
mod yaml;

pub use age::{age, aged};
pub use forms::{Forms, Output};
pub use log::{Drain, Log};
pub use pages::{completions, man, offered};
pub use say::{complain, say, write};
pub use table::{NOTHING, aligned, cell};
pub use typed::{USED_WRONGLY, quoted, tell};
pub use used::{how_to_use, used_wrongly};
pub use wrapped::show;
pub use wrong::{asks_for_json, in_json, object};
pub use yaml::yaml;
