#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The other ways in which an appliance gets at its consumer's memory, and at the device:
# memory that nobody knew beforehand is plugged in, or each access is a message; doorbells
# are polled; the consumer runs under this machine's QEMU; the device is vhost-pci's. Each
# serves a disk, also after the consumer started again, or got more memory. vvu_blk.sh has
# the usual way.
#
#	vvu_windows.sh [NAME]...	only these: plugged grown trapped polled older vhost_pci

. "$(dirname "$0")/appliance.sh"

export GUEST_IMAGE=plain GUEST_MODULES=virtio_blk GUEST_PROGRAMS=""

# A window function that is plugged in belongs to vfio-pci and to the user at once. What
# is there already stays everybody's.
accept_windows()
{
	in_guest ann "printf '%s\n' 'vfio/[0-9]+ root:vhost 660' '.* root:root 666' >/etc/mdev.conf
		mdev -d
		echo 1af4 10f1 >/sys/bus/pci/drivers/vfio-pci/new_id"
}

# verified KILOBYTES: so much is written to the consumer's disk, and read
verified()
{
	in_guest bob -t 120 "dd if=/dev/urandom of=/tmp/data bs=1k count=$1 2>/dev/null
		dd if=/tmp/data of=/dev/vda bs=64k oflag=direct 2>/dev/null
		echo 3 >/proc/sys/vm/drop_caches; cmp -n $(($1 * 1024)) /tmp/data /dev/vda"
}

# consumer_uses NAME KILOBYTES [BOOT-ARG]...: the disk that "vhost vvu" relays
consumer_uses()
{
	boot bob mem=256 "disk=$LAB_TMP/$1" "${@:3}"
	wait_for_guest bob
	expect_equal "$1: the consumer sees the disk" $((16 * 2048)) \
		"$(in_guest bob cat /sys/block/vda/size)"
	expect "$1: it writes and reads" verified "$2"
	reboot_by bob qmp bob system_reset
	expect "$1: it does so after a reset" verified "$2"
	kill_hard bob
	boot bob mem=256 "disk=$LAB_TMP/$1" "${@:3}"
	wait_for_guest bob
	expect "$1: so does its successor" verified "$2"
	stop bob
	stop ann
	expect "$1: what stands between them ends cleanly when asked" stop "$1"
}

# serve_disk SCHEME
serve_disk()
{
	serve ann vhost -v serve blk "$1:$VVU_BDF" memory=16M
}

plugged()
{
	start_vvu plugged --window "hotplug:$LAB_TMP/plug"
	boot_appliance ann plugged -device pcie-root-port,id=rp1,chassis=1,pref64-reserve=8G \
		-chardev "socket,id=plug,path=$LAB_TMP/plug,server=on,wait=off" \
		-mon chardev=plug,mode=control
	accept_windows
	serve_disk vvu
	consumer_uses plugged 1024
}

rounds() { in_guest bob "wc -l </tmp/background.log"; }

more_rounds() { [ "$(rounds)" -gt "$1" ]; }

is_plugged() { grep -q "window[0-9]*-$2 is plugged into" "$LAB_TMP/$1.log"; }

# The consumer's memory becomes two files while its disk is in use: the first one stays
# where it is, and the second is plugged in beside it.
grown()
{
	start_vvu grown --window "hotplug:$LAB_TMP/plug"
	boot_appliance ann grown -device pcie-root-port,id=rp1,chassis=1,pref64-reserve=8G \
		-device pcie-root-port,id=rp2,chassis=2,pref64-reserve=8G \
		-chardev "socket,id=plug,path=$LAB_TMP/plug,server=on,wait=off" \
		-mon chardev=plug,mode=control
	accept_windows
	serve_disk vvu
	boot bob "disk=$LAB_TMP/grown" -m 256,slots=1,maxmem=1G
	wait_for_guest bob
	in_background bob "while dd if=/dev/vda of=/dev/null bs=64k iflag=direct 2>/dev/null; do
		echo round; done"
	qmp bob object-add qom-type=memory-backend-memfd id=m1 size=134217728 share=true
	qmp bob device_add driver=pc-dimm id=d1 memdev=m1
	wait_until 30 "the new memory is plugged in" is_plugged grown 2
	wait_until 30 "reading goes on" more_rounds "$(rounds)"
	expect "grown: it writes and reads" verified 1024
	expect_not "grown: nothing is taken from the appliance" grep -q "the client went" "$LAB_TMP/grown.log"
	stop bob
	stop ann
	expect "grown: what stands between them ends cleanly when asked" stop grown
}

trapped()
{
	start_vvu trapped
	boot_appliance ann trapped
	serve_disk vvu
	consumer_uses trapped 64
}

polled()
{
	make_ram
	start_vvu polled --memory "file:$RAM,size=256M" --doorbell poll
	boot_appliance ann polled
	serve_disk vvu
	consumer_uses polled 1024 "ram=$RAM"
}

older()
{
	make_ram
	start_vvu older --memory "file:$RAM,size=256M" --accept ready
	boot_appliance ann older
	serve_disk vvu
	wait_for_socket older "$LAB_TMP/older"
	QEMU=$MACHINES_QEMU QEMU_MAJOR=$(QEMU=$MACHINES_QEMU qemu_major) \
		consumer_uses older 1024 "ram=$RAM"
}

vhost_pci()
{
	make_ram
	start_vvu vhost_pci --memory "file:$RAM,size=256M" --personality vhost-pci
	boot_appliance ann vhost_pci
	serve_disk vhostpci
	consumer_uses vhost_pci 1024 "ram=$RAM"
}

MACHINES_QEMU=$QEMU
need_appliance
[ $# -gt 0 ] || set -- plugged grown trapped polled older vhost_pci
for way in "$@"; do
	$way
done
