//! The edge node: its agents, the bus between them, the walls around each, and who starts them.

pub mod agents;
pub mod bus;
mod check;
pub mod cli;
mod folders;
mod http;
pub mod paths;
pub mod sandbox;
pub mod supervisor;
