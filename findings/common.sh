# What the findings share; sourced at the top of each. Needs root and Debian 12.
#
# A finding runs in namespaces of mounts and processes of its own, in a temporary folder, $dir. However it ends (its end, Ctrl-C, a kill),
# the kernel takes back its mounts, loop devices and processes, and the folder is removed.
set -euo pipefail

if [ -z "${FINDING_DIR:-}" ]; then
    FINDING_DIR=$(mktemp --directory)
    export FINDING_DIR
    inner=
    tidy() {
        if [ -n "$inner" ]; then kill -KILL "$inner" 2>/dev/null || true; wait "$inner" 2>/dev/null || true; fi
        rm -rf "$FINDING_DIR"
    }
    trap tidy EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child=KILL --mount-proc \
        timeout --kill-after=5 "${FINDING_SECONDS:-300}" bash "$0" &
    inner=$!
    code=0
    wait "$inner" || code=$?
    inner=
    exit "$code"
fi
dir=$FINDING_DIR

# PACKAGE=VERSION...: Debian packages, unpacked, not installed; what they need beyond themselves is the machine's.
debs() {
    mkdir -p "$dir/debs" "$dir/root"
    (cd "$dir/debs" && apt-get download -qq -o APT::Sandbox::User=root "$@") >&2 || {
        echo "can't be tried: these versions can't be had: $*" >&2
        exit 3
    }
    for deb in "$dir"/debs/*.deb; do dpkg-deb --extract "$deb" "$dir/root"; done
    PATH=$dir/root/usr/sbin:$dir/root/sbin:$dir/root/usr/bin:$dir/root/bin:$PATH
    LD_LIBRARY_PATH=$dir/root/usr/lib/x86_64-linux-gnu/swtpm:$dir/root/usr/lib/x86_64-linux-gnu:$dir/root/lib/x86_64-linux-gnu
    export PATH LD_LIBRARY_PATH
}

# WHAT SEEN PATTERN: prints what was seen; ends with 1 if it is not as it was.
same() {
    printf '%s: %s\n' "$1" "$2"
    if ! [[ $2 =~ $3 ]]; then
        echo "CHANGED: it was: $3" >&2
        exit 1
    fi
}

# The packages of a software TPM with tools, and one such TPM, running, new, in $dir/tpm.
TPM_DEBS=(swtpm=0.7.1-1.3 swtpm-libs=0.7.1-1.3 libtpms0=0.9.2-3.1+deb12u1 tpm2-tools=5.4-1 libtss2-esys-3.0.2-0=3.2.1-3
    libtss2-mu0=3.2.1-3 libtss2-sys1=3.2.1-3 libtss2-rc0=3.2.1-3 libtss2-tctildr0=3.2.1-3 libtss2-tcti-swtpm0=3.2.1-3)
start_tpm() {
    mkdir -p "$dir/tpm"
    tpm_port=${tpm_port:-$((20000 + RANDOM % 5000 * 2))}
    swtpm socket --tpm2 --tpmstate dir="$dir/tpm" --server type=tcp,port="$tpm_port",bindaddr=127.0.0.1 \
        --ctrl type=tcp,port=$((tpm_port + 1)),bindaddr=127.0.0.1 --flags not-need-init,startup-clear &
    tpm_pid=$!
    export TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port=$tpm_port TSS2_LOG=all+none
    for _ in $(seq 100); do if tpm2_getrandom 1 >/dev/null 2>&1; then return; fi; sleep 0.1; done
    echo "can't be tried: swtpm does not answer" >&2
    exit 3
}
