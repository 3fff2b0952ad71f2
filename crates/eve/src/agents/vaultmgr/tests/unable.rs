//! A persist filesystem that can't encrypt.

use std::fs;
use std::process::Command;

use testkit::loopfs::LoopFs;
use vault::condition::Hint;
use vault::ids::IMAGE_VAULT;
use vault::secret::WrappingSecret;
use vault::section::Encryption;

use crate::agents::vaultmgr::chain;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::kernel::Kernel;
use crate::agents::vaultmgr::hands::prepare;
use crate::agents::vaultmgr::paths::Paths;

fn refusal(root: &std::path::Path) -> String {
    let paths = Paths::new(root);
    prepare::vaults_folder(&paths).expect("our folder");
    let mut kernel = Kernel::open(&paths).expect("opens");
    let fill = |bytes: &mut [u8; 32]| {
        bytes.fill(1);
        Ok::<_, std::convert::Infallible>(())
    };
    let secret = WrappingSecret::init(fill).expect("a secret");
    let made = kernel.create(IMAGE_VAULT, Encryption::Aes256Xts, Hint::NoEpoch, &secret);
    chain(&made.map(drop).expect_err("it can't encrypt"))
}

/// seen-by-users 0.16: the refusal says which device to change, and that a folder is no mount point.
#[test]
fn a_filesystem_that_cannot_encrypt_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let (image, root) = (dir.path().join("image"), dir.path().join("node"));
    fs::File::create(&image).and_then(|file| file.set_len(24 << 20)).expect("an image");
    let made =
        Command::new("mkfs.ext4").args(["-q", "-O", "^encrypt"]).arg(&image).status().expect("runs mkfs");
    assert!(made.success());
    let disk = LoopFs::open(&image, &root.join("persist")).expect("mounts");
    let told = refusal(&root);
    assert!(told.contains("tune2fs -O encrypt /dev/loop") && told.contains("start eve again"), "{told}");
    let inner = root.join("persist/node");
    fs::create_dir_all(inner.join("persist")).expect("makes");
    let told = refusal(&inner);
    assert!(told.contains("is not a mount point"), "{told}");
    drop(disk);
}
