#!/bin/bash
# A software TPM that was killed tells a clock below what it told before, and soon calls it safe.
#
# Of:      swtpm 0.7.1-1.3 with libtpms 0.9.2-3.1+deb12u1 (Debian 12), read by tpm2-tools 5.4-1.
# Input:   TPM2_ReadClock until the clock is past 9 s; kill -9 of swtpm, which is its loss of power; started again on its own state.
# Expected: Clock is kept non-volatile at least every so often, so that it falls back little; and "safe: yes" says that no greater value was
#          told before (TPM 2.0 Library, Part 1, "Clock", and TPMS_CLOCK_INFO.safe in Part 2).
# Seen:    the clock begins near zero; "no" until it passes 4096 ms, "yes" from there on, below the 9 s that were told.
#   before: clock 9201, safe: yes
#   killed and started: clock 32, below what it told: yes
#     safe: no
#   a little later: clock 4219, below what it told: yes
#     safe: yes
# So:      who holds quotes of one TPM against each other orders them by resetCount (which went up) and not by the clock across a reset,
#          "safe" or not; a clock that fell is no sign of another TPM.
source "$(dirname "$0")/common.sh"
debs "${TPM_DEBS[@]}"
field() { tpm2_readclock | awk -v name="$1:" '$1 == name { print $2 }'; }
# MILLISECONDS: waits until the clock is past them.
past() { until [ "$(field clock)" -gt "$1" ]; do sleep 0.2; done; }
at_most() { if [ "$1" -le "$2" ]; then echo yes; else echo "no, $1"; fi; }
start_tpm
past 9000
before=$(field clock)
same "before: clock $before, safe" "$(field safe)" '^yes$'
kill -KILL "$tpm_pid"
wait "$tpm_pid" 2>/dev/null || true
start_tpm
after=$(field clock)
same "killed and started: clock $after, below what it told" "$(at_most "$after" "$before")" '^yes$'
same "  safe" "$(field safe)" '^no$'
past 4096
later=$(field clock)
same "a little later: clock $later, below what it told" "$(at_most "$later" "$before")" '^yes$'
same "  safe" "$(field safe)" '^yes$'
