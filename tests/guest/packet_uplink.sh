#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest reaches a host through a packet uplink of the switch, and that host reaches it:
# over one end of a veth pair, then over a macvlan on it.
#
# The switch and the host are in a network namespace each. The interface that the switch
# uses has no address: the guest is all that is behind it.

. "$(dirname "$0")/guest.sh"

at_switch()
{
	ip netns exec "$switch_netns" "$@"
}

at_host()
{
	ip netns exec "$host_netns" "$@"
}

# start_on INTERFACE: the switch with its uplink there
start_on()
{
	at_switch ip link set "$1" up
	start switch ip netns exec "$switch_netns" "$VHOST" switch \
		--port "p1=unix:$LAB_TMP/p1" --port "p2=unix:$LAB_TMP/p2" \
		--uplink "up=packet:$1" --control "unix:$LAB_TMP/control"
	wait_for_socket switch "$LAB_TMP/p2"
}

# carries WHAT: everything both ways, over the uplink that is there
carries()
{
	local host=netns:$host_netns guest name at
	wait_until 30 "bob reaches the host over $1" reaches bob 10.0.0.1
	expect "$1: bob reaches the host" can_ping bob 10.0.0.1
	expect "$1: the host reaches bob" can_ping "$host" 10.0.0.2
	expect "$1: TCP flows to the host" mean_frame "$host" outer rx \
		traffic bob "$host" 10.0.0.1 3
	step "$1: bob to host: $MBITS Mbit/s, $MEAN bytes a frame"
	expect "$1: segments pass whole to the host" [ "$MEAN" -gt 1514 ]
	expect "$1: TCP flows to bob" mean_frame bob eth0 rx \
		traffic "$host" bob 10.0.0.2 3
	step "$1: host to bob: $MBITS Mbit/s, $MEAN bytes a frame"
	expect "$1: segments pass whole to bob" [ "$MEAN" -gt 1514 ]
	for guest in "bob 10.0.0.2" "carol 10.0.0.3"; do
		read -r name at <<<"$guest"
		expect "$1: contents arrive unharmed from $name" \
			same_contents "$name" "$host" 10.0.0.1 4
		expect "$1: contents arrive unharmed at $name" \
			same_contents "$host" "$name" "$at" 4
	done
	expect "$1: the guests reach each other" can_ping bob 10.0.0.3
}

need_guests
make_netns
switch_netns=$NETNS
make_netns
host_netns=$NETNS
ip -n "$switch_netns" link add inner type veth peer name outer netns "$host_netns" \
	2>/dev/null || skip "this kernel has no veth"
at_host ip addr add 10.0.0.1/24 dev outer
at_host ip link set outer up
start_on inner
boot bob "nic=$LAB_TMP/p1"
boot carol "nic=$LAB_TMP/p2,$NO_OFFLOADS"
wait_for_guest bob carol
address bob 10.0.0.2
address carol 10.0.0.3
carries "veth"
expect "segments were cut for carol" [ "$(port_counter p2 software)" -gt 10 ]
expect_equal "nothing was done in software for the host" 0 "$(port_counter up software)"

at_host ip link set outer down
expect_not "without carrier nothing passes" reaches bob 10.0.0.1
at_host ip link set outer up
wait_until 30 "the host is reached again" reaches bob 10.0.0.1
at_switch ip link set inner down
expect_not "while the interface is down nothing passes" reaches bob 10.0.0.1
at_switch ip link set inner up
wait_until 30 "the host is reached again" reaches bob 10.0.0.1
expect "all pings come back" can_ping "netns:$host_netns" 10.0.0.2
expect "the switch ends cleanly when asked" stop switch

if at_switch ip link add link inner name mac0 type macvlan mode passthru 2>/dev/null; then
	start_on mac0
	carries "macvlan"
	expect "the switch ends cleanly when asked" stop switch
else
	step "left out: this kernel has no macvlan"
fi
