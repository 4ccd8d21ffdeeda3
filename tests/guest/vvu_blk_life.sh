#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest serves its own disk to another. Either may start first; the consumer is killed,
# the appliance's daemon is killed, the appliance starts again: service comes back without
# touching the other guest, and nothing that was written is lost.

. "$(dirname "$0")/disk.sh"
. "$(dirname "$0")/appliance.sh"

disk=$LAB_TMP/disk

serve_disk()
{
	in_guest ann "chown vhost /dev/vda"
	serve ann vhost -v serve blk "vvu:$VVU_BDF" file=/dev/vda serial=lab-disk num-queues=2
}

boot_consumer()
{
	boot bob "ram=$RAM" mem=384 smp=2 "disk=$LAB_TMP/vvu,queues=2"
}

mounts_again()
{
	expect "$1: the consumer mounts the disk" in_guest bob "mkdir -p /mnt && mount /dev/vda /mnt"
	expect_equal "$1: the file is there" "$kept" "$(checksum bob kept)"
}

# verifies WHEN DISTURBANCE...: fio notices nothing
verifies()
{
	local was
	was=$(boot_id bob)
	start_fio bob /mnt/verified 8M --rate_iops=150
	"${@:2}"
	expect_equal "$1: the consumer has not started again" "$was" "$(boot_id bob)"
	expect "$1: fio finds all that it wrote" fio_is_content bob
}

# QEMU connects again each second, and finds nobody who answers.
runs_on()
{
	timeout 30 "$GUEST_DIR/run_in_guest.py" "$LAB_TMP/bob.agent" 25 \
		"for n in 1 2 3 4 5 6; do usleep 500000; done"
}

daemon_is_killed()
{
	kill_served ann
	expect "the consumer runs on without a back-end" runs_on
	serve_disk
}

daemon_ends()
{
	kill_served ann TERM
	serve_disk
}

appliance_reboots()
{
	reboot_by ann "$@"
	give_to_user ann $VVU_BDF
	serve_disk
}

appliance_is_killed()
{
	kill_hard ann
	boot_ann
	serve_disk
}

boot_ann()
{
	boot_appliance ann vvu -device virtio-blk-pci,drive=own \
		-blockdev "driver=file,filename=$disk,node-name=own,locking=off"
}

need_disk_guests
need_appliance
make_ram
truncate -s 96M "$disk"
start_vvu vvu --memory "file:$RAM,size=384M"
boot_consumer
boot_ann
serve_disk
wait_for_guest bob
step "the consumer, which was started first, is up"
expect "a file system is made and mounted" mount_disk bob /dev/vda
expect "a file is written" in_guest bob \
	"dd if=/dev/urandom of=/mnt/kept bs=1M count=8 2>/dev/null && sync"
kept=$(checksum bob kept)

up=$(boot_id ann)
for round in 1 2 3; do
	start_fio bob /mnt/verified 12M
	kill_hard bob
	boot_consumer
	wait_for_guest bob
	mounts_again "consumer killed, $round"
done
reboot_by bob qmp bob system_reset
mounts_again "consumer reset"
expect_equal "the appliance has not started again" "$up" "$(boot_id ann)"

verifies "daemon killed" daemon_is_killed
verifies "daemon ended" daemon_ends
verifies "appliance rebooted" appliance_reboots in_background ann "sleep 1; reboot -f"
verifies "appliance reset" appliance_reboots qmp ann system_reset
verifies "appliance killed" appliance_is_killed
expect_equal "the file is there" "$kept" "$(checksum bob kept)"
expect "it is unmounted" in_guest bob umount /mnt
expect "the file system is clean" in_guest bob "e2fsck -fn /dev/vda >/dev/null"
stop bob
stop ann
expect "what stands between them ends cleanly when asked" stop vvu
expect "the file system is clean for this machine" is_clean "$disk"
expect_equal "the file is there, too" "$kept" "$(checksum_in "$disk" kept)"
