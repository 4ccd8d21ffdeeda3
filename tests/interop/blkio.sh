#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# libblkio, which Debian 13 has, in front of "vhost serve blk": what was written is read
# at depth on several queues, and stands in the file, while regions of memory come and go
# under running rings. Front-ends come one after the other, as a benchmark makes them.

. "$(dirname "$0")/../lab/lib.sh"

here=$(dirname "$0")
need_vhost
need_trixie gcc libc6-dev libblkio-dev

disk=$LAB_TMP/disk.img
cp "$here/blkio.c" "$LAB_TMP"
expect "our client of libblkio compiles on Debian 13" in_trixie gcc -D_GNU_SOURCE -std=gnu17 -O2 \
	-Wall -Wextra -Werror -o "$LAB_TMP/blkio" "$LAB_TMP/blkio.c" -lblkio

# disk_case SENTENCE KEY=VALUE...
disk_case()
{
	head -c $((3 * 128 * 16384)) /dev/urandom >"$disk"
	start serve "$VHOST" -v serve blk "unix:$LAB_TMP/disk.sock" "file=$disk" num-queues=3 "${@:2}"
	wait_for_socket serve "$LAB_TMP/disk.sock"
	for _ in 1 2 3; do
		expect "$1: the disk is as it was written" \
			in_trixie timeout 120 "$LAB_TMP/blkio" "$LAB_TMP/disk.sock" "$disk"
	done
	expect "the daemon has ended well" stop serve
}

disk_case "past the page cache" direct=on
disk_case "through the page cache, memory unregistered" direct=off register=off
disk_case "threads instead of io_uring" aio=threads
