//! A node's disk in other hands: a copy of it, with the node's /config, beside another TPM and with no controller.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Node, Parts};
use crate::loopfs::LoopFs;
use crate::process::output;
use crate::swtpm::Swtpm;

impl Node {
    /// Copies the disk (as it is now; turn the node off for a whole one) and /config into `dir`, and makes a node of
    /// them with a TPM of its own whose controller is out of reach. Not started.
    ///
    /// # Errors
    /// What can't be copied or made.
    pub fn stolen_disk(&self, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir.join("node"))?;
        let dir = dir.canonicalize()?;
        let image = dir.join("disk.img");
        output(Command::new("cp").arg("--sparse=always").arg(self.disk.image()).arg(&image))?;
        output(Command::new("cp").arg("-a").arg(self.root().join("config")).arg(dir.join("node/config")))?;
        // A thief removes what only warns: the note of which TPM belongs here.
        let _ = fs::remove_file(dir.join("node/config/ek.pub"));
        // Port 1 of loopback: nobody listens.
        fs::write(dir.join("node/config/server"), "127.0.0.1:1")?;
        let disk = LoopFs::open(&image, &dir.join("node/persist"))?;
        let tpm = Some(Swtpm::new(&dir.join("tpm"), "thief")?);
        let parts = Parts { tpm: true, ..self.parts.clone() };
        let thief = Self { eve: None, tpm, disk, parts, dir, name: "thief".to_owned() };
        thief.write_tcti()?;
        thief.measure()?;
        Ok(thief)
    }
}
