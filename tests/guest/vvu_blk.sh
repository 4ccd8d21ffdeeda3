#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# One guest serves a disk to another: no process of this machine emulates it. The appliance
# has a kernel, busybox and our static vhost, and no privilege over the function; what is
# between the guests is the consumer's memory, which the appliance sees in a window.

. "$(dirname "$0")/disk.sh"
. "$(dirname "$0")/appliance.sh"

need_disk_guests
need_appliance
make_ram
start_vvu vvu --memory "file:$RAM,size=384M"
boot_appliance ann vvu
step "the appliance is up"
serve ann vhost -v serve blk "vvu:$VVU_BDF" memory=64M serial=lab-disk num-queues=2
expect_equal "its daemon has no privilege" vhost \
	"$(in_guest ann "stat -c %U /proc/\$(pidof vhost)")"
boot bob "ram=$RAM" mem=384 smp=2 "disk=$LAB_TMP/vvu,queues=2"
wait_for_guest bob
expect_equal "the consumer sees the disk's size" $((64 * 2048)) "$(in_guest bob cat /sys/block/vda/size)"
expect_equal "and its serial number" lab-disk "$(in_guest bob cat /sys/block/vda/serial)"
expect_equal "it has two queues" 2 "$(in_guest bob "ls /sys/block/vda/mq | wc -l")"

expect "a file system is made and mounted" mount_disk bob /dev/vda
expect "a file is written" in_guest bob \
	"dd if=/dev/urandom of=/mnt/kept bs=1M count=8 2>/dev/null && sync"
kept=$(checksum bob kept)
start_fio bob /mnt/verified 12M
expect "fio finds all that it wrote" fio_is_content bob
reboot_by bob in_background bob "sync; sleep 1; reboot -f"
expect "the consumer mounts its disk again" in_guest bob "mkdir -p /mnt && mount /dev/vda /mnt"
expect_equal "the file is there" "$kept" "$(checksum bob kept)"
expect "it is unmounted" in_guest bob umount /mnt
expect "the file system is clean" in_guest bob "e2fsck -fn /dev/vda >/dev/null"
expect_not "the appliance's kernel complains of nothing" in_guest ann "dmesg -r | grep '^<[0-3]>'"
stop bob
kill_served ann TERM
stop ann
expect "what stands between them ends cleanly when asked" stop vvu
