#!/bin/sh
# Becomes process 1 of a machine that is this one seen through an overlay: boot.sh DIRECTORY CGROUP LOGS PACKAGES
# DIRECTORY holds what the machine writes, in memory; CGROUP is the cgroup2 directory that is the root of its own; LOGS
# and PACKAGES are directories of this machine that it has as /var/log/app and /srv. The network is that of the caller.
set -eu
base=$1 cgroup=$2 logs=$3 packages=$4

if [ -z "${BOOT_STAGE:-}" ]; then
	# Into the cgroup first: what is unshared after it sees nothing above it.
	echo $$ >"$cgroup/cgroup.procs"
	BOOT_STAGE=2 exec unshare --mount --pid --cgroup --uts --ipc --fork --kill-child=SIGKILL "$0" "$@"
fi

mount --make-rprivate /
mount -t tmpfs -o size=3g,mode=755 machine "$base"
mkdir "$base/upper" "$base/work" "$base/root"
root=$base/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sys "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
	: >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs shm "$root/dev/shm"
mount -t tmpfs -o mode=755 run "$root/run"
# Of its own: a boot clears it, and here it is full of what other tests write.
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mkdir -p "$root/var/log/app" "$root/srv"
mount --bind "$logs" "$root/var/log/app"
mount --bind "$packages" "$root/srv"

# Of what this machine runs, nothing: only what the test enables.
rm -rf "$root"/etc/systemd/system/*.wants
: >"$root/etc/machine-id"
echo machine >"$root/etc/hostname"

cd "$root"
mkdir run/old
pivot_root . run/old
umount -l run/old
exec env -i container=breakwater-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd \
	--unit=basic.target --log-target=console --log-level=notice --show-status=0
