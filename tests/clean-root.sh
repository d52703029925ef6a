#!/bin/bash
# By hand, as root: the README's two commands in a clean Debian, from a fresh clone with an empty target directory.
#
#   tests/clean-root.sh FOLDER [COMMAND…]      default command: cargo xtask demo && cargo xtask test
#
# Debian comes from debootstrap into FOLDER (kept, so that a second run is quicker; the clone is always fresh). The Rust
# toolchain is this machine's, bind-mounted read-only. CA_BUNDLE, when set, replaces the certificates (for a network that
# brings its own).
set -euo pipefail
# What is mounted below is mounted for this script alone and gone with it, however it ends: whoever removes FOLDER later
# removes nothing of this machine.
if [ -z "${CLEAN_ROOT_NAMESPACE:-}" ]; then
  exec env CLEAN_ROOT_NAMESPACE=1 unshare --mount --propagation private "$0" "$@"
fi
root=$(realpath -m "${1:?usage: tests/clean-root.sh FOLDER [COMMAND…]}")
shift
repository=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
toolchain=$(cd "$repository" && rustc --print sysroot)

if [ ! -e "$root/etc/debian_version" ]; then
  debootstrap --variant=minbase --include=ca-certificates,git,gcc,libc6-dev bookworm "$root"
fi
if [ -n "${CA_BUNDLE:-}" ]; then cp "$CA_BUNDLE" "$root/etc/ssl/certs/ca-certificates.crt"; fi
rm -rf "$root/root/sluice"
git clone -q "$repository" "$root/root/sluice"
mkdir -p "$root/opt/rust"

# Containers are started in it, for which its root has to be a mount, and /sys to be there.
mount --bind "$root" "$root"
mount --rbind /sys "$root/sys"
mount --bind /proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind "$toolchain" "$root/opt/rust"
mount -o remount,ro,bind "$root/opt/rust"
cp /etc/resolv.conf "$root/etc/resolv.conf"

run() {
  env -i HOME=/root LANG=C.UTF-8 \
    PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    chroot "$root" bash -c "cd /root/sluice && time $1"
}
if [ $# -gt 0 ]; then run "$*"; else run "cargo xtask demo" && run "cargo xtask test"; fi
