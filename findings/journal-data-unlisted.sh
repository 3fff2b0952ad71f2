#!/bin/bash
# An ext4 that journals file data, because its superblock says so, does not say so in the table of mounts.
#
# Of:      Linux ext4 (seen on 6.18.44); the file system is made and tuned by e2fsprogs 1.47.0 (Debian 12: 1.47.0-2+b2).
# Input:   a new file system with `tune2fs -o journal_data`, mounted without options; beside it a new one mounted with `-o data=journal`, and one
#          mounted as it is. In each a file is written, synced, overwritten in place and synced again.
# Expected: /proc/self/mountinfo shows the mount options that are in force (proc_pid_mountinfo(5): "per-superblock options"), so a reader sees
#          data=journal there, as with `-o data=journal`.
# Seen:    only what differs from the superblock's defaults is listed. The old bytes are in the journal all the same.
#   as it is: data= in mountinfo: none, in /proc/fs/ext4: data=ordered, old bytes on the disk: no
#   -o data=journal: data= in mountinfo: data=journal, in /proc/fs/ext4: data=journal, old bytes on the disk: yes
#   by its superblock: data= in mountinfo: none, in /proc/fs/ext4: data=journal, old bytes on the disk: yes
# So:      who overwrites secrets in place asks /proc/fs/ext4/DEVICE/options, which lists every option, whether file data go through the journal.
source "$(dirname "$0")/common.sh"
debs e2fsprogs=1.47.0-2+b2 libext2fs2=1.47.0-2+b2 libcom-err2=1.47.0-2+b2 libss2=1.47.0-2+b2
# MOUNTINFO-OR-OPTIONS on standard input: the option that says how file data are journalled.
how() { { grep --only-matching --extended-regexp 'data=[a-z]+' || true; } | head -n 1; }
# TUNE OPTIONS: what both tables say of such a file system, and whether what was overwritten is on the disk.
seen() {
    truncate --size 64M "$dir/disk"
    mkfs.ext4 -q -F -b 4096 "$dir/disk"
    if [ -n "$1" ]; then tune2fs -o "$1" "$dir/disk" >/dev/null; fi
    mkdir -p "$dir/mnt"
    mount -o "loop$2" "$dir/disk" "$dir/mnt"
    device=$(basename "$(awk -v at="$dir/mnt" '$2 == at { print $1 }' /proc/self/mounts)")
    listed=$(awk -v at="$dir/mnt" '$5 == at' /proc/self/mountinfo | how)
    options=$(how <"/proc/fs/ext4/$device/options")
    python3 - "$dir/mnt/file" <<'PY'
import os, sys
old = b"MARK" + b"0123456789abcdef" * 255 + b"the-end-x012"
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
os.write(file, old); os.fsync(file)
os.pwrite(file, b"\0" * len(old), 0); os.fsync(file); os.sync()
PY
    umount "$dir/mnt"
    if grep --quiet --text MARK0123456789abcdef "$dir/disk"; then old=yes; else old=no; fi
    rm "$dir/disk"
    echo "${listed:-none}, in /proc/fs/ext4: $options, old bytes on the disk: $old"
}
same "as it is: data= in mountinfo" "$(seen '' '')" '^none, in /proc/fs/ext4: data=ordered, old bytes on the disk: no$'
same "-o data=journal: data= in mountinfo" "$(seen '' ,data=journal)" '^data=journal, in /proc/fs/ext4: data=journal, old bytes on the disk: yes$'
same "by its superblock: data= in mountinfo" "$(seen journal_data '')" '^none, in /proc/fs/ext4: data=journal, old bytes on the disk: yes$'
