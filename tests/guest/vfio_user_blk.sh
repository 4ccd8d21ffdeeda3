#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest has a disk without vhost-user: QEMU takes the whole PCI function from "vhost serve"
# by vfio-user, and the guest's virtio driver cannot tell. It writes and verifies, and starts
# again; then another guest has the disk.

. "$(dirname "$0")/disk.sh"

disk=$LAB_TMP/disk
device=/sys/bus/pci/devices/0000:00:04.0

boot_with_disk()
{
	boot "$1" smp=2 mem=384 -device "$(vfio_user_device "$LAB_TMP/d" 4)"
	wait_for_guest "$1"
}

need_new_qemu
need_disk_guests
truncate -s 96M "$disk"
start_disks blk "vfio-user:$LAB_TMP/d" "file=$disk" serial=lab-disk num-queues=2
boot_with_disk alice
expect_equal "the guest sees a virtio disk" "0x1af4 0x1042" \
	"$(in_guest alice cat $device/vendor $device/device | xargs)"
expect "its virtio driver has it" in_guest alice "[ -e $device/virtio*/block/vda ]"
expect_equal "with its size" $((96 * 2048)) "$(in_guest alice cat /sys/block/vda/size)"
expect_equal "and its serial number" lab-disk "$(in_guest alice cat /sys/block/vda/serial)"
expect_equal "it has two queues" 2 "$(in_guest alice "ls /sys/block/vda/mq | wc -l")"
expect "with a vector each" in_guest alice "[ \$(ls $device/msi_irqs | wc -l) -ge 3 ]"
expect_not "the kernel complains of nothing" in_guest alice "dmesg -r | grep '^<[0-3]>'"

expect "a file system is made and mounted" mount_disk alice /dev/vda
expect "a file is written" in_guest alice \
	"dd if=/dev/urandom of=/mnt/kept bs=1M count=8 2>/dev/null && sync"
kept=$(checksum alice kept)
start_fio alice /mnt/verified 16M
expect "fio finds all that it wrote" fio_is_content alice
truncate -s 128M "$disk"
expect "the daemon is told of a new size" disks resize blk0
wait_until 20 "the guest sees it" in_guest alice "[ \$(cat /sys/block/vda/size) = $((128 * 2048)) ]"

reboot_by alice in_background alice "sync; sleep 1; reboot -f"
expect "the guest mounts its disk again" in_guest alice "mkdir -p /mnt && mount /dev/vda /mnt"
expect_equal "the file is there" "$kept" "$(checksum alice kept)"
start_fio alice /mnt/verified 8M
reboot_by alice qmp alice system_reset
expect "the guest mounts its disk after a reset amid writes" in_guest alice \
	"mkdir -p /mnt && mount /dev/vda /mnt"
expect_equal "the file is there still" "$kept" "$(checksum alice kept)"

start_fio alice /mnt/verified 8M
kill_hard alice
boot_with_disk bob
expect "another guest mounts it once the first was killed" in_guest bob \
	"mkdir -p /mnt && mount /dev/vda /mnt"
expect_equal "the file is there for it" "$kept" "$(checksum bob kept)"
start_fio bob /mnt/verified 8M
expect "fio finds all that it wrote there" fio_is_content bob
expect "it is unmounted" in_guest bob umount /mnt
stop bob
expect "the daemon ends cleanly when asked" stop disks
expect "the file system is clean" is_clean "$disk"
expect_equal "the file is there for this machine" "$kept" "$(checksum_in "$disk" kept)"
