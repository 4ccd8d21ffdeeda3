#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# QEMU's storage daemon, a back-end of vhost-user-blk: "vhost probe" tells the truth about
# its exports, and the front-end library reads and writes their sectors, also when the
# daemon dies in the middle and another one takes its place.

. "$(dirname "$0")/../lab/lib.sh"

here=$(dirname "$0")
need qemu-storage-daemon python3 gcc
need_vhost
library=$(dirname "$VHOST")/../lib/libvhost.a
[ -f "$library" ] || fail "there is no $library: build it with the command"

disk=$LAB_TMP/disk.img
size=$((16 << 20))

start_daemon()
{
	start daemon qemu-storage-daemon \
		--blockdev "driver=file,node-name=file,filename=$disk" \
		--blockdev driver=raw,node-name=disk,file=file \
		--blockdev driver=null-co,node-name=null,size=1048576 \
		--export "type=vhost-user-blk,id=disk,node-name=disk,addr.type=unix,addr.path=$LAB_TMP/disk.sock,writable=on,num-queues=2" \
		--export "type=vhost-user-blk,id=null,node-name=null,addr.type=unix,addr.path=$LAB_TMP/null.sock,logical-block-size=4096"
	wait_for_socket daemon "$LAB_TMP/null.sock"
}

# check_probe NAME: field by field; leaves $LAB_TMP/NAME.json
check_probe()
{
	local status=0
	"$here/check_probe.py" "$VHOST" "$LAB_TMP/$1.sock" blk >"$LAB_TMP/$1.probe.log" || status=$?
	tail -n 1 "$LAB_TMP/$1.probe.log" >"$LAB_TMP/$1.json"
	return "$status"
}

# The number of N bytes at OFFSET of the config space that was probed
config()
{
	json "$LAB_TMP/$1.json" \
		"int.from_bytes(bytes.fromhex(d['config'])[$2:$2 + $3], 'little')"
}

has()
{
	[ "$(json "$LAB_TMP/$1.json" "'$2' in d['virtio_features']")" = True ]
}

head -c $size /dev/urandom >"$disk"
start_daemon

expect "the probe tells the truth about a disk" check_probe disk
expect_equal "its capacity is the file's" $((size / 512)) "$(config disk 0 8)"
expect_equal "its sectors have 512 bytes" 512 "$(config disk 20 4)"
expect_equal "it has two queues" 2 "$(config disk 34 2)"
expect_not "it can be written" has disk RO
expect "the probe tells the truth about a read-only disk" check_probe null
expect_equal "its capacity is a megabyte" 2048 "$(config null 0 8)"
expect_equal "its sectors have 4096 bytes" 4096 "$(config null 20 4)"
expect "it cannot be written" has null RO
expect "its reads can be measured" "$VHOST" bench blk "unix:$LAB_TMP/null.sock" depth=8 size=512K

compile blk_sectors "$here/blk_sectors.c" -I"$LAB_ROOT/include" "$library" -pthread
start client timeout 60 "$LAB_TMP/blk_sectors" "unix:$LAB_TMP/disk.sock" "$disk" "${LAB_PID[daemon]}"
wait_until 60 "the client has killed the daemon, or ended" eval "has_ended daemon || has_ended client"
is_alive client || fail "the client ended before it killed the daemon"
start_daemon
wait_until 60 "the client has ended" has_ended client
status=0
wait "${LAB_PID[client]}" || status=$?
expect_equal "sectors are what they should be, also behind the next daemon" 0 "$status"
step "$(tail -n 1 "$LAB_TMP/client.log")"
