#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest has a file system on a disk of two queues. While requests are on their way the
# daemon is killed, or asked to end, and started again: nobody in the guest is told, and
# nothing is lost, as the guest sees it and as this machine finds it in the file afterwards.

. "$(dirname "$0")/disk.sh"

disk=$LAB_TMP/disk
# Slow, so that there are always requests on their way
serve=(blk "unix:$LAB_TMP/d" "file=$disk" serial=lab-disk num-queues=2 delay=write:20ms)

need_disk_guests
truncate -s 96M "$disk"
start_disks "${serve[@]}"
boot alice "disk=$LAB_TMP/d,queues=2" smp=2 mem=384
wait_for_guest alice
step "the guest is up"
expect_equal "the guest has two queues" 2 "$(in_guest alice "ls /sys/block/vda/mq | wc -l")"
expect "a file system is made and mounted" mount_disk alice /dev/vda
expect "a file is written" in_guest alice \
	"dd if=/dev/urandom of=/mnt/before bs=1M count=4 2>/dev/null && sync"

start_fio alice /mnt/verified 12M
for round in 1 2; do
	restart_disks "${serve[@]}"
	expect "fio waited for the disk, round $round" in_guest alice "pidof fio >/dev/null"
	wait_until 60 "requests complete again" has_completed blk0 100
done
expect "the daemon ends when it is asked amid requests" stop disks
expect "fio waits for the disk" in_guest alice "pidof fio >/dev/null"
start_disks "${serve[@]}"
expect "fio finds all that it wrote" fio_is_content alice
was=$(checksum alice before)
verified=$(checksum alice verified)
expect "it is unmounted" in_guest alice umount /mnt
expect "the guest finds the file system clean" in_guest alice "e2fsck -fn /dev/vda >/dev/null"
stop alice
expect "the daemon ends cleanly when asked" stop disks
expect "this machine finds it clean, too" is_clean "$disk"
expect_equal "what was written before is there" "$was" "$(checksum_in "$disk" before)"
expect_equal "what fio wrote is there" "$verified" "$(checksum_in "$disk" verified)"
