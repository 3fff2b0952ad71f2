//! A device at its controller: what an operator looks at first of it, and what a report of its counts for. Times are Unix seconds by the controller's clock.

mod condition;
mod report;

pub use condition::{Condition, Seen, is_silent};
pub use report::{Heard, Place, Said, Stale};
