#!/bin/busybox sh
# The first process of a node in a VM: out of the initramfs onto a root of its own, disks mounted, the network up, then a shell for
# the test on the second serial line. A line comes in, a command in base64; a line goes out, its exit status and what it printed.
if [ "$1" != switched ]; then
    /bin/busybox mkdir -p /new
    /bin/busybox mount -t tmpfs -o mode=0755 none /new
    /bin/busybox cp -a /bin /etc /init /lib /lib64 /modules /usr /new/
    exec /bin/busybox switch_root /new /init switched
fi
export PATH=/usr/bin:/bin HOME=/ EVE_ROOT=/
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /tmp /run /config /persist
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t securityfs none /sys/kernel/security
mount -t tmpfs -o mode=0755 none /run
chmod 1777 /tmp
while read -r module; do insmod "/modules/$module"; done < /modules/order
mount -t ext4 -o prjquota /dev/vda /persist
mount -t ext4 /dev/vdb /config
ip link set lo up
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2
stty -F /dev/ttyS1 raw -echo
exec 3<>/dev/ttyS1
echo ready >&3
while read -r command <&3; do
    echo "$command" | base64 -d > /tmp/command
    timeout "$(sed -n '1s/^#//p' /tmp/command)" sh /tmp/command > /tmp/printed 2>&1 < /dev/null 3>&-
    code=$?
    echo "$code $(tail -c 200000 /tmp/printed | base64 | tr -d '\n')" >&3
done
