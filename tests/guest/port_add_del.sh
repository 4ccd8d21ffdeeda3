#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Ports come and go while the switch runs: a new one works at once, one that comes back
# works again without touching its guest, and the others notice nothing.

. "$(dirname "$0")/guest.sh"

port()
{
	"$VHOST" ctl "unix:$LAB_TMP/control" port "$@"
}

lists()
{
	port list | grep -qw "$1"
}

reaches_not()
{
	! reaches "$@"
}

come_and_go()
{
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		port del p3 && port add "p3=unix:$LAB_TMP/p3" || return 1
	done
}

need_guests
start_switch --port "p1=unix:$LAB_TMP/p1" --port "p2=unix:$LAB_TMP/p2" \
	--control "unix:$LAB_TMP/control"
boot alice "nic=$LAB_TMP/p1"
boot bob "nic=$LAB_TMP/p2"
wait_for_guest alice bob
address alice 10.0.0.1
address bob 10.0.0.2
expect "the guests reach each other" can_ping alice 10.0.0.2

expect_not "p3 is listed before it is there" lists p3
expect "a port is added" port add "p3=unix:$LAB_TMP/p3"
expect "it is listed" lists p3
boot carol "nic=$LAB_TMP/p3"
wait_for_guest carol
address carol 10.0.0.3
expect "a guest on the new port reaches the others" can_ping carol 10.0.0.1
expect_not "a port of the same name is refused" port add "p3=unix:$LAB_TMP/other"
expect_not "an unknown port cannot be deleted" port del p9

expect "the port is deleted" port del p3
expect_not "it is listed no more" lists p3
expect "nobody reaches its guest" reaches_not alice 10.0.0.3
expect "the others reach each other" can_ping bob 10.0.0.1
expect "the port is added again" port add "p3=unix:$LAB_TMP/p3"
wait_until 30 "carol is reached again, untouched" reaches alice 10.0.0.3

in_background bob "ping -q -c 100 -i 0.1 -W 10 10.0.0.1 >/tmp/ping.txt"
expect "a port goes and comes ten times" come_and_go
wait_until 60 "bob's pings end" in_guest bob "grep -q received /tmp/ping.txt"
expect "not one ping of the others was lost" in_guest bob "grep ' 100 packets received' /tmp/ping.txt"
wait_until 30 "carol is reached after that" reaches alice 10.0.0.3
expect "the switch is alive" is_alive switch
