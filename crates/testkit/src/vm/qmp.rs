//! The machine protocol of QEMU (QMP), as far as a memory dump needs it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// The longest that QEMU may take for one command; half a gigabyte is written in it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stops the processor, writes `bytes` of memory from address 0 into a file, lets the processor go on.
pub(super) fn dump_memory(socket: &Path, file: &Path, bytes: u64) -> Result<()> {
    let mut qemu = Qmp::connected(socket)?;
    qemu.execute("stop", &json!({}))?;
    let dumped = qemu.execute("pmemsave", &json!({ "val": 0, "size": bytes, "filename": file }));
    qemu.execute("cont", &json!({}))?;
    dumped
}

struct Qmp(BufReader<UnixStream>);

impl Qmp {
    fn connected(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).context("QEMU's monitor")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut qemu = Self(BufReader::new(stream));
        qemu.line()?;
        qemu.execute("qmp_capabilities", &json!({}))?;
        Ok(qemu)
    }

    /// Events between command and answer are passed over.
    fn execute(&mut self, command: &str, arguments: &Value) -> Result<()> {
        let order = json!({ "execute": command, "arguments": arguments });
        writeln!(self.0.get_mut(), "{order}")?;
        loop {
            let line = self.line()?;
            if !line["error"].is_null() {
                bail!("QEMU refuses {command}: {}", line["error"]);
            }
            if !line["return"].is_null() {
                return Ok(());
            }
        }
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line).context("QEMU's monitor does not answer")?;
        serde_json::from_str(&line).with_context(|| format!("QEMU's monitor said {line:?}"))
    }
}
