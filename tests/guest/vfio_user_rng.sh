#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest has random numbers from a PCI function that QEMU takes from "vhost serve" by
# vfio-user, also after it started again.

. "$(dirname "$0")/guest.sh"

export GUEST_IMAGE=rng GUEST_MODULES=virtio_rng

has_random_numbers()
{
	expect_equal "$1: the kernel has our device" virtio_rng.0 \
		"$(in_guest alice cat /sys/class/misc/hw_random/rng_current)"
	in_guest alice "dd if=/dev/hwrng bs=512 count=8 iflag=fullblock 2>/dev/null" >"$LAB_TMP/numbers"
	expect_equal "$1: the guest reads as much as it wants" 4096 "$(stat -c %s "$LAB_TMP/numbers")"
	expect "$1: it is random" [ "$(gzip -c "$LAB_TMP/numbers" | wc -c)" -gt 4000 ]
}

need_new_qemu
need_guests
start rng "$VHOST" serve rng "vfio-user:$LAB_TMP/rng"
wait_for_socket rng "$LAB_TMP/rng"
boot alice -device "$(vfio_user_device "$LAB_TMP/rng" 4)"
wait_for_guest alice
expect_equal "the guest sees it" "0x1af4 0x1044" \
	"$(in_guest alice "cd /sys/bus/pci/devices/0000:00:04.0 && cat vendor device" | xargs)"
has_random_numbers "at first"
reboot_by alice in_background alice "sleep 1; reboot -f"
has_random_numbers "after a reboot"
reboot_by alice qmp alice system_reset
has_random_numbers "after a reset"
stop alice
expect "the daemon is alive" is_alive rng
expect "the daemon ends cleanly when asked" stop rng
