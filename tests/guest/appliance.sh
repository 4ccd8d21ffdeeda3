# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Boots a guest that serves devices to other guests: a kernel, and in an initramfs busybox
# and our static vhost, nothing more. It runs under a QEMU that has vfio-user-pci. Between
# it and its consumer are a PCI function from "vhost vvu", and the consumer's memory.
#
#	. "$(dirname "$0")/appliance.sh"
#	need_appliance
#	make_ram
#	start_vvu vvu --memory "file:$RAM,size=384M"
#	boot_appliance ann vvu
#	serve ann vhost serve blk "vvu:$VVU_BDF" memory=64M
#	boot bob "ram=$RAM" mem=384 "disk=$LAB_TMP/vvu"
#	wait_for_guest bob
#
#	VHOST_APPLIANCE		the static vhost; else build/appliance/cmd/vhost

. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"

# shellcheck disable=SC2034  # for the scenarios
# Where an appliance has the PCI function, and where its daemon listens
VVU_BDF=0000:00:04.0
CONTROL=unix:/tmp/control

# Beside what guests need, a consumer's programs and modules among it; sets APPLIANCE to the
# path of the initramfs
need_appliance()
{
	local vhost=${VHOST_APPLIANCE:-$LAB_ROOT/build/appliance/cmd/vhost}
	[ -x "$vhost" ] || fail "there is no static vhost: build it with -Dappliance=true"
	need_new_qemu
	need_guests
	APPLIANCE=$(GUEST_IMAGE=appliance GUEST_PROGRAMS=$vhost GUEST_STUBS="" \
		GUEST_MODULES="vfio-pci vfio_iommu_type1 virtio_blk virtio_net" \
		"$GUEST_DIR/image.sh" | tail -1) || fail "the appliance's image could not be made"
}

# make_ram: sets RAM to the path of a file that a guest's memory can be in; it is not there
make_ram()
{
	local dir
	dir=$(mktemp -d /dev/shm/vhost-ram.XXXXXX) || skip "there is no /dev/shm"
	on_exit rm -rf "$dir"
	# shellcheck disable=SC2034  # for the scenarios
	RAM=$dir/ram
}

# start_vvu NAME [ARG]...: "vhost vvu" until it listens on $LAB_TMP/NAME.pci and, for the
# consumer, on $LAB_TMP/NAME (with --accept ready that comes when there is a driver)
start_vvu()
{
	start "$1" "$VHOST" -v vvu --pci "vfio-user:$LAB_TMP/$1.pci" --front "unix:$LAB_TMP/$1" \
		"${@:2}"
	wait_for_socket "$1" "$LAB_TMP/$1.pci"
	[[ "${*:2} " == *"--accept ready "* ]] || wait_for_socket "$1" "$LAB_TMP/$1"
}

# boot_appliance NAME VVU[:VVU]... [ARG-OF-BOOT]...: and waits for it; it has the functions
# of each VVU, the first one at VVU_BDF, the next at the next slot
boot_appliance()
{
	local vvu slot=4 functions=()
	for vvu in ${2//:/ }; do
		functions+=(-device "$(vfio_user_device "$LAB_TMP/$vvu.pci" $slot)")
		slot=$((slot + 1))
	done
	boot "$1" "initramfs=$APPLIANCE" iommu=on "${functions[@]}" "${@:3}"
	wait_for_guest "$1"
	give_functions "$1" "$2"
}

# give_functions NAME VVU[:VVU]...: as after each of its boots
give_functions()
{
	local vvu slot=4
	for vvu in ${2//:/ }; do
		give_to_user "$1" "0000:00:0$slot.0"
		slot=$((slot + 1))
	done
}

# give_to_user NAME BDF: the function is vfio-pci's, and the user's of the name "vhost"
give_to_user()
{
	in_guest "$1" "cd /sys/bus/pci/devices/$2 || exit 1
		[ ! -e driver ] || echo $2 >driver/unbind
		echo vfio-pci >driver_override && echo $2 >/sys/bus/pci/drivers_probe
		chown vhost /dev/vfio/\$(basename \$(readlink iommu_group))" ||
		fail "guest $1 cannot give $2 to a user"
}

# serve NAME [USER] vhost ARG...: a daemon in the guest until it has a control socket; what
# it says is on the console. Without any privilege, unless USER is root.
serve()
{
	local name=$1 user=vhost
	shift
	[ "$1" = vhost ] || { user=$1; shift; }
	in_guest "$name" "rm -f ${CONTROL#unix:}; setsid su $user -c \
		'exec $* --control $CONTROL' </dev/null >/dev/console 2>&1 &"
	wait_until 30 "$name serves" in_guest "$name" "vhost stat $CONTROL --once >/dev/null 2>&1"
}

# kill_served NAME [SIGNAL]: and waits for its end
kill_served()
{
	in_guest "$1" "p=\$(pidof vhost) && kill -${2:-KILL} \$p
		while [ -d /proc/\$p ]; do usleep 50000; done"
}

# as_user NAME [-t SECONDS] COMMAND...: like in_guest, without any privilege
as_user()
{
	local name=$1 options=()
	shift
	[ "$1" != -t ] || { options=("$1" "$2"); shift 2; }
	in_guest "$name" "${options[@]}" "su vhost -c $(printf '%q' "$*")"
}
