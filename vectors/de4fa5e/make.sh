#!/bin/bash
# Makes kept.tar.gz: what a controller and a node of a build leave on their disks after a clean end.
#
#   vectors/de4fa5e/make.sh EVC EVE     as root; the two programs of the build of commit de4fa5e
#
# Kept for whoever wants to know how the files came about, and for the next format that is to be carried over.
set -euo pipefail
evc=$(realpath "$1") eve=$(realpath "$2")
here=$(realpath "$(dirname "$0")")
[ -n "${KEPT_IN_OWN_MOUNTS:-}" ] || KEPT_IN_OWN_MOUNTS=1 exec unshare --mount --propagation private "$here/make.sh" "$evc" "$eve"

dir=$(mktemp --directory)
chmod 755 "$dir" # agents run as users of their own
evc_data=$dir/evc/data node=$dir/edge-1/node
tidy() {
    for pid in $(jobs -p); do kill -KILL "$pid" 2>/dev/null || true; done
    umount --lazy "$node/persist" 2>/dev/null || true
    rm -rf "$dir"
}
trap tidy EXIT
trap 'exit 130' INT TERM HUP

until_true() { for _ in $(seq 600); do if "$@" >/dev/null 2>&1; then return; fi; sleep 0.1; done; echo "never: $*" >&2; exit 1; }
ended() { ! kill -0 "$1" 2>/dev/null; }
operator() { EVC_DATA=$evc_data "$evc" "$@"; }
vault_is() { "$eve" vault list --root "$node" | grep -E "^$1 .*$2"; }

# The controller.
mkdir -p "$evc_data"
"$evc" serve --listen 127.0.0.1:0 --poll-seconds 1 --data "$evc_data" >"$dir/evc.log" 2>&1 & evc_pid=$!
until_true test -s "$evc_data/url"

# A software TPM with certificates of a CA of its own, after a boot that measured the state "good", as testkit has it.
ca=$dir/ca tpm=$dir/edge-1/tpm port=$((20000 + RANDOM % 5000 * 2))
mkdir -p "$ca" "$tpm" "$node/config" "$node/persist"
printf 'statedir = %s\nsigningkey = %s/signkey.pem\nissuercert = %s/issuercert.pem\ncertserial = %s/certserial\n' "$ca" "$ca" "$ca" "$ca" >"$ca/localca.conf"
printf -- '--platform-manufacturer EVE\n--platform-version 1.0\n--platform-model testkit\n' >"$ca/localca.options"
printf 'create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = %s\ncreate_certs_tool_options = %s\n' "$ca/localca.conf" "$ca/localca.options" >"$ca/setup.conf"
swtpm_setup --tpm2 --create-ek-cert --create-platform-cert --lock-nvram --overwrite --pcr-banks sha256 --vmid edge-1 \
    --tpmstate "$tpm" --config "$ca/setup.conf" >"$dir/setup.log"
swtpm socket --tpm2 --tpmstate dir="$tpm" --server type=tcp,port=$port,bindaddr=127.0.0.1 \
    --ctrl type=tcp,port=$((port + 1)),bindaddr=127.0.0.1 --flags not-need-init,startup-clear & tpm_pid=$!
export TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port=$port TSS2_LOG=all+none
until_true tpm2_getcap properties-fixed
for pcr in 0 1 2 3 4 5 6 7 8 9; do
    tpm2_pcrextend "$pcr:sha256=$(printf 'boot state good pcr %d' "$pcr" | sha256sum | cut -d' ' -f1)"
done

# The node: a small disk, and what an installer writes.
truncate --size 20M "$dir/edge-1/disk.img"
mkfs.ext4 -q -O encrypt -b 4096 "$dir/edge-1/disk.img"
mount -o loop "$dir/edge-1/disk.img" "$node/persist"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj /CN=edge-1 \
    -keyout "$node/config/onboard.key.pem" -out "$node/config/onboard.cert.pem" 2>/dev/null
printf edge-1 >"$node/config/serial"
printf %s "$TPM2TOOLS_TCTI" >"$node/config/tcti"
sed 's|^https://||' "$evc_data/url" | tr -d '\n' >"$node/config/server"
cp "$evc_data/root-certificate.pem" "$node/config/"
operator onboard add --cert "$node/config/onboard.cert.pem" --serial edge-1 --name edge-1
"$eve" run --root "$node" --poll-interval 200ms >"$dir/eve.log" 2>&1 & eve_pid=$!
waiting() { operator reference list --device edge-1 --output json | grep -q '"pending"'; }
until_true waiting
operator reference list --device edge-1 --output json | tr -d ' \n' | grep -o '"id":[0-9]*' | cut -d: -f2 |
    while read -r id; do operator reference approve "$id"; done
until_true vault_is config unlocked
until_true vault_is image unlocked

# Two vaults of the user's, with a file each; one is rotated once.
cat >"$dir/vaults.yaml" <<'YAML'
kind: VaultPolicy
name: till-policy
custody: tpm+controller
seal: pcrs
attest: { every: 15m, require: [pcrs], on_failure: withhold }
on_removal: { delete_after: 0s }
---
kind: Vault
name: till
device: edge-1
policy: till-policy
---
kind: VaultPolicy
name: notes-policy
custody: controller
on_removal: { delete_after: 0s }
---
kind: Vault
name: notes
device: edge-1
policy: notes-policy
YAML
operator apply --file "$dir/vaults.yaml"
for vault in till notes; do
    until_true vault_is "$vault" unlocked
    id=$(operator describe vault "$vault" --device edge-1 --output json | tr -d ' \n' | grep -o '"vault_id":"[^"]*"\|"id":"[^"]*"' | head -1 | cut -d'"' -f4)
    for _ in $(seq 500); do echo "the secrets of $vault"; done >"$node/persist/vaults/$id/ledger.txt"
done
echo "the node's own" >"$node/persist/config/kept.txt"
echo "an image" >"$node/persist/img/kept.txt"
taken() { operator describe vault till --device edge-1 --output json | tr -d ' \n' | grep "\"current_epoch\":$1" | grep "\"reported_epoch\":$1"; }
until_true taken 1
operator rotate vault till --device edge-1
until_true taken 2
"$eve" vault list --root "$node"
operator get vaults

# A clean end: the node, its disk, its TPM (TPM2_Shutdown), the controller.
kill -TERM "$eve_pid"; until_true ended "$eve_pid"
umount "$node/persist"
tpm2_shutdown --clear
kill -TERM "$tpm_pid"; until_true ended "$tpm_pid"
kill -TERM "$evc_pid"; until_true ended "$evc_pid"
rm -rf "$node/run" "$tpm/.lock" "$evc_data/url"
tar --create --sparse --numeric-owner --directory "$dir" evc/data edge-1 | gzip -9 --no-name >"$here/kept.tar.gz"
tar --list --verbose --file "$here/kept.tar.gz"
ls -l "$here/kept.tar.gz"
