# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Boots a guest that serves devices to other guests: a kernel, and in an initramfs busybox
# and our static vhost, nothing more. It runs under a QEMU that has vfio-user-pci.
#
#	. "$(dirname "$0")/appliance.sh"
#	need_new_qemu
#	need_guests
#	need_appliance
#	boot_appliance ann -device "$(vfio_user_device "$LAB_TMP/vvu" 4)"
#	wait_for_guest ann
#	give_to_user ann 0000:00:04.0
#	as_user ann "vhost probe vvu:0000:00:04.0"

. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"

# Also needs what need_guests did; sets APPLIANCE to the path of the initramfs
need_appliance()
{
	APPLIANCE_VHOST=${VHOST_APPLIANCE:-$LAB_ROOT/build/appliance/cmd/vhost}
	[ -x "$APPLIANCE_VHOST" ] || fail "there is no static vhost: build it with -Dappliance=true"
	APPLIANCE=$(GUEST_IMAGE=appliance GUEST_MODULES="vfio-pci vfio_iommu_type1 virtio_net tun" \
		GUEST_PROGRAMS=$APPLIANCE_VHOST GUEST_STUBS="" "$GUEST_DIR/image.sh" | tail -1) ||
		fail "the appliance's image could not be made"
}

# vfio_user_device PATH SLOT: what -device takes, for the function that is served on PATH
vfio_user_device()
{
	printf '{"driver":"vfio-user-pci","addr":"%s","socket":{"type":"unix","path":"%s"}}' \
		"$2" "$1"
}

# boot_appliance NAME [ARG-OF-BOOT]...
boot_appliance()
{
	boot "$1" "initramfs=$APPLIANCE" iommu=on "${@:2}"
}

# give_to_user NAME BDF: the function is vfio-pci's, and the user's of the name "vhost"
give_to_user()
{
	in_guest "$1" "cd /sys/bus/pci/devices/$2 || exit 1
		[ ! -e driver ] || echo $2 >driver/unbind
		echo vfio-pci >driver_override && echo $2 >/sys/bus/pci/drivers_probe
		chown vhost /dev/vfio/\$(basename \$(readlink iommu_group))"
}

# as_user NAME [-t SECONDS] COMMAND...: like in_guest, without any privilege
as_user()
{
	local name=$1 options=()
	shift
	[ "$1" != -t ] || { options=("$1" "$2"); shift 2; }
	in_guest "$name" "${options[@]}" "su vhost -c $(printf '%q' "$*")"
}
