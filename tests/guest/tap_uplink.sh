#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest reaches its host through a TAP uplink of the switch, and the host reaches it. A
# second guest took no offload: what the host sends whole is cut for it.
#
# The switch runs in a network namespace of its own, so that the machine's network is
# left alone.

. "$(dirname "$0")/guest.sh"

in_netns()
{
	ip netns exec "$NETNS" "$@"
}

tap_is_there()
{
	in_netns ip link show "$tap" >/dev/null 2>&1
}

need_guests
[ -c /dev/net/tun ] || skip "there is no /dev/net/tun"
make_netns
unique tap
tap=$UNIQUE
host=netns:$NETNS
start switch ip netns exec "$NETNS" "$VHOST" switch --port "p1=unix:$LAB_TMP/p1" \
	--port "p2=unix:$LAB_TMP/p2" --uplink "up=tap:$tap" \
	--control "unix:$LAB_TMP/control"
wait_for_socket switch "$LAB_TMP/p2"
wait_until 20 "the TAP is there" tap_is_there
in_netns ip addr add 10.0.0.1/24 dev "$tap"
in_netns ip link set "$tap" up
boot bob "nic=$LAB_TMP/p1"
boot carol "nic=$LAB_TMP/p2,$NO_OFFLOADS"
wait_for_guest bob carol
address bob 10.0.0.2
address carol 10.0.0.3

expect "bob reaches the host" can_ping bob 10.0.0.1
expect "the host reaches bob" can_ping "$host" 10.0.0.2
expect "carol reaches the host" can_ping carol 10.0.0.1
expect "the host reaches carol" can_ping "$host" 10.0.0.3

# Seen from the host, the TAP receives what the guest sends.
expect "TCP flows to the host" mean_frame "$host" "$tap" rx traffic bob "$host" 10.0.0.1 3
step "bob to host: $MBITS Mbit/s, $MEAN bytes a frame"
expect "segments pass whole to the host" [ "$MEAN" -gt 1514 ]
expect "TCP flows to bob" mean_frame "$host" "$tap" tx traffic "$host" bob 10.0.0.2 3
step "host to bob: $MBITS Mbit/s, $MEAN bytes a frame"
expect "segments pass whole to bob" [ "$MEAN" -gt 1514 ]
expect_equal "nothing was done in software" 0 "$(port_counter up software)"
expect_equal "and nothing for bob" 0 "$(port_counter p1 software)"

expect "TCP flows to carol" mean_frame carol eth0 rx traffic "$host" carol 10.0.0.3 3
step "host to carol: $MBITS Mbit/s, $MEAN bytes a frame"
expect "segments are cut for carol" [ "$MEAN" -le 1514 ]
expect "by the switch" [ "$(port_counter p2 software)" -gt 10 ]

for guest in "bob 10.0.0.2" "carol 10.0.0.3"; do
	read -r name at <<<"$guest"
	expect "contents arrive unharmed from $name" same_contents "$name" "$host" 10.0.0.1 4
	expect "contents arrive unharmed at $name" same_contents "$host" "$name" "$at" 4
done

in_netns ip link set "$tap" down
expect_not "while the TAP is down nothing passes" reaches bob 10.0.0.1
in_netns ip link set "$tap" up
wait_until 20 "the host is reached again once it is up" reaches bob 10.0.0.1
expect "all pings come back again" can_ping "$host" 10.0.0.2
expect "the switch is alive" is_alive switch
expect "the switch ends cleanly when asked" stop switch
expect_not "the TAP is gone with it" tap_is_there
