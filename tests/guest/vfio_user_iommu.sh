#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A disk behind a guest's IOMMU, which QEMU tells "vhost serve" of by vfio-user: as a few
# pieces of memory (iommu=pt), and as some for each request, of which many are only to be
# read (strict).

. "$(dirname "$0")/disk.sh"

disk=$LAB_TMP/disk
common=$KERNEL_ARGS

boot_with_disk()
{
	KERNEL_ARGS="$common $2"
	boot "$1" iommu=on smp=2 mem=384 -device "$(vfio_user_device "$LAB_TMP/d" 4)"
	wait_for_guest "$1"
}

need_new_qemu
need_disk_guests
truncate -s 96M "$disk"
start_disks blk "vfio-user:$LAB_TMP/d" "file=$disk"

boot_with_disk alice iommu=pt
expect "the guest has an IOMMU" in_guest alice "[ -e /sys/class/iommu/dmar0 ]"
expect "a file system is made and mounted" mount_disk alice /dev/vda
start_fio alice /mnt/verified 16M
expect "fio finds all that it wrote" fio_is_content alice
expect "it is unmounted" in_guest alice umount /mnt
stop alice

boot_with_disk bob "iommu.passthrough=0 iommu.strict=1"
expect "the file system is mounted" in_guest bob "mkdir -p /mnt && mount /dev/vda /mnt"
expect "a file is written buffer by buffer" in_guest bob \
	"dd if=/dev/urandom of=/mnt/strict bs=4k count=64 oflag=direct 2>/dev/null && sync"
kept=$(checksum bob strict)
expect "it is unmounted" in_guest bob umount /mnt
expect "it is read buffer by buffer" in_guest bob "mount /dev/vda /mnt"
expect_equal "as it was written" "$kept" "$(checksum bob strict)"
start_fio bob /mnt/verified 8M
expect "fio finds all that it wrote there" fio_is_content bob
expect "it is unmounted again" in_guest bob umount /mnt
stop bob
expect "the daemon ends cleanly when asked" stop disks
expect "the file system is clean" is_clean "$disk"
expect_equal "the file is there for this machine" "$kept" "$(checksum_in "$disk" strict)"
