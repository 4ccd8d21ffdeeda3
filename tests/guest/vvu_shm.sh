#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# An appliance whose device is QEMU's generic vhost-user device: the consumer's memory is
# shown to it while it runs. It serves a disk, also after the consumer was reset, and to
# the consumer's successor; QEMU 11.1 does not survive that the driver starts again after
# memory was shown, so the appliance is not restarted here. The device bypasses the appliance's IOMMU, so the driver needs
# a huge page, whose address only root gets to know.

. "$(dirname "$0")/appliance.sh"

export GUEST_IMAGE=plain GUEST_MODULES=virtio_blk GUEST_PROGRAMS=""

# verified: a mebibyte is written to the consumer's disk, and read
verified()
{
	in_guest bob -t 120 "dd if=/dev/urandom of=/tmp/data bs=1k count=1024 2>/dev/null
		dd if=/tmp/data of=/dev/vda bs=64k oflag=direct 2>/dev/null
		echo 3 >/proc/sys/vm/drop_caches; cmp -n 1048576 /tmp/data /dev/vda"
}

need_appliance
start shm "$VHOST" -v vvu --personality virtio-shm --bar-size 1G \
	--pci "unix:$LAB_TMP/shm.pci" --front "unix:$LAB_TMP/shm"
wait_for_socket shm "$LAB_TMP/shm.pci"
wait_for_socket shm "$LAB_TMP/shm"
boot ann "initramfs=$APPLIANCE" iommu=on \
	-chardev "socket,id=shm,path=$LAB_TMP/shm.pci" \
	-device vhost-user-test-device-pci,chardev=shm,virtio-id=21,num_vqs=18,config_size=24,addr=4
wait_for_guest ann
give_to_user ann $VVU_BDF
in_guest ann "echo 4 >/proc/sys/vm/nr_hugepages"
serve ann root vhost -v serve blk "vvu:$VVU_BDF" memory=16M

boot bob "disk=$LAB_TMP/shm"
wait_for_guest bob
expect_equal "the consumer sees the disk" $((16 * 2048)) "$(in_guest bob cat /sys/block/vda/size)"
expect "it writes and reads" verified
reboot_by bob qmp bob system_reset
expect "it does so after a reset" verified
kill_hard bob
boot bob "disk=$LAB_TMP/shm"
wait_for_guest bob
expect "so does its successor" verified
stop bob
stop ann
expect "what stands between them ends cleanly when asked" stop shm
