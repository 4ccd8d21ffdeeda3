#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Guests on access ports of VLANs 10 and 20, and two trunks where the guests do the
# tagging: each reaches whom it should, and nobody else. Segments pass whole while tags
# come and go, and are cut for those who took no offload.
#
#	alice	eth0	access 10		10.0.0.1
#		eth1.20	trunk 10 20, no offload	10.0.20.1
#	bob	eth0	access 10, no offload	10.0.0.2
#	carol	eth0	access 20		10.0.20.3, and 10.0.0.3, which is out of place
#		eth1	access 30		10.0.30.3
#	trudy	eth0.10	trunk 10 20 30,		10.0.0.4
#		eth0.20				10.0.20.4
#		eth0	where 30 is native	10.0.30.4

. "$(dirname "$0")/guest.sh"

# vlan_address NAME ADDRESS DEVICE ID: on a new interface that tags
vlan_address()
{
	in_guest "$1" "ip link set $3 up; ip link add link $3 name $3.$4 type vlan id $4" ||
		fail "guest $1 cannot tag"
	address "$1" "$2" "$3.$4"
}

# carries WHAT FROM TO ADDRESS DEVICE whole|cut: DEVICE is where TO receives; not the one
# that takes tags off, since it counts what the kernel has put together again
carries()
{
	expect "$1: TCP flows" mean_frame "$3" "$5" rx traffic "$2" "$3" "$4" 2
	step "$1: $MBITS Mbit/s, $MEAN bytes a frame"
	case $6 in
	whole) expect "$1: segments pass whole" [ "$MEAN" -gt 1518 ] ;;
	cut) expect "$1: segments are cut" [ "$MEAN" -le 1518 ] ;;
	esac
	expect "$1: contents arrive unharmed" same_contents "$2" "$3" "$4" 4
}

# Who asks for an address is remembered by whom it asked
has_heard_of()
{
	in_guest "$1" "grep -q '^$2 ' /proc/net/arp"
}

port()
{
	"$VHOST" ctl "unix:$LAB_TMP/control" port "$@"
}

need_guests
start_switch --port "a=unix:$LAB_TMP/a,vlan=10" --port "at=unix:$LAB_TMP/at,trunk=10:20" \
	--port "b=unix:$LAB_TMP/b,vlan=10" \
	--port "c=unix:$LAB_TMP/c,vlan=20" --port "c30=unix:$LAB_TMP/c30,vlan=30" \
	--port "t=unix:$LAB_TMP/t,trunk=10:20:30,native=30" \
	--control "unix:$LAB_TMP/control"
boot alice "nic=$LAB_TMP/a" "nic=$LAB_TMP/at,$NO_OFFLOADS"
boot bob "nic=$LAB_TMP/b,$NO_OFFLOADS"
boot carol "nic=$LAB_TMP/c" "nic=$LAB_TMP/c30"
boot trudy "nic=$LAB_TMP/t"
wait_for_guest alice bob carol trudy
address alice 10.0.0.1
vlan_address alice 10.0.20.1 eth1 20
vlan_address alice 10.0.40.1 eth1 40
address bob 10.0.0.2
address carol 10.0.0.3
address carol 10.0.20.3
address carol 10.0.30.3 eth1
address trudy 10.0.30.4
vlan_address trudy 10.0.0.4 eth0 10
vlan_address trudy 10.0.20.4 eth0 20
vlan_address trudy 10.0.40.4 eth0 40

expect "alice reaches bob in VLAN 10" can_ping alice 10.0.0.2
expect "trudy reaches alice in VLAN 10" can_ping trudy 10.0.0.1
expect "bob reaches trudy in VLAN 10" can_ping bob 10.0.0.4
expect "trudy reaches carol in VLAN 20" can_ping trudy 10.0.20.3
expect "carol reaches alice in VLAN 20" can_ping carol 10.0.20.1
expect "alice reaches trudy in VLAN 20" can_ping alice 10.0.20.4
expect "carol reaches trudy in her native VLAN" can_ping carol 10.0.30.4

expect_not "alice does not reach carol from VLAN 10" reaches alice 10.0.0.3
expect_not "trudy does not reach carol by VLAN 10" reaches trudy 10.0.0.3
expect "carol has heard of trudy in VLAN 20" has_heard_of carol 10.0.20.4
expect_not "not even broadcasts leave VLAN 10" has_heard_of carol "10.0.0.[14]"
expect_not "carol does not reach bob from VLAN 20" reaches carol 10.0.0.2
expect_not "nothing passes in a VLAN that the trunks do not have" reaches trudy 10.0.40.1
expect "its frames are counted" [ "$(port_counter t drop_vlan)" -gt 0 ]

carries "a tag is taken off" trudy alice 10.0.0.1 eth0 whole
carries "a tag is put on" alice trudy 10.0.0.4 eth0 whole
carries "cut, and a tag is taken off" trudy bob 10.0.0.2 eth0 cut
carries "cut, and a tag is put on" carol alice 10.0.20.1 eth1 cut
carries "cut, and the tag stays" trudy alice 10.0.20.1 eth1 cut
carries "without a tag on a trunk" carol trudy 10.0.30.4 eth0 whole

expect "carol's port goes" port del c
expect "it comes back in VLAN 10" port add "c=unix:$LAB_TMP/c,vlan=10"
wait_until 30 "alice reaches carol there" reaches alice 10.0.0.3
expect_not "carol is left in VLAN 20 no more" reaches trudy 10.0.20.3
expect "the switch is alive" is_alive switch
