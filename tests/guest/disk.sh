# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Boots Linux guests with disks of "vhost serve blk", and looks after them:
#
#	. "$(dirname "$0")/disk.sh"
#	need_disk_guests
#	truncate -s 64M "$LAB_TMP/disk"
#	start_disks blk "unix:$LAB_TMP/d" "file=$LAB_TMP/disk"
#	boot alice "disk=$LAB_TMP/d,queues=2" smp=2 mem=512
#	wait_for_guest alice
#	in_guest alice "mkfs.ext4 -q /dev/vda"

. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"

export GUEST_IMAGE=disk GUEST_MODULES=virtio_blk
export GUEST_PROGRAMS="fio mkfs.ext4 e2fsck resize2fs blkdiscard"
export GUEST_STUBS="libgfapi.so.0 libnbd.so.0 libibverbs.so.1 librdmacm.so.1 librados.so.2 \
librbd.so.1 libpmemblk.so.1 libpmem.so.1"

need_disk_guests()
{
	# shellcheck disable=SC2086  # one word a program
	need $GUEST_PROGRAMS debugfs
	need_guests
}

# start_disks ARG...: "vhost serve" until it listens on all the sockets it is given
start_disks()
{
	local word
	start disks "$VHOST" serve "$@" --control "unix:$LAB_TMP/control"
	for word in "$@"; do
		[[ $word =~ ^(unix|vfio-user):([^,]+) ]] || continue
		wait_for_socket disks "${BASH_REMATCH[2]}"
	done
}

disks()
{
	"$VHOST" ctl "unix:$LAB_TMP/control" device "$@"
}

# has_completed DEVICE N: the daemon, so many requests of this disk since it started
has_completed()
{
	disks list >"$LAB_TMP/devices.json"
	[ "$(json "$LAB_TMP/devices.json" "sum(q['completed'] for v in d['devices']
		if v['name'] == '$1' for q in v['queues'])")" -ge "$2" ]
}

# restart_disks ARG...: they are killed as a crash would, and started again
restart_disks()
{
	kill_hard disks
	start_disks "$@"
}

# mount_disk NAME DEVICE [FILESYSTEM-OPTION]...: with a new ext4 on it, at /mnt
mount_disk()
{
	in_guest "$1" -t 120 "mkfs.ext4 -q ${*:3} $2 && mkdir -p /mnt && mount $2 /mnt"
}

# start_fio NAME FILE SIZE [OPTION]...: writes at random places of it in the background of
# the guest, and reads it all back. Not through the guest's cache.
start_fio()
{
	in_guest "$1" "rm -f /tmp/fio.status"
	in_background "$1" "fio --name=verify --filename=$2 --size=$3 --rw=randwrite --bs=4k \
--ioengine=libaio --iodepth=16 --direct=1 --verify=crc32c --verify_fatal=1 --end_fsync=1 \
--randrepeat=0 ${*:4}; echo \$? >/tmp/fio.new; mv /tmp/fio.new /tmp/fio.status"
	wait_until 60 "fio writes" fio_writes_or_ended "$1"
}

# A small file may be written between two looks
fio_writes_or_ended()
{
	fio_writes "$1" || fio_ended "$1"
}

# Whether requests of it are on their way
fio_writes()
{
	in_guest "$1" "pidof fio && cat /sys/block/vd*/inflight | grep -q '[1-9]'" >/dev/null
}

fio_ended()
{
	in_guest "$1" "[ -f /tmp/fio.status ]"
}

# fio_is_content NAME [SECONDS]: it ends without an error; what it says is in fio.log
fio_is_content()
{
	wait_until "${2:-300}" "fio ends" fio_ended "$1"
	in_guest "$1" "cat /tmp/background.log" >>"$LAB_TMP/fio.log"
	[ "$(in_guest "$1" "cat /tmp/fio.status")" = 0 ]
}

# The checksum of a file in the guest's /mnt
checksum()
{
	in_guest "$1" -t 120 "sha256sum </mnt/$2"
}

# The same, read from the image of an ext4 on this machine
checksum_in()
{
	debugfs -R "cat /$2" "$1" 2>/dev/null | sha256sum
}

# is_clean IMAGE: as e2fsck finds without changing anything
is_clean()
{
	e2fsck -fn "$1" >>"$LAB_TMP/e2fsck.log" 2>&1
}
