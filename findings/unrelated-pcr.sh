#!/bin/bash
# An unseal under a policy over PCR 7 alone is refused because PCR 15 was extended meanwhile; the code looks like a policy that failed.
#
# Of:      swtpm 0.7.1-1.3 with libtpms 0.9.2, tpm2-tools 5.4-1, libtss2 3.2.1-3 (Debian 12).
# Input:   TPM2_PolicyPCR over sha256:7, an extend of another PCR, TPM2_Unseal.
# Expected: by the name of the policy, the secret: PCR 7 is as it was.
# Seen:    TPM_RC_PCR_CHANGED (0x128), for PCR 0, 8 and 15; not for 16 and 23. By the specification: one counter (pcrUpdateCounter) stands
#          for all PCRs but those that the platform excepts, and a session remembers it (Part 1, "PolicyPCR").
#   nothing in between: a secret
#   PCR 0 extended in between: ... Esys_Unseal(0x128) - tpm:error(2.0): PCR have changed since checked ...
#   PCR 8 extended in between: ... Esys_Unseal(0x128) - tpm:error(2.0): PCR have changed since checked ...
#   PCR 15 extended in between: ... Esys_Unseal(0x128) - tpm:error(2.0): PCR have changed since checked ...
#   PCR 16 extended in between: a secret
#   PCR 23 extended in between: a secret
#   again, nothing in between: a secret
# So:      0x128 says "again, with a new session", never "another boot": the kernel's IMA extends PCR 10 for each file that it measures,
#          systemd 11 and 15 at each phase. Only 0x99D (or 0x1C4 at PolicyOR) says that the PCRs are others.
source "$(dirname "$0")/common.sh"
debs "${TPM_DEBS[@]}"
start_tpm
cd "$dir"
quiet() { "$@" >/dev/null; }
flush() { quiet tpm2_flushcontext --transient-object; quiet tpm2_flushcontext --loaded-session; }
quiet tpm2_createprimary -C o -c primary.ctx
flush
quiet tpm2_startauthsession -S trial.ctx
quiet tpm2_policypcr -S trial.ctx -l sha256:7 -L policy
quiet tpm2_flushcontext trial.ctx
printf 'a secret' >secret
quiet tpm2_create -C primary.ctx -i secret -L policy -u sealed.pub -r sealed.priv
flush
quiet tpm2_load -C primary.ctx -u sealed.pub -r sealed.priv -c sealed.ctx
flush
# [PCR]: unseals under a policy over PCR 7 alone, with an extend of PCR in between, if one is given.
unseal() {
    quiet tpm2_startauthsession --policy-session -S session.ctx
    quiet tpm2_policypcr -S session.ctx -l sha256:7
    if [ -n "${1:-}" ]; then tpm2_pcrextend "$1:sha256=$(printf %064d 1)"; fi
    TSS2_LOG=all+error tpm2_unseal -c sealed.ctx -p session:session.ctx 2>&1 | tr '\n' ' ' || true
    flush
}
same "nothing in between" "$(unseal)" '^a secret$'
for pcr in 0 8 15; do same "PCR $pcr extended in between" "$(unseal "$pcr" 2>&1)" '0x128|00000128'; [ "$pcr" != 0 ] || true; done
for pcr in 16 23; do same "PCR $pcr extended in between" "$(unseal "$pcr")" '^a secret$'; done
same "again, nothing in between" "$(unseal)" '^a secret$'
