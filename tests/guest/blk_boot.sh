#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Guests boot from disks: one by the firmware, which has a driver of its own, and one that
# has its root there. The daemon of a root is killed; the guest reboots.

. "$(dirname "$0")/disk.sh"

# An image whose first sector tells "this is the disk" at the first serial port
make_boot_sector()
{
	truncate -s 16M "$1"
	# xor ax, ax; mov ds, ax; mov si, text; again: lodsb; test al, al; jz end;
	# mov dx, 0x3f8; out dx, al; jmp again; end: hlt; jmp end; text:
	printf '\x31\xc0\x8e\xd8\xbe\x15\x7c\xac\x84\xc0\x74\x06\xba\xf8\x03\xee\xeb\xf5\xf4\xeb\xfd%s' \
		"this is the disk" | dd of="$1" conv=notrunc status=none
	printf '\x55\xaa' | dd of="$1" bs=1 seek=510 conv=notrunc status=none
}

# An ext4 with the tree that guests have in their memory else
make_root()
{
	mkdir "$LAB_TMP/root"
	(cd "$LAB_TMP/root" && cpio -id --quiet <"$INITRAMFS")
	truncate -s 96M "$1"
	mke2fs -q -t ext4 -d "$LAB_TMP/root" "$1"
}

need_disk_guests
make_boot_sector "$LAB_TMP/sector"
make_root "$LAB_TMP/root.ext4"
serve=(blk "unix:$LAB_TMP/a" "file=$LAB_TMP/sector" num-queues=1 --
	blk "unix:$LAB_TMP/b" "file=$LAB_TMP/root.ext4" num-queues=2)
start_disks "${serve[@]}"

start firmware "$QEMU" -nodefaults -no-user-config -display none -serial stdio \
	-M q35,memory-backend=m0 -accel tcg -m 64 \
	-object memory-backend-memfd,id=m0,size=64M,share=on \
	-chardev "socket,id=c,path=$LAB_TMP/a" \
	-device "vhost-user-blk-pci,chardev=c,num-queues=1,bootindex=1,$(vectors_option 1)"
wait_until 60 "the firmware boots from the disk" grep -q "this is the disk" "$LAB_TMP/firmware.log"
step "ok: the firmware has booted from the disk"
expect "its QEMU ends when asked" stop firmware

KERNEL_ARGS+=" root=/dev/vda"
boot alice "disk=$LAB_TMP/b,queues=2" smp=2 mem=256
wait_for_guest alice
expect "the guest's root is the disk" in_guest alice "grep -q '^/dev/vda / ext4' /proc/mounts"
expect "it writes there" in_guest alice "dd if=/dev/urandom of=/kept bs=1M count=8 2>/dev/null && sync"
kept=$(in_guest alice "sha256sum </kept")
kill_hard disks
start_disks "${serve[@]}"
expect "it runs a program from there after the daemon was killed" in_guest alice \
	"echo 3 >/proc/sys/vm/drop_caches && fio --version >/dev/null"
expect_equal "it has its file" "$kept" "$(in_guest alice "sha256sum </kept")"

id=$(boot_id alice)
in_background alice "sync; sleep 1; reboot -f"
wait_until "$BOOT_SECONDS" "alice is up again" has_new_boot_id alice "$id"
expect "the guest's root is the disk" in_guest alice "grep -q '^/dev/vda / ext4' /proc/mounts"
expect_equal "it has its file after a reboot" "$kept" "$(in_guest alice "sha256sum </kept")"
expect "its root is made read-only" in_guest alice "mount -o remount,ro /"
stop alice
expect "the daemon ends cleanly when asked" stop disks
expect "the file system is clean" is_clean "$LAB_TMP/root.ext4"
