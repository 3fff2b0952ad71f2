#!/bin/bash
# The names of files outlive `rm -r` of their folder on ext4, in its freed block and in the journal, though ext4 wipes a name where it is removed.
#
# Of:      Linux 6.18.44 ext4; e2fsprogs 1.47.0 (Debian 12: 1.47.0-2+b2), its defaults, with and without a journal.
# Input:   a folder with twenty files of one block each, whose names have a mark and whose contents are overwritten with zeros and synced;
#          then `rm -r`, sync, unmount. The whole disk is searched for the mark.
# Expected: the names are gone: since Linux 5.13 ext4 clears each directory entry that is removed.
# Seen:
#   no journal: names, contents: 20 0
#   with a journal: names, contents: 230 0
#   the same, its journal checkpointed and zeroed: 20 0
#   the same, synced between the files and the folder: 0 0
#   journal zeroed, and the free space filled once: 0 0
# So:      the cleared block is never written when its folder goes in the same transaction. Who removes a folder whose names are secret empties it,
#          syncs, takes the journal to its end with zeros (EXT4_IOC_CHECKPOINT, Linux 5.14), and removes the folder only then.
source "$(dirname "$0")/common.sh"
debs e2fsprogs=1.47.0-2+b2 libext2fs2=1.47.0-2+b2 libcom-err2=1.47.0-2+b2 libss2=1.47.0-2+b2
cat >"$dir/files.py" <<'PY'
import os, sys
folder = sys.argv[1]
os.mkdir(folder)
for n in range(20):
    file = os.open(f"{folder}/NAMEMARK-{n:02}", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(file, b"BODYMARK" * 512); os.fsync(file)
    os.pwrite(file, bytes(4096), 0); os.fsync(file); os.close(file)
os.sync()
PY
cat >"$dir/checkpoint.py" <<'PY'
import fcntl, os, struct, sys
# EXT4_IOC_CHECKPOINT = _IOW('f', 43, __u32), EXT4_IOC_CHECKPOINT_FLAG_ZEROOUT.
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x4004662b, struct.pack("<I", 2))
PY
count() { { grep --text --only-matching "$1" "$dir/disk" || true; } | wc -l; }
# THEN MKFS-OPTION...: how often names and contents are on the disk once the folder is gone, and THEN was done.
left() {
    local then=$1
    shift
    rm -f "$dir/disk"
    truncate --size 32M "$dir/disk"
    mkfs.ext4 -q -F -b 4096 "$@" "$dir/disk"
    mkdir -p "$dir/mnt"
    mount -o loop "$dir/disk" "$dir/mnt"
    python3 "$dir/files.py" "$dir/mnt/folder"
    if [[ $then == *between* ]]; then
        rm "$dir/mnt/folder/"*
        sync
    fi
    rm -r "$dir/mnt/folder"
    sync
    if [[ $then == *checkpoint* ]]; then python3 "$dir/checkpoint.py" "$dir/mnt"; fi
    if [[ $then == *fill* ]]; then
        dd if=/dev/zero of="$dir/mnt/fill" bs=64k 2>/dev/null || true
        sync
        rm "$dir/mnt/fill"
    fi
    umount "$dir/mnt"
    echo "$(count NAMEMARK) $(count BODYMARK)"
}
same "no journal: names, contents" "$(left nothing -O ^has_journal)" '^20 0$'
same "with a journal: names, contents" "$(left nothing)" '^(2[1-9]|[3-9][0-9]|[1-9][0-9]{2,}) 0$'
same "the same, its journal checkpointed and zeroed" "$(left checkpoint)" '^20 0$'
same "the same, synced between the files and the folder" "$(left between,checkpoint)" '^0 0$'
same "journal zeroed, and the free space filled once" "$(left checkpoint,fill)" '^0 0$'
