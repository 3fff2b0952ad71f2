//! vaultmgr whole but for bus and TPM: real ext4 with encryption on a loop device, the real kernel, signed configurations.
//! They run as root; without root, loop devices or ext4 encryption they fail.

mod attacks;
mod boots;
mod brought_back;
mod controller;
mod cost;
mod damage;
mod disk;
mod drill;
mod erasing;
mod errors;
mod faults;
mod faulty;
mod form;
mod holders;
mod identity;
mod jobs;
mod judging;
mod keeper;
mod leases;
mod life;
mod many;
mod movein;
mod node;
mod opened;
mod orders;
mod others;
mod rolled_back;
mod seals;
mod told;
mod truth;
mod unable;
mod undone;
mod unread;
