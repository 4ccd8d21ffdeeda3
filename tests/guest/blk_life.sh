#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What happens to disks in their lives, in one daemon: a guest gives blocks back, a disk
# grows, one may only be read, one fails, one loses its file, others come and go. What
# happens to one disturbs nobody who uses another. Then the guest is started again.
#
#	vda	an ordinary one
#	vdb	for reading only, with a file system
#	vdc	fails at the second megabyte
#	vdd	its file is cut off

. "$(dirname "$0")/disk.sh"

disk=$LAB_TMP/disk
ordinary=("file=$disk" serial=ordinary num-queues=2)
MIB=1048576

has_sectors()
{
	[ "$(in_guest alice cat "/sys/block/$1/size")" = "$2" ]
}

# allocated_is FROM TO: megabytes that the disk's file takes of this machine
allocated_is()
{
	local mib=$(($(stat -c %b "$disk") * 512 / MIB))
	[ "$mib" -ge "$1" ] && [ "$mib" -le "$2" ]
}

# The guest moves whole megabytes past its cache
moves()
{
	in_guest alice "dd bs=1M $* 2>/dev/null"
}

# reads DEVICE PLACE [COUNT]
reads()
{
	moves "if=/dev/$1" of=/dev/null "skip=$2" "count=${3:-1}" iflag=direct
}

# writes DEVICE PLACE [COUNT]
writes()
{
	moves if=/dev/urandom "of=/dev/$1" "seek=$2" "count=${3:-1}" oflag=direct
}

# is_zero DEVICE SKIP COUNT
is_zero()
{
	in_guest alice "dd if=/dev/$1 bs=1M skip=$2 count=$3 iflag=direct 2>/dev/null \
| cmp -s -n $(($3 * MIB)) - /dev/zero"
}

gives_blocks_back()
{
	expect "the disk is written" writes vda 0 32
	expect "its file has grown" allocated_is 32 33
	expect "half of it is discarded" in_guest alice \
		"/usr/bin/blkdiscard -o $((8 * MIB)) -l $((16 * MIB)) /dev/vda"
	expect "the file has given those blocks back" allocated_is 16 17
	expect "they are zeroes for the guest" is_zero vda 8 16
	expect_not "what lies before is as it was" is_zero vda 7 1
	expect_not "what lies behind, too" is_zero vda 24 1
	expect "zeroes are written without sending them" in_guest alice \
		"/usr/bin/blkdiscard -z -o $((24 * MIB)) -l $((4 * MIB)) /dev/vda"
	expect "they are read" is_zero vda 24 4
	expect_not "nothing else was touched" is_zero vda 28 1
	expect "a file system takes the disk" mount_disk alice /dev/vda
	expect "a file is written and removed" in_guest alice \
		"dd if=/dev/urandom of=/mnt/big bs=1M count=24 2>/dev/null && sync && rm /mnt/big"
	expect "its blocks are there until then" allocated_is 24 64
	expect "the free space is trimmed" in_guest alice "sync && fstrim /mnt"
	expect "the file has given it back" allocated_is 0 16
}

grows()
{
	truncate -s 96M "$disk"
	expect "the daemon is told of the new size" disks resize blk0
	wait_until 20 "the guest sees it" has_sectors vda $((96 * 2048))
	expect "the file system grows while it is mounted" in_guest alice "resize2fs /dev/vda"
	truncate -s 128M "$disk"
	kill -HUP "${LAB_PID[disks]}"
	wait_until 20 "the guest sees the next size after SIGHUP" has_sectors vda $((128 * 2048))
	expect "the file system grows again" in_guest alice "resize2fs /dev/vda"
	expect "a file needs the new room" in_guest alice \
		"dd if=/dev/urandom of=/mnt/kept bs=1M count=80 2>/dev/null && sync"
}

is_read_only()
{
	expect_equal "the guest knows that it may only read" 1 "$(in_guest alice cat /sys/block/vdb/ro)"
	expect_not "it cannot write" writes vdb 0
	expect "it mounts the file system" in_guest alice "mkdir /ro && mount -o ro /dev/vdb /ro"
	expect "it reads a file there" in_guest alice "cmp /ro/init /init"
	expect_not "it cannot remount it for writing" in_guest alice \
		"mount -o remount,rw /ro 2>/dev/null"
	expect "it unmounts it" in_guest alice "umount /ro"
}

fails_one_after_another()
{
	local n
	for n in 1 2 3 4 5; do
		expect_not "a read of the bad place fails, $n" reads vdc 1
		expect_not "a write fails, $n" writes vdc 1
		expect "the next place is read, $n" reads vdc 2
		expect "and written, $n" writes vdc 2
	done
}

loses_its_file()
{
	expect "the disk is read" reads vdd 0
	truncate -s 0 "$LAB_TMP/cut"
	expect_not "once its file is cut off it cannot be" reads vdd 0
	truncate -s 16M "$LAB_TMP/cut"
	expect "the file is back, and so is the disk" reads vdd 0
}

plug()
{
	local key=reconnect value=1
	[ "$QEMU_MAJOR" -lt 10 ] || key=reconnect-ms value=1000
	qmp alice chardev-add "id=plug" backend.type=socket backend.data.addr.type=unix \
		"backend.data.addr.data.path=$LAB_TMP/plug" backend.data.server=false \
		"backend.data.$key=$value" &&
		qmp alice device_add driver=vhost-user-blk-pci id=plugged chardev=plug bus=free-slot \
			num-queues=1 "$(vectors_option 1)"
}

unplug()
{
	qmp alice device_del id=plugged
	wait_until 30 "the disk is gone" is_unplugged
	wait_until 30 "QEMU lets go of the socket" qmp alice chardev-remove id=plug 2>/dev/null
}

is_plugged()
{
	in_guest alice "[ \"\$(cat /sys/block/vde/serial)\" = plugged ]" 2>/dev/null
}

is_unplugged()
{
	in_guest alice "[ ! -e /sys/block/vde ]"
}

comes_and_goes()
{
	local n
	for n in 1 2 3; do
		expect "a disk is plugged in, $n" plug
		wait_until 30 "the guest sees it" is_plugged
		expect "it is written" writes vde 0 4
		unplug
	done
	expect "a disk is plugged in once more" plug
	wait_until 30 "the guest sees it" is_plugged
	in_guest alice \
		"while dd if=/dev/zero of=/dev/vde bs=4k oflag=direct count=64; do :; done >/dev/null 2>&1 &"
	wait_until 30 "it is in use" has_completed blk4 1000
	unplug
	expect "the guest has survived that" reads vda 0
}

# The daemon takes a disk away in the midst of requests, and serves it again
is_served_anew()
{
	expect_not "fio is not at its end" fio_ended alice
	expect "the daemon gives up the disk that fio is on" disks del blk0
	expect "it serves that disk again" disks add blk "unix:$LAB_TMP/a" "${ordinary[@]}"
	wait_until 30 "fio goes on" has_completed blk5 100
}

changes_its_cache()
{
	local mode
	for mode in "write through" "write back"; do
		expect "the guest wants $mode" in_guest alice "echo $mode >/sys/block/vda/cache_type"
		expect_equal "it has that" "$mode" "$(in_guest alice "cat /sys/block/vda/cache_type")"
		expect "a file is written" in_guest alice \
			"dd if=/dev/urandom of=/mnt/file bs=64k count=16 conv=fsync 2>/dev/null"
	done
}

need_disk_guests
truncate -s 64M "$disk"
truncate -s 16M "$LAB_TMP/cut" "$LAB_TMP/tree.ext4"
mkdir "$LAB_TMP/tree"
cp "$GUEST_DIR/init" "$LAB_TMP/tree/"
mke2fs -q -t ext4 -d "$LAB_TMP/tree" "$LAB_TMP/tree.ext4"
start_disks blk "unix:$LAB_TMP/a" "${ordinary[@]}" -- \
	blk "unix:$LAB_TMP/b" "file=$LAB_TMP/tree.ext4" serial=01234567890123456789 readonly=on -- \
	blk "unix:$LAB_TMP/c" memory=16M serial=bad error=EIO:read:at=1M-2M,EIO:write:at=1M-2M -- \
	blk "unix:$LAB_TMP/d" "file=$LAB_TMP/cut" serial=cut -- \
	blk "unix:$LAB_TMP/plug" memory=16M serial=plugged
boot alice "disk=$LAB_TMP/a,queues=2" "disk=$LAB_TMP/b" "disk=$LAB_TMP/c" "disk=$LAB_TMP/d" \
	smp=2 mem=384 -device pcie-root-port,id=free-slot,chassis=1
wait_for_guest alice
expect_equal "the guest sees serial numbers" "ordinary 01234567890123456789 bad cut" \
	"$(in_guest alice "for d in a b c d; do echo \$(cat /sys/block/vd\$d/serial); done" | xargs)"
gives_blocks_back
grows
changes_its_cache
is_read_only

start_fio alice /mnt/verified 8M --rate_iops=100
fails_one_after_another
loses_its_file
comes_and_goes
is_served_anew
expect "who used another disk meanwhile noticed nothing" fio_is_content alice
kept=$(checksum alice kept)

reboot_by alice in_background alice "sync; sleep 1; reboot -f"
expect "the guest mounts its disk again" in_guest alice "mkdir -p /mnt && mount /dev/vda /mnt"
expect_equal "the file is there" "$kept" "$(checksum alice kept)"
start_fio alice /mnt/verified 8M
reboot_by alice qmp alice system_reset
expect "the guest mounts its disk after a reset amid writes" in_guest alice \
	"mkdir -p /mnt && mount /dev/vda /mnt"
expect_equal "the file is there still" "$kept" "$(checksum alice kept)"
expect "it is unmounted" in_guest alice umount /mnt
stop alice
expect "the daemon ends cleanly when asked" stop disks
expect "the file system is clean" is_clean "$disk"
expect_equal "the file is there for this machine" "$kept" "$(checksum_in "$disk" kept)"
