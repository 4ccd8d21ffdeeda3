#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
#	blk_killed.sh [KILLS [SEED]]
#
# The daemon of a guest's disk is killed at random moments (10 times by default), and each
# fourth time asked to end: amid requests, while the guest's QEMU comes back, before it
# did. The guest works on in its file system, and loses nothing.

. "$(dirname "$0")/disk.sh"

kills=${1:-10}
seed=${2:-$RANDOM}
disk=$LAB_TMP/disk
ways=("delay=write:20ms" "aio=threads" "aio=threads delay=write:5ms" "aio=uring")
RANDOM=$seed

# serve_words N: of the daemon's Nth life; each takes over what another way has left
serve_words()
{
	# shellcheck disable=SC2206  # several words
	SERVE=(blk "unix:$LAB_TMP/d" "file=$disk" num-queues=4 ${ways[$1 % ${#ways[@]}]})
}

# Up to 2.5 seconds: the guest's QEMU looks for the daemon once a second
random_moment()
{
	local ms=$((RANDOM % 2500))
	sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
}

need_disk_guests
step "$kills kills, seed $seed"
truncate -s 128M "$disk"
serve_words 0
start_disks "${SERVE[@]}"
boot alice "disk=$LAB_TMP/d,queues=4" smp=2 mem=384
wait_for_guest alice
expect "a file system is made and mounted" mount_disk alice /dev/vda
expect "a file is written" in_guest alice \
	"dd if=/dev/urandom of=/mnt/before bs=1M count=8 2>/dev/null && sync"

start_fio alice /mnt/verified 24M
for ((n = 1; n <= kills; n++)); do
	random_moment
	if fio_ended alice; then
		expect "fio finds all that it wrote" fio_is_content alice
		start_fio alice /mnt/verified 24M
	fi
	serve_words "$n"
	if ((n % 4 == 0)); then
		expect "the daemon ends cleanly when asked, $n" stop disks
		start_disks "${SERVE[@]}"
	else
		restart_disks "${SERVE[@]}"
		step "killed, $n; now with ${SERVE[*]:4}"
	fi
done
expect "fio finds all that it wrote" fio_is_content alice
expect "it did so through the daemon of this moment" has_completed blk0 1
was=$(checksum alice before)
verified=$(checksum alice verified)
expect "it is unmounted" in_guest alice umount /mnt
stop alice
expect "the daemon ends cleanly when asked" stop disks
expect "the file system is clean" is_clean "$disk"
expect_equal "what was written before is there" "$was" "$(checksum_in "$disk" before)"
expect_equal "what fio wrote is there" "$verified" "$(checksum_in "$disk" verified)"
