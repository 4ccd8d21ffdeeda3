#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest's disks are on NBD servers that are killed and started again under fio, and once
# the daemon as well. The guest waits, and loses nothing.
#
#	vda	a qcow2 image behind qemu-nbd; all its clusters are there, since qemu-nbd
#		keeps in its own memory, until a flush, where new ones are
#	vdb	a file behind nbdkit

. "$(dirname "$0")/disk.sh"

image=$LAB_TMP/image.qcow2
file=$LAB_TMP/file
serve=(blk "unix:$LAB_TMP/a" "nbd=nbd+unix:///?socket=$LAB_TMP/qemu" num-queues=2 delay=write:5ms --
	blk "unix:$LAB_TMP/b" "nbd=nbd+unix:///?socket=$LAB_TMP/kit" num-queues=2)

serve_image()
{
	start qemu-nbd qemu-nbd -t -e 8 -f qcow2 -k "$LAB_TMP/qemu" "$image"
	wait_for_socket qemu-nbd "$LAB_TMP/qemu"
}

serve_file()
{
	start nbdkit nbdkit -f -U "$LAB_TMP/kit" file "$file"
	wait_for_socket nbdkit "$LAB_TMP/kit"
}

# A Unix socket stays behind a server that is killed
kill_server()
{
	kill_hard "$1"
	rm -f "$2"
}

need_disk_guests
need qemu-nbd qemu-img nbdkit
qemu-img create -q -f qcow2 -o preallocation=metadata "$image" 64M
truncate -s 64M "$file"
serve_image
serve_file
start_disks "${serve[@]}"
boot alice "disk=$LAB_TMP/a,queues=2" "disk=$LAB_TMP/b,queues=2" smp=2 mem=384
wait_for_guest alice
expect "a file system is made and mounted" mount_disk alice /dev/vda
expect "and another one" in_guest alice \
	"mkfs.ext4 -q /dev/vdb && mkdir /mnt2 && mount /dev/vdb /mnt2"

start_fio alice /mnt/verified:/mnt2/verified 16M
kill_server qemu-nbd "$LAB_TMP/qemu"
expect "fio waits for the first server" in_guest alice "pidof fio >/dev/null"
serve_image
wait_until 60 "fio writes again" fio_writes alice
kill_server nbdkit "$LAB_TMP/kit"
expect "fio waits for the second one" in_guest alice "pidof fio >/dev/null"
serve_file
kill_server qemu-nbd "$LAB_TMP/qemu"
kill_hard disks
expect "fio waits for server and daemon" in_guest alice "pidof fio >/dev/null"
serve_image
start_disks "${serve[@]}"
expect "fio finds all that it wrote" fio_is_content alice
first=$(checksum alice verified)
second=$(in_guest alice "sha256sum </mnt2/verified")
expect "they are unmounted" in_guest alice "umount /mnt /mnt2"
stop alice
expect "the daemon ends cleanly when asked" stop disks
stop nbdkit || true
stop qemu-nbd || true
qemu-img convert -f qcow2 -O raw "$image" "$LAB_TMP/image"
expect "the file system behind qemu-nbd is clean" is_clean "$LAB_TMP/image"
expect "the one behind nbdkit, too" is_clean "$file"
expect_equal "what fio wrote to one is there" "$first" "$(checksum_in "$LAB_TMP/image" verified)"
expect_equal "and what it wrote to the other" "$second" "$(checksum_in "$file" verified)"
