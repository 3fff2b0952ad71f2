//! Kernel modules in the order in which they can be loaded, from what each says of itself (`.modinfo`): no depmod is needed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// All modules of a kernel, by name.
pub(super) struct Modules(BTreeMap<String, PathBuf>);

impl Modules {
    /// Those under a folder.
    pub(super) fn under(folder: &Path) -> Result<Self> {
        let mut found = BTreeMap::new();
        collect(folder, &mut found)?;
        Ok(Self(found))
    }

    /// The files of these modules and of all that they need, each after what it needs.
    pub(super) fn in_order(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let mut order = Vec::new();
        names.iter().try_for_each(|name| self.add(name, &mut order))?;
        Ok(order)
    }

    fn add(&self, name: &str, order: &mut Vec<PathBuf>) -> Result<()> {
        let file = self.0.get(name).with_context(|| format!("this kernel has no module {name}"))?;
        if !order.contains(file) {
            needed(&fs::read(file)?).iter().try_for_each(|other| self.add(other, order))?;
            order.push(file.clone());
        }
        Ok(())
    }
}

fn collect(folder: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".ko")) {
            found.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

/// `depends=a,b`, ended by a zero byte.
fn needed(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let found = module.windows(KEY.len()).position(|window| window == KEY);
    let value = found.and_then(|at| module[at + KEY.len()..].split(|byte| *byte == 0).next());
    let value = String::from_utf8_lossy(value.unwrap_or_default()).replace('-', "_");
    value.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_is_read_from_it() {
        assert_eq!(
            needed(b"x\0license=GPL\0depends=crypto-simd,cryptd\0name=a\0"),
            ["crypto_simd", "cryptd"]
        );
        assert_eq!(needed(b"x\0depends=\0name=a\0"), [""; 0]);
        assert_eq!(needed(b"nothing"), [""; 0]);
    }
}
