#!/usr/bin/env bash
# Makes a real bootable ISO (Debian's installer, booted by GRUB) and a qcow2 image of it in the directory $1.
# Needs the Debian packages debian-installer-12-netboot-amd64, grub-pc-bin, grub-common, xorriso, mtools, qemu-utils.
set -euo pipefail
target=$1
installer=/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$target" "$tree/boot/grub"
cp "$installer/linux" "$installer/initrd.gz" "$tree/boot/"
cat > "$tree/boot/grub/grub.cfg" <<'GRUB'
set timeout=3
menuentry "Debian installer" {
  linux /boot/linux
  initrd /boot/initrd.gz
}
GRUB
grub-mkrescue -o "$target/netboot.iso" "$tree" 2>/dev/null
qemu-img convert -f raw -O qcow2 "$target/netboot.iso" "$target/netboot.qcow2"
