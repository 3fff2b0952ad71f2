# One IPv6 host of twelve /64s (a site has 256 to 65536) takes all connections of `evc serve`, the operator's on loopback too.
# Run from the root of the repository: unshare -n bash crates/evc/tests/attacker_ipv6.sh
set -e
D=$(mktemp -d)
export D
ulimit -n 20000
ip link set lo up
for n in $(seq 0 14); do ip -6 addr add 2001:db8:0:$(printf %x $n)::1/128 dev lo nodad; done
target/debug/evc serve --data $D/data --listen '[::]:8443' > $D/out 2> $D/err &
P=$!
for i in $(seq 50); do [ -s $D/out ] && break; sleep 0.2; done
python3 - <<'PY' &
import os, socket, time
held = []
for n in range(14):
    for i in range((2048 >> n) + 2):
        k = socket.socket(socket.AF_INET6)
        k.bind(('2001:db8:0:%x::1' % n, 0))
        k.connect(('2001:db8::1', 8443))
        held.append(k)
        if len(held) % 128 == 0:
            time.sleep(0.05)
open(os.environ['D'] + '/ready', 'w').write('x')
time.sleep(6)
PY
A=$!
for i in $(seq 300); do [ -e $D/ready ] && break; sleep 0.1; done
T=$(cat $D/data/operator.token)
echo "descriptors of evc: $(ls /proc/$P/fd | wc -l)"
for h in 127.0.0.1 localhost; do
  timeout 5 curl -sk -o /dev/null -w "operator at $h: %{http_code} %{errormsg}\n" https://$h:8443/api/v1/devices -H "Authorization: Bearer $T" || true
done
wait $A; sleep 1
curl -sk -m 5 -o /dev/null -w "operator after it: %{http_code}\n" https://127.0.0.1:8443/api/v1/devices -H "Authorization: Bearer $T"
kill $P; rm -rf $D
