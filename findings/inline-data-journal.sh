#!/bin/bash
# An ext4 with inline data keeps old bytes of a small file in its journal, many times, after the file was overwritten in place, synced and
# removed.
#
# Of:      Linux ext4 (seen on 6.18.44 and 6.1.192); the file system is made by e2fsprogs 1.47.0 (Debian 12: 1.47.0-2+b2).
# Input:   a file of 159 bytes, written, its mode changed ten times, overwritten with zeros through the same descriptor, removed; each step
#          synced. With `-O inline_data -I 512` the file lies in its inode, and each transaction logs the inode's block.
# Expected: overwritten in place, it is gone from the disk, as it is with the default features, where data are not journalled.
# Seen:
#   default features, copies of the old bytes: 0
#   inline_data, 256-byte inodes: 0
#   inline_data, 512-byte inodes: 11
# So:      who wipes small secrets by overwriting keeps them out of the inode (fallocate(FALLOC_FL_KEEP_SIZE) of a block before the first
#          write), and takes the journal to its end (EXT4_IOC_CHECKPOINT, Linux 5.14). An inode of 256 bytes has room for 128 only.
source "$(dirname "$0")/common.sh"
debs e2fsprogs=1.47.0-2+b2 libext2fs2=1.47.0-2+b2 libcom-err2=1.47.0-2+b2 libss2=1.47.0-2+b2
copies() {
    truncate --size 64M "$dir/disk"
    mkfs.ext4 -q -F -b 4096 "$@" "$dir/disk"
    mkdir -p "$dir/mnt"
    mount -o loop "$dir/disk" "$dir/mnt"
    # 159 bytes, with a mark that nothing else has.
    python3 - "$dir/mnt/small" <<'PY'
import os, sys
mark = b"MARK" + b"0123456789abcdef" * 9 + b"-end-of-it."
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
os.write(file, mark); os.fsync(file)
for step in range(10):  # other touches of the same inode
    os.chmod(sys.argv[1], 0o600 + step % 2); os.fsync(file)
os.pwrite(file, b"\0" * len(mark), 0); os.fsync(file)
os.close(file); os.unlink(sys.argv[1]); os.sync()
PY
    umount "$dir/mnt"
    { grep --text --only-matching --byte-offset MARK0123456789abcdef "$dir/disk" || true; } | wc -l
    rm "$dir/disk"
}
same "default features, copies of the old bytes" "$(copies)" '^0$'
same "inline_data, 256-byte inodes" "$(copies -O inline_data)" '^0$'
same "inline_data, 512-byte inodes" "$(copies -O inline_data -I 512)" '^([2-9]|[1-9][0-9]+)$'
