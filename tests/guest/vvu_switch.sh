#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest is the switch of two others: a port is the consumer's, through its window, and the
# uplink is a network card of the appliance's own, behind which is a network namespace of
# this machine. Frames flow both ways, and from one consumer to the other; the appliance's
# switch is killed, the appliance starts again, a consumer starts again: frames flow again
# without touching the other guests.

. "$(dirname "$0")/appliance.sh"

serve_switch()
{
	in_guest ann ip link set eth0 up
	# Packet sockets are root's.
	serve ann root vhost -v switch --port "bob=vvu:$VVU_BDF" --port carol=vvu:0000:00:05.0 \
		--uplink up=packet:eth0
}

# boot_consumer NAME
boot_consumer()
{
	boot "$1" "ram=${ram[$1]}" mem=256 "nic=$LAB_TMP/to_$1"
}

# start_relay NAME: what stands between that consumer and the appliance
start_relay()
{
	make_ram
	ram[$1]=$RAM
	start_vvu "to_$1" --memory "file:$RAM,size=256M"
}

switch_is_killed()
{
	kill_served ann
	serve_switch
}

appliance_reboots()
{
	reboot_by ann "$@"
	give_functions ann to_bob:to_carol
	serve_switch
}

reaches_outside()
{
	wait_until 60 "the consumer reaches the outside" reaches bob 10.0.0.1
	expect "$1: all pings come back to the consumer" can_ping bob 10.0.0.1
	expect "$1: the outside reaches the consumer" can_ping "$outside" 10.0.0.2
	expect "$1: the consumers reach each other" can_ping carol 10.0.0.2
}

declare -A ram=()
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
start_relay bob
start_relay carol
boot_appliance ann to_bob:to_carol "nic=$LAB_TMP/ann"
serve_switch
boot_consumer bob
boot_consumer carol
wait_for_guest bob carol
address bob 10.0.0.2
address carol 10.0.0.3
reaches_outside "at first"
expect "TCP flows to the outside" traffic bob "$outside" 10.0.0.1 3
step "to the outside: $MBITS Mbit/s"
expect "TCP flows to the consumer" traffic "$outside" bob 10.0.0.2 3
step "to the consumer: $MBITS Mbit/s"
expect "TCP flows from consumer to consumer" traffic bob carol 10.0.0.3 3
step "from consumer to consumer: $MBITS Mbit/s"
expect "contents arrive unharmed at the other consumer" same_contents bob carol 10.0.0.3 4
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
boot_consumer bob
wait_for_guest bob
address bob 10.0.0.2
reaches_outside "consumer killed"
expect_equal "the appliance has not started again" "$up" "$(boot_id ann)"
expect "contents arrive unharmed at last" same_contents bob "$outside" 10.0.0.1 4
