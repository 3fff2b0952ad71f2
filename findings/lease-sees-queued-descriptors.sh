#!/bin/bash
# A descriptor that waits in the queue of a UNIX socket (SCM_RIGHTS) holds its file open, and neither lsof, fuser nor /proc shows anybody; a
# read lease is refused for it all the same.
#
# Of:      Linux 6.18.44 on ext4; lsof 4.95.0-1, psmisc 23.6-1 (Debian 12); python3 of the machine.
# Input:   a file, opened for writing once, the descriptor sent over a socket pair and closed by its sender, not received yet; then
#          fcntl(F_SETLEASE, F_RDLCK) by its owner.
# Expected: whoever keeps a file open for writing is found in /proc/PID/fd, as lsof and fuser look there.
# Seen:
#   open in a process: lsof, fuser, /proc, lease: 1 1 1 EAGAIN
#   only in the queue of a socket: lsof, fuser, /proc, lease: 0 0 0 EAGAIN
#   the socket pair closed: lsof, fuser, /proc, lease: 0 0 0 granted
# So:      before a file is wiped or taken to be nobody's, ask for a read lease (F_SETLEASE, fcntl(2); owner or CAP_LEASE): it is refused for
#          every descriptor that can write, wherever it is. It does not say whose it is; and it is given on regular files only.
source "$(dirname "$0")/common.sh"
debs lsof=4.95.0-1 psmisc=23.6-1
truncate --size 16M "$dir/disk"
mkfs.ext4 -q -F "$dir/disk"
mkdir "$dir/mnt"
mount -o loop "$dir/disk" "$dir/mnt"
file=$dir/mnt/file
echo plain >"$file"
cat >"$dir/hold.py" <<'PY'
import os, socket, sys
# Says that it is done by a line, and goes on at one.
step = lambda: (print("done", flush=True), sys.stdin.readline())
one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
writer = os.open(sys.argv[1], os.O_WRONLY)
step()
socket.send_fds(one, [b"x"], [writer]); os.close(writer)
step()
one.close(); other.close()
step()
PY
cat >"$dir/lease.py" <<'PY'
import errno, fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
try:
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    print("granted")
except OSError as refused:
    print(errno.errorcode[refused.errno])
PY
# How many processes each of them names, and the lease.
seen() {
    local in_lsof in_fuser in_proc
    in_lsof=$(lsof -t "$file" 2>/dev/null | wc -l)
    in_fuser=$({ fuser "$file" 2>/dev/null || true; } | wc -w)
    in_proc=$({ find /proc/[0-9]*/fd -lname "$file" 2>/dev/null || true; } | wc -l)
    echo "$in_lsof $in_fuser $in_proc $(python3 "$dir/lease.py" "$file")"
}
coproc holder { exec python3 "$dir/hold.py" "$file"; }
next() { read -r _ <&"${holder[0]}"; }
go_on() { echo >&"${holder[1]}"; next; }
what="lsof, fuser, /proc, lease"
next
same "open in a process: $what" "$(seen)" '^1 1 1 EAGAIN$'
go_on
same "only in the queue of a socket: $what" "$(seen)" '^0 0 0 EAGAIN$'
go_on
same "the socket pair closed: $what" "$(seen)" '^0 0 0 granted$'
