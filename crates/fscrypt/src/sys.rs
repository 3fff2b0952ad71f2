//! The ioctls of <linux/fscrypt.h>, two beside them that scrubbing needs, project quotas, what tells who shares a file, a loop device's own file among it, and all `unsafe` of this workspace. Layouts and numbers are the kernel's; meaning is
//! given to an errno by the caller, who alone knows what it asked. Nothing here keeps a key.

#![allow(unsafe_code)] // These calls have no safe face in any library we use.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use zeroize::Zeroize;

use crate::{ContentKey, KeyIdentifier, Policy};

/// `_IOR('f', 19, struct fscrypt_policy_v1)`, whose size (12) the number names whatever version is passed.
const SET_ENCRYPTION_POLICY: u32 = 0x800c_6613;
/// `_IOWR('f', 22, __u8[9])`.
const GET_ENCRYPTION_POLICY_EX: u32 = 0xc009_6616;
/// `_IOWR('f', 23, struct fscrypt_add_key_arg)`.
const ADD_ENCRYPTION_KEY: u32 = 0xc050_6617;
/// `_IOWR('f', 24, struct fscrypt_remove_key_arg)`.
const REMOVE_ENCRYPTION_KEY: u32 = 0xc040_6618;
/// `_IOWR('f', 25, struct fscrypt_remove_key_arg)`.
const REMOVE_ENCRYPTION_KEY_ALL_USERS: u32 = 0xc040_6619;
/// `_IOWR('f', 26, struct fscrypt_get_key_status_arg)`.
const GET_ENCRYPTION_KEY_STATUS: u32 = 0xc080_661a;

/// `_IOR('f', 1, long)` of <linux/fs.h>; an `int` is written all the same.
const GET_FLAGS: u32 = 0x8008_6601;
/// `_IOW('f', 43, __u32)` of fs/ext4/ext4.h.
const EXT4_CHECKPOINT: u32 = 0x4004_662b;

/// `_IOR('X', 31, struct fsxattr)` and `_IOW('X', 32, struct fsxattr)` of <linux/fs.h>.
const GET_ATTRIBUTES: u32 = 0x801c_581f;
const SET_ATTRIBUTES: u32 = 0x401c_5820;
/// Commands of quotactl(2), each as `QCMD(command, PRJQUOTA)`: `Q_XGETQSTAT`, `Q_GETQUOTA`, `Q_SETQUOTA`.
const QUOTA_STATE: u32 = 0x5805 << 8 | PROJECT_QUOTA;
const GET_QUOTA: u32 = 0x80_0007 << 8 | PROJECT_QUOTA;
const SET_QUOTA: u32 = 0x80_0008 << 8 | PROJECT_QUOTA;
const PROJECT_QUOTA: u32 = 2;

/// Those that tell and change a file's project.
pub(crate) const PROJECTS: [u32; 2] = [GET_ATTRIBUTES, SET_ATTRIBUTES];
/// Commands of quotactl(2), all of project quotas.
pub(crate) const QUOTAS: [u32; 3] = [QUOTA_STATE, GET_QUOTA, SET_QUOTA];

/// Those that change what the kernel holds.
pub(crate) const CHANGING: [u32; 4] =
    [SET_ENCRYPTION_POLICY, ADD_ENCRYPTION_KEY, REMOVE_ENCRYPTION_KEY, REMOVE_ENCRYPTION_KEY_ALL_USERS];

/// Those that wipe a journal: which files may have copies there, and the wiping.
pub(crate) const SCRUBBING: [u32; 2] = [GET_FLAGS, EXT4_CHECKPOINT];

/// `LOOP_GET_STATUS64` of <linux/loop.h>.
const LOOP_STATUS: u32 = 0x4c05;

/// The one that tells which file a loop device is made of.
pub(crate) const LOOPS: [u32; 1] = [LOOP_STATUS];

/// Those that only ask.
pub(crate) const READING: [u32; 2] = [GET_ENCRYPTION_POLICY_EX, GET_ENCRYPTION_KEY_STATUS];

/// `FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER`.
const SPEC_IDENTIFIER: u32 = 2;
/// `FSCRYPT_POLICY_V2`.
pub(crate) const POLICY_V2: u8 = 2;

/// `struct fscrypt_policy_v2`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct PolicyV2 {
    pub(crate) version: u8,
    pub(crate) contents: u8,
    pub(crate) filenames: u8,
    pub(crate) flags: u8,
    pub(crate) log2_data_unit_size: u8,
    reserved: [u8; 3],
    pub(crate) identifier: [u8; 16],
}

impl From<&Policy> for PolicyV2 {
    fn from(policy: &Policy) -> Self {
        Self {
            version: POLICY_V2,
            contents: policy.modes.contents,
            filenames: policy.modes.filenames,
            flags: policy.modes.flags,
            log2_data_unit_size: policy.modes.log2_data_unit_size,
            reserved: [0; 3],
            identifier: policy.identifier.0,
        }
    }
}

/// `struct fscrypt_get_policy_ex_arg`.
#[repr(C)]
struct GetPolicyArg {
    policy_size: u64,
    policy: PolicyV2,
}

/// `struct fscrypt_key_specifier`.
#[repr(C)]
struct KeySpecifier {
    kind: u32,
    reserved: u32,
    identifier: [u8; 16],
    rest: [u8; 16],
}

impl KeySpecifier {
    fn of(id: KeyIdentifier) -> Self {
        Self { kind: SPEC_IDENTIFIER, reserved: 0, identifier: id.0, rest: [0; 16] }
    }
}

/// `struct fscrypt_add_key_arg` with room for the key at its end.
#[repr(C)]
struct AddKeyArg {
    spec: KeySpecifier,
    raw_size: u32,
    key_id: u32,
    reserved: [u32; 8],
    raw: [u8; 64],
}

impl Drop for AddKeyArg {
    fn drop(&mut self) {
        self.raw.zeroize();
    }
}

/// `struct fscrypt_remove_key_arg`.
#[repr(C)]
struct RemoveKeyArg {
    spec: KeySpecifier,
    status_flags: u32,
    reserved: [u32; 5],
}

/// `struct fscrypt_get_key_status_arg`.
#[repr(C)]
struct KeyStatusArg {
    spec: KeySpecifier,
    reserved: [u32; 6],
    status: u32,
    status_flags: u32,
    user_count: u32,
    out_reserved: [u32; 13],
}

/// What the kernel says of a key: its `status` and `user_count`.
pub(crate) struct RawKeyStatus {
    pub(crate) status: u32,
    pub(crate) users: u32,
}

// The sizes that the ioctl numbers name (the key follows the argument of `ADD_ENCRYPTION_KEY`).
const _: () = assert!(size_of::<PolicyV2>() == 24 && size_of::<GetPolicyArg>() == 32);
const _: () = assert!(size_of::<AddKeyArg>() == 80 + 64 && size_of::<RemoveKeyArg>() == 64);
const _: () = assert!(size_of::<KeyStatusArg>() == 128);

/// Sets `policy` on the empty directory `dir`.
pub(crate) fn set_policy(dir: BorrowedFd<'_>, policy: &PolicyV2) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the borrow; the kernel reads `version`, then the 24 bytes that version 2 has,
    // which `policy` has, and keeps no pointer.
    Errno::result(unsafe { libc::ioctl(dir.as_raw_fd(), SET_ENCRYPTION_POLICY.into(), policy) }).map(drop)
}

/// Reads the policy of a directory or file; a version 1 policy fills the first bytes only.
pub(crate) fn get_policy(dir: BorrowedFd<'_>) -> Result<PolicyV2, Errno> {
    let mut arg = GetPolicyArg { policy_size: size_of::<PolicyV2>() as u64, policy: PolicyV2::default() };
    // SAFETY: the descriptor is open for the borrow; the kernel writes at most `policy_size` bytes of policy, the room
    // that follows, of which every pattern of bits is a value; it keeps no pointer.
    Errno::result(unsafe { libc::ioctl(dir.as_raw_fd(), GET_ENCRYPTION_POLICY_EX.into(), &raw mut arg) })?;
    Ok(arg.policy)
}

/// Gives `key` to the filesystem of `fs` and returns the kernel's name for it. Our copy of the key is wiped.
pub(crate) fn add_key(fs: BorrowedFd<'_>, key: &ContentKey) -> Result<KeyIdentifier, Errno> {
    let mut arg = Box::new(AddKeyArg {
        spec: KeySpecifier::of(KeyIdentifier([0; 16])),
        raw_size: 64,
        key_id: 0,
        reserved: [0; 8],
        raw: [0; 64],
    });
    arg.raw.copy_from_slice(key.expose_content_key());
    let pointer: *mut AddKeyArg = &raw mut *arg;
    // SAFETY: the descriptor is open for the borrow; the kernel reads 80 bytes and `raw_size` (64) after them, the
    // struct's size, and writes the identifier into it; it copies the key and keeps no pointer.
    Errno::result(unsafe { libc::ioctl(fs.as_raw_fd(), ADD_ENCRYPTION_KEY.into(), pointer) })?;
    Ok(KeyIdentifier(arg.spec.identifier))
}

/// Takes the caller's claim (`all_users`: everyone's) to a key back; returns the removal status flags.
pub(crate) fn remove_key(fs: BorrowedFd<'_>, id: KeyIdentifier, all_users: bool) -> Result<u32, Errno> {
    let number = if all_users { REMOVE_ENCRYPTION_KEY_ALL_USERS } else { REMOVE_ENCRYPTION_KEY };
    let mut arg = RemoveKeyArg { spec: KeySpecifier::of(id), status_flags: 0, reserved: [0; 5] };
    // SAFETY: the descriptor is open for the borrow; the kernel reads and writes the 64 bytes that the number names,
    // the struct's size, of which every pattern of bits is a value; it keeps no pointer.
    Errno::result(unsafe { libc::ioctl(fs.as_raw_fd(), number.into(), &raw mut arg) })?;
    Ok(arg.status_flags)
}

/// Asks what the kernel holds of a key.
pub(crate) fn key_status(fs: BorrowedFd<'_>, id: KeyIdentifier) -> Result<RawKeyStatus, Errno> {
    let mut arg = KeyStatusArg {
        spec: KeySpecifier::of(id),
        reserved: [0; 6],
        status: 0,
        status_flags: 0,
        user_count: 0,
        out_reserved: [0; 13],
    };
    // SAFETY: the descriptor is open for the borrow; the kernel reads and writes the 128 bytes that the number names,
    // the struct's size, of which every pattern of bits is a value; it keeps no pointer.
    Errno::result(unsafe { libc::ioctl(fs.as_raw_fd(), GET_ENCRYPTION_KEY_STATUS.into(), &raw mut arg) })?;
    Ok(RawKeyStatus { status: arg.status, users: arg.user_count })
}

/// Reads the inode flags (`FS_*_FL`) of a file.
pub(crate) fn flags(file: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut flags: libc::c_long = 0;
    // SAFETY: the descriptor is open for the borrow; the kernel writes an int, or with other filesystems a long, into the long
    // that is given, of which every pattern of bits is a value; it keeps no pointer.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), GET_FLAGS.into(), &raw mut flags) })?;
    let bytes = flags.to_ne_bytes();
    Ok(u32::from_ne_bytes(*bytes.first_chunk().expect("a long has four bytes at least")))
}

/// Takes ext4's journal to its end, with `EXT4_IOC_CHECKPOINT_FLAG_*`.
pub(crate) fn checkpoint(fs: BorrowedFd<'_>, flags: u32) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the borrow; the kernel reads the four bytes of `flags`, and keeps no pointer.
    Errno::result(unsafe { libc::ioctl(fs.as_raw_fd(), EXT4_CHECKPOINT.into(), &raw const flags) }).map(drop)
}

/// `struct fsxattr`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Attributes {
    pub(crate) flags: u32,
    pub(crate) extent_size: u32,
    pub(crate) extents: u32,
    pub(crate) project: u32,
    pub(crate) cow_extent_size: u32,
    pub(crate) pad: [u8; 8],
}

/// `struct fs_quota_stat`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct QuotaState {
    version: i8,
    flags: u16,
    pad: i8,
    files: [[u64; 3]; 2],
    rest: [u32; 5],
}

/// `struct if_dqblk`. Limits in KiB, what is taken in bytes.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Quota {
    pub(crate) hard_limit: u64,
    soft_limit: u64,
    pub(crate) space: u64,
    inode_limits: [u64; 2],
    pub(crate) inodes: u64,
    times: [u64; 2],
    valid: u32,
}

/// `QIF_BLIMITS`: of what is given, the limits of space count.
const SPACE_LIMITS: u32 = 1;

const _: () =
    assert!(size_of::<Attributes>() == 28 && size_of::<QuotaState>() == 80 && size_of::<Quota>() == 72);

/// Reads the attributes that filesystems have in common, the project among them.
pub(crate) fn attributes(file: BorrowedFd<'_>) -> Result<Attributes, Errno> {
    let mut told = Attributes::default();
    // SAFETY: the descriptor is open for the borrow; the kernel writes the 28 bytes that the number names, the struct's size, of which
    // every pattern of bits is a value; it keeps no pointer.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), GET_ATTRIBUTES.into(), &raw mut told) })?;
    Ok(told)
}

/// Sets them.
pub(crate) fn set_attributes(file: BorrowedFd<'_>, attributes: &Attributes) -> Result<(), Errno> {
    let given: *const Attributes = attributes;
    // SAFETY: the descriptor is open for the borrow; the kernel reads 28 bytes, the struct's size, and keeps no pointer.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), SET_ATTRIBUTES.into(), given) }).map(drop)
}

/// Which quotas are kept: `FS_QUOTA_*`.
pub(crate) fn quota_flags(fs: BorrowedFd<'_>) -> Result<u16, Errno> {
    let mut told = QuotaState::default();
    quotactl(fs, QUOTA_STATE, 0, (&raw mut told).cast())?;
    Ok(told.flags)
}

/// What a project takes and may.
pub(crate) fn quota(fs: BorrowedFd<'_>, project: u32) -> Result<Quota, Errno> {
    let mut told = Quota::default();
    quotactl(fs, GET_QUOTA, project, (&raw mut told).cast())?;
    Ok(told)
}

/// Bounds it, in KiB; 0: it is not.
pub(crate) fn set_quota(fs: BorrowedFd<'_>, project: u32, hard_limit: u64) -> Result<(), Errno> {
    let mut given = Quota { hard_limit, valid: SPACE_LIMITS, ..Quota::default() };
    quotactl(fs, SET_QUOTA, project, (&raw mut given).cast())
}

/// `at`: the struct of the command, whole. Called for one of [`QUOTAS`] alone.
fn quotactl(fs: BorrowedFd<'_>, command: u32, project: u32, at: *mut libc::c_void) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the borrow; the kernel reads or writes the struct that belongs to the command, which is what
    // each caller above points to, of which every pattern of bits is a value; it keeps no pointer.
    Errno::result(unsafe { libc::syscall(libc::SYS_quotactl_fd, fs.as_raw_fd(), command, project, at) })
        .map(drop)
}

/// `F_SETSIG` of <fcntl.h>.
const F_SETSIG: libc::c_int = 10;

/// Whether two threads have one table of descriptors.
pub(crate) fn same_descriptors(one: libc::pid_t, other: libc::pid_t) -> Result<bool, Errno> {
    let what = crate::sharing::KCMP_FILES;
    // SAFETY: numbers alone are passed; the call reads no memory of ours and changes nothing.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, one, other, what, 0, 0) };
    Errno::result(order).map(|order| order == 0)
}

/// Takes a lease on a file (`F_RDLCK`), or gives it back (`F_UNLCK`).
pub(crate) fn lease(file: BorrowedFd<'_>, kind: libc::c_int) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the borrow; the argument is a number, and no memory of ours is read or written.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) }).map(drop)
}

/// What is sent to us when a lease is to be given back, instead of SIGIO, which ends a process.
pub(crate) fn signal_of_leases(file: BorrowedFd<'_>, signal: libc::c_int) -> Result<(), Errno> {
    // SAFETY: as for a lease.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, signal) }).map(drop)
}

/// `struct loop_info64`.
#[repr(C)]
struct LoopInfo {
    /// In the kernel's own form of a device, as stat(2) has it.
    device: u64,
    inode: u64,
    rest: [u64; 3],
    numbers: [u32; 4],
    names: [u8; 160],
    init: [u64; 2],
}

const _: () = assert!(size_of::<LoopInfo>() == 232);

/// Device and inode of the file that a loop device is made of.
pub(crate) fn loop_file(device: BorrowedFd<'_>) -> Result<(u64, u64), Errno> {
    let mut told =
        LoopInfo { device: 0, inode: 0, rest: [0; 3], numbers: [0; 4], names: [0; 160], init: [0; 2] };
    // SAFETY: the descriptor is open for the borrow; the kernel writes its `struct loop_info64`, 232 bytes, the struct's size, of which
    // every pattern of bits is a value; it keeps no pointer. A driver that has no such number answers with an error and writes nothing.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_STATUS.into(), &raw mut told) })?;
    Ok((told.device, told.inode))
}
