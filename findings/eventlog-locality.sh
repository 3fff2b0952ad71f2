#!/bin/bash
# tpm2_eventlog of Debian 12 replays a firmware's log to another PCR 0 than the TPM has: it extends EV_NO_ACTION, and does not start PCR 0
# from the locality that StartupLocality tells.
#
# Of:      tpm2-tools 5.4-1 (Debian 12). 5.8 was seen to be right.
# Input:   a log of a Spec ID event, StartupLocality (EV_NO_ACTION), S_CRTM_VERSION and a separator, all of PCR 0, one SHA-256 bank, made here
#          by the TCG PC Client Platform Firmware Profile; once for locality 3, once for locality 0.
# Expected: "EV_NO_ACTION events are not extended", and PCR 0 begins as 0...03 after a start from locality 3 (same profile).
# Seen:    the value that comes of extending the 32 zeros of EV_NO_ACTION to a PCR of zeros, for both.
#   start from locality 3; PCR 0 by the specification: d387d63fe8a6078328579a1bc7d005ab5c6e26869d772a87978636d2b3350eb5
#     by tpm2_eventlog: ab3e164bcfa0ea8241db3b5c5c719523053585246f38859b8da710d5024d5b4e
#   start from locality 0; PCR 0 by the specification: 5c6bc2462bde406e0dfd9f1e5ff1f4fa2afffa9592ae3c441d7b9b9a05bb3519
#     by tpm2_eventlog: ab3e164bcfa0ea8241db3b5c5c719523053585246f38859b8da710d5024d5b4e
# So:      a log is held against the quote, never against this tool; and a replay of one's own is tested with a log that has StartupLocality,
#          which OVMF under QEMU does not write and real firmware does.
source "$(dirname "$0")/common.sh"
debs tpm2-tools=5.4-1 libtss2-esys-3.0.2-0=3.2.1-3 libtss2-mu0=3.2.1-3 libtss2-sys1=3.2.1-3 libtss2-rc0=3.2.1-3 libtss2-tctildr0=3.2.1-3
# LOCALITY: writes a log of a TPM started from it, and prints PCR 0 by the specification and by taking EV_NO_ACTION for an extend.
log() {
    python3 - "$dir/log" "$1" <<'PY'
import hashlib, struct, sys
path, locality = sys.argv[1], int(sys.argv[2])
sha = lambda data: hashlib.sha256(data).digest()
NO_ACTION, SEPARATOR, S_CRTM_VERSION = 3, 4, 8
def event(kind, digest, data):  # TCG_PCR_EVENT2 of one bank (0x000b, SHA-256)
    return struct.pack("<IIIH", 0, kind, 1, 0x0b) + digest + struct.pack("<I", len(data)) + data
spec_id = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, 1) + struct.pack("<HH", 0x0b, 32) + b"\0"
header = struct.pack("<II", 0, NO_ACTION) + bytes(20) + struct.pack("<I", len(spec_id)) + spec_id  # TCG_PCR_EVENT
version, separator = "v1".encode("utf-16le"), bytes(4)
events = [(NO_ACTION, bytes(32), b"StartupLocality\0" + bytes([locality])),
          (S_CRTM_VERSION, sha(version), version), (SEPARATOR, sha(separator), separator)]
open(path, "wb").write(header + b"".join(event(*one) for one in events))
def replay(start, counts):
    pcr = bytes(31) + bytes([start])
    for kind, digest, _ in events:
        if counts(kind): pcr = sha(pcr + digest)
    return pcr.hex()
print(replay(locality, lambda kind: kind != NO_ACTION), replay(0, lambda kind: True))
PY
}
# By the tool: the value that it prints under `pcrs:`.
told() { tpm2_eventlog "$dir/log" | sed -n '/^pcrs:/,$p' | grep -E '^ +0 *: *0x' | grep -oE '[0-9a-f]{64}'; }
for locality in 3 0; do
    read -r right wrong <<<"$(log "$locality")"
    echo "start from locality $locality; PCR 0 by the specification: $right"
    same "  by tpm2_eventlog" "$(told)" "^$wrong\$"
    [ "$right" != "$wrong" ]
done
