#!/bin/sh
# Makes the VM's root tree this mount namespace's root and runs skiffd there, on this machine's own kernel. Called by
# testbed.ts in a new mount namespace (and, when asked for, a new network namespace).
#
# usage: testbed.sh ROOT_TREE ENGINE_DIR DATA SOCKET_DIR COMMAND...
set -eu
tree=$1 engine=$2 data=$3 sockets=$4
shift 4
bed=$data/bed
root=$bed/root

mkdir -p "$bed" "$data/lib" "$data/run" "$sockets"
mount -t tmpfs -o mode=755 skiff-testbed "$bed"
mkdir "$bed/upper" "$bed/work" "$root"
mount -t overlay -o "lowerdir=$tree,upperdir=$bed/upper,workdir=$bed/work" skiff-testbed "$root"
for directory in proc sys dev; do
  mkdir -p "$root/$directory"
  mount --rbind "/$directory" "$root/$directory"
done
# crun refuses hybrid cgroups whose v2 half still has controllers: containers get the v1 controllers alone then. It writes to
# the empty folder all the same, which must not be the machine's.
if [ -d "$root/sys/fs/cgroup/unified" ]; then
  umount "$root/sys/fs/cgroup/unified"
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup/unified"
fi
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/skiff" "$root/run/host" "$root/var/lib/skiff" "$root/usr/lib/skiff/engine" "$root/tmp" "$root/mnt"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --bind "$data/lib" "$root/var/lib/skiff"
mount --bind "$data/run" "$root/run/skiff"
mount --bind "$sockets" "$root/run/host"
mount --bind "$engine" "$root/usr/lib/skiff/engine"
rm -f "$root/etc/resolv.conf"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
ip link set lo up

# Not chroot: a runtime that joins a container's mount namespace lands in that namespace's root, which must be the
# container's, and pivot_root inside a chroot would leave the machine's there.
cd "$root"
pivot_root . mnt
umount -l mnt
exec "$@"
