//! What a node in a VM boots: Debian's cloud kernel, which `cargo xtask setup` unpacks into target/vm/kernel, and an initrd with our
//! `eve`, its libraries and busybox. Made once for each content: its name has a digest of all that goes into it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use aws_lc_rs::digest;

use super::modules::Modules;
use crate::process::{output, program};

const INIT: &str = include_str!("init.sh");
/// Disks, network, quota, and what fscrypt encrypts with. The rest is built into that kernel.
const MODULES: [&str; 8] =
    ["virtio_pci", "virtio_blk", "virtio_net", "quota_v2", "aesni_intel", "xts", "cts", "sha512_ssse3"];
/// Loaded by name only, so no list of libraries has it.
const TCTI: &str = "/usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0";
const BUSYBOX: &str = "/bin/busybox";

/// A kernel and an initrd.
pub(super) struct Image {
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
}

impl Image {
    /// With this `eve`, and these files beside it.
    pub(super) fn of(eve: &Path, extra: &[(String, String)]) -> Result<Self> {
        let folder = program("eve")?;
        let folder = folder.ancestors().nth(2).context("a target folder")?.join("vm");
        let (kernel, modules) = kernel(&folder.join("kernel"))?;
        let initrd = folder.join(format!("initrd-{}", name(eve, &kernel, extra)?));
        if !initrd.exists() {
            make(&initrd, eve, &modules, extra)?;
        }
        Ok(Self { kernel, initrd })
    }
}

/// The unpacked kernel, and the folder of its modules.
fn kernel(unpacked: &Path) -> Result<(PathBuf, PathBuf)> {
    let missing = "the kernel for nodes in VMs is not there: run `cargo xtask setup`";
    let entries = fs::read_dir(unpacked.join("boot")).context(missing)?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let release = names.filter_map(|name| Some(name.strip_prefix("vmlinuz-")?.to_owned())).max();
    let release = release.context(missing)?;
    let modules = unpacked.join("lib/modules").join(&release).join("kernel");
    Ok((unpacked.join(format!("boot/vmlinuz-{release}")), modules))
}

fn name(eve: &Path, kernel: &Path, extra: &[(String, String)]) -> Result<String> {
    let mut all = digest::Context::new(&digest::SHA256);
    [fs::read(eve)?, INIT.into(), kernel.as_os_str().as_encoded_bytes().into(), format!("{extra:?}").into()]
        .iter()
        .for_each(|part| all.update(digest::digest(&digest::SHA256, part).as_ref()));
    Ok(all.finish().as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Made beside its place and then renamed: who finds it, finds all of it.
fn make(initrd: &Path, eve: &Path, modules: &Path, extra: &[(String, String)]) -> Result<()> {
    let folder = initrd.parent().context("its folder")?;
    let made = tempfile::Builder::new().prefix("initrd-").tempdir_in(folder)?;
    let root = made.path().join("root");
    fill(&root, eve, modules, extra)?;
    let packed = made.path().join("packed");
    // Sorted, with no times and numbers of this machine: the same contents give the same digest in the TPM.
    let pack = r#"cd "$1" && find . -exec touch -h -d @0 {} + && find . | LC_ALL=C sort | cpio --quiet -o -H newc --reproducible -R 0:0 | gzip -n -1 > "$2""#;
    output(Command::new("sh").args(["-ec", pack, "pack"]).args([&root, &packed]))?;
    Ok(fs::rename(packed, initrd)?)
}

fn fill(root: &Path, eve: &Path, modules: &Path, extra: &[(String, String)]) -> Result<()> {
    ["bin", "etc", "usr/bin", "lib", "lib64", "modules"]
        .iter()
        .try_for_each(|dir| fs::create_dir_all(root.join(dir)))?;
    // An agent with a user of its own must get through.
    fs::set_permissions(root, Permissions::from_mode(0o755))?;
    fs::write(root.join("init"), INIT)?;
    fs::set_permissions(root.join("init"), Permissions::from_mode(0o755))?;
    fs::copy(BUSYBOX, root.join("bin/busybox")).context("busybox-static")?;
    output(Command::new("strip").arg("-o").arg(root.join("usr/bin/eve")).arg(eve))?;
    libraries(eve)?.iter().try_for_each(|library| put(root, library))?;
    put_modules(root, modules)?;
    extra.iter().try_for_each(|(path, text)| Ok(fs::write(root.join(path.trim_start_matches('/')), text)?))
}

/// What the loader would load for a program, and the way to a TPM of the kernel.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = output(Command::new("ldd").arg(program))?;
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(paths.chain([PathBuf::from(TCTI)]).collect())
}

/// At the path that it has here.
fn put(root: &Path, file: &Path) -> Result<()> {
    let to = root.join(file.strip_prefix("/")?);
    fs::create_dir_all(to.parent().context("its folder")?)?;
    fs::copy(file, to).map(drop).with_context(|| file.display().to_string())
}

fn put_modules(root: &Path, modules: &Path) -> Result<()> {
    let mut order = String::new();
    for file in Modules::under(modules)?.in_order(&MODULES)? {
        let name = file.file_name().context("a module's name")?.to_string_lossy().into_owned();
        fs::copy(&file, root.join("modules").join(&name))?;
        order += &format!("{name}\n");
    }
    Ok(fs::write(root.join("modules/order"), order)?)
}
