#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest is the switch of another: one port is the consumer's, through its window, and the
# uplink is a network card of the appliance's own, behind which is a network namespace of
# this machine. Frames flow both ways; the appliance's switch is killed, the appliance starts
# again, the consumer starts again: frames flow again without touching the other guest.

. "$(dirname "$0")/appliance.sh"

serve_switch()
{
	in_guest ann ip link set eth0 up
	# Packet sockets are root's.
	serve ann root vhost -v switch --port "bob=vvu:$VVU_BDF" --uplink up=packet:eth0
}

boot_consumer()
{
	boot bob "ram=$RAM" mem=256 "nic=$LAB_TMP/vvu"
}

switch_is_killed()
{
	kill_served ann
	serve_switch
}

appliance_reboots()
{
	reboot_by ann "$@"
	give_to_user ann $VVU_BDF
	serve_switch
}

reaches_outside()
{
	wait_until 60 "the consumer reaches the outside" reaches bob 10.0.0.1
	expect "$1: all pings come back to the consumer" can_ping bob 10.0.0.1
	expect "$1: the outside reaches the consumer" can_ping "$outside" 10.0.0.2
}

need_appliance
[ -c /dev/net/tun ] || skip "there is no /dev/net/tun"
make_netns
outside=netns:$NETNS
unique tap
# The appliance's card is on a switch of this machine, as that of any guest might be.
start switch ip netns exec "$NETNS" "$VHOST" switch --port "ann=unix:$LAB_TMP/ann" \
	--uplink "up=tap:$UNIQUE"
wait_for_socket switch "$LAB_TMP/ann"
ip -n "$NETNS" addr add 10.0.0.1/24 dev "$UNIQUE"
ip -n "$NETNS" link set "$UNIQUE" up
make_ram
start_vvu vvu --memory "file:$RAM,size=256M"
boot_appliance ann vvu "nic=$LAB_TMP/ann"
serve_switch
boot_consumer
wait_for_guest bob
address bob 10.0.0.2
reaches_outside "at first"
expect "TCP flows to the outside" traffic bob "$outside" 10.0.0.1 3
step "to the outside: $MBITS Mbit/s"
expect "TCP flows to the consumer" traffic "$outside" bob 10.0.0.2 3
step "to the consumer: $MBITS Mbit/s"
expect "contents arrive unharmed outside" same_contents bob "$outside" 10.0.0.1 4
expect "contents arrive unharmed at the consumer" same_contents "$outside" bob 10.0.0.2 4

up=$(boot_id bob)
switch_is_killed
reaches_outside "switch killed"
appliance_reboots in_background ann "sleep 1; reboot -f"
reaches_outside "appliance rebooted"
expect_equal "the consumer has not started again" "$up" "$(boot_id bob)"
up=$(boot_id ann)
kill_hard bob
boot_consumer
wait_for_guest bob
address bob 10.0.0.2
reaches_outside "consumer killed"
expect_equal "the appliance has not started again" "$up" "$(boot_id ann)"
expect "contents arrive unharmed at last" same_contents bob "$outside" 10.0.0.1 4
