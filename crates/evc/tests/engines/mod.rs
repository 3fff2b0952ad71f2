//! Engines for tests: one in memory, and one over any other that fails where it is told to.

#![allow(dead_code, unused_imports)] // Each test file uses a part.

mod between;
mod faulty;
mod memory;

pub(crate) use between::Between;
pub(crate) use faulty::{Asked, Fault, Faults, Faulty};
pub(crate) use memory::{Memory, World};
