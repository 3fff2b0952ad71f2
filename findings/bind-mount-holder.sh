#!/bin/bash
# A bind mount of a folder inside an encrypted directory keeps its key in the kernel, and neither lsof nor fuser names anybody.
#
# Of:      Linux fscrypt on ext4 (seen on 6.18.44); lsof 4.95.0-1, psmisc 23.6-1 (Debian 12).
# Input:   a directory with a v2 policy and an open key; FS_IOC_REMOVE_ENCRYPTION_KEY, once under a process with an open file, once under
#          `mount --bind DIRECTORY/sub ELSEWHERE` with no process at all.
# Expected: who keeps the key from going ("busy") can be looked up by lsof or fuser, as of any busy file system.
# Seen:
#   key removed under an open file: FILES_BUSY
#     processes by lsof, by fuser: 1 1
#   the holder gone, removed again: removed
#     the key is: absent
#   key removed under a bind mount: FILES_BUSY
#     processes by lsof, by fuser: 0 0
#     the key is: incompletely removed
#     what names it is mountinfo: /vault/sub
#   unmounted, removed again: removed
#     the key is: absent
# So:      look at field 4 of /proc/PID/mountinfo of every mount namespace, for roots at or below the directory, besides files. A container's
#          root folder in such a directory is this case.
source "$(dirname "$0")/common.sh"
debs e2fsprogs=1.47.0-2+b2 libext2fs2=1.47.0-2+b2 libcom-err2=1.47.0-2+b2 libss2=1.47.0-2+b2 lsof=4.95.0-1 psmisc=23.6-1
truncate --size 64M "$dir/disk"
mkfs.ext4 -q -F -b 4096 -O encrypt "$dir/disk"
mkdir "$dir/mnt" "$dir/elsewhere"
mount -o loop "$dir/disk" "$dir/mnt"
# What the kernel does with the one key of this file system: <linux/fscrypt.h>.
cat >"$dir/key.py" <<'PY'
import fcntl, os, struct, sys
ADD, REMOVE, STATUS, SET_POLICY = 0xc0506617, 0xc0406618, 0xc080661a, 0x800c6613
act, mnt, directory = sys.argv[1:]
name = mnt + ".key"
spec = lambda identifier: struct.pack("<II", 2, 0) + identifier.ljust(32, b"\0")
on = os.open(mnt, os.O_RDONLY)
if act == "add":
    argument = bytearray(spec(b"") + struct.pack("<II", 64, 0) + bytes(32) + b"\5" * 64)
    fcntl.ioctl(on, ADD, argument)
    identifier = bytes(argument[8:24])
    open(name, "wb").write(identifier)
    os.makedirs(directory, exist_ok=True)
    # Version 2, AES-256-XTS and AES-256-CTS, names padded to 32.
    fcntl.ioctl(os.open(directory, os.O_RDONLY), SET_POLICY, struct.pack("<BBBB4x", 2, 1, 4, 3) + identifier)
else:
    spec = spec(open(name, "rb").read())
    if act == "remove":
        argument = bytearray(spec + bytes(24))
        fcntl.ioctl(on, REMOVE, argument)
        print("FILES_BUSY" if struct.unpack_from("<I", argument, 40)[0] & 1 else "removed")
    else:
        argument = bytearray(spec + bytes(88))
        fcntl.ioctl(on, STATUS, argument)
        print({1: "absent", 2: "present", 3: "incompletely removed"}[struct.unpack_from("<I", argument, 64)[0]])
PY
key() { python3 "$dir/key.py" "$1" "$dir/mnt" "$dir/mnt/vault"; }
# Who holds it, by the two tools: every process with a file under the folder, and with one on the file system.
lsof_says() { lsof -w -t +D "$dir/mnt/vault" 2>/dev/null | wc -l; }
fuser_says() { { fuser -m "$dir/mnt" 2>/dev/null || true; } | wc -w; }
key add
mkdir "$dir/mnt/vault/sub"
echo plain >"$dir/mnt/vault/sub/file"

# A process that holds the file is named by both.
sleep 1000 <"$dir/mnt/vault/sub/file" &
holder=$!
same "key removed under an open file" "$(key remove)" '^FILES_BUSY$'
same "  processes by lsof, by fuser" "$(lsof_says) $(fuser_says)" '^1 1$'
kill "$holder"; wait "$holder" || true
same "the holder gone, removed again" "$(key remove)" '^removed$'
same "  the key is" "$(key status)" "^absent\$"

# A bind mount of a folder in it is named by neither.
rm "$dir/mnt.key"
key add 2>/dev/null || true
mount --bind "$dir/mnt/vault/sub" "$dir/elsewhere"
same "key removed under a bind mount" "$(key remove)" '^FILES_BUSY$'
same "  processes by lsof, by fuser" "$(lsof_says) $(fuser_says)" '^0 0$'
same "  the key is" "$(key status)" '^incompletely removed$'
same "  what names it is mountinfo" "$(awk '{ print $4 }' /proc/self/mountinfo | grep '^/vault')" '^/vault/sub$'
umount "$dir/elsewhere"
same "unmounted, removed again" "$(key remove)" '^removed$'
same "  the key is" "$(key status)" '^absent$'
