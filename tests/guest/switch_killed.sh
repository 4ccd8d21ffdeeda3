#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The switch is killed the hard way and started again: traffic resumes, a TCP connection
# that was open goes on, and nobody touches the guests.

. "$(dirname "$0")/guest.sh"

ports=(--port "p1=unix:$LAB_TMP/p1" --port "p2=unix:$LAB_TMP/p2")

# Whether iperf3, which ran over the fall of the switch, still moved bytes at its end
moved_bytes_at_the_end()
{
	in_guest alice -t 120 "while pidof iperf3 >/dev/null; do sleep 1; done"
	in_guest alice "cat /tmp/iperf.json" >"$LAB_TMP/iperf.json"
	[ "$(json "$LAB_TMP/iperf.json" "d['intervals'][-1]['sum']['bytes'] > 0")" = True ]
}

need_guests
start_switch "${ports[@]}"
boot alice "nic=$LAB_TMP/p1"
boot bob "nic=$LAB_TMP/p2"
wait_for_guest alice bob
address alice 10.0.0.1
address bob 10.0.0.2
expect "the guests reach each other" can_ping alice 10.0.0.2

for round in 1 2 3; do
	kill_hard switch
	expect_not "without a switch nothing passes" reaches alice 10.0.0.2
	start_switch "${ports[@]}"
	wait_until 30 "alice reaches bob again" reaches alice 10.0.0.2
	expect "traffic resumed, round $round" can_ping bob 10.0.0.1
done

in_background bob iperf3 -s -1
wait_until 20 "bob listens" in_guest bob "netstat -lnt | grep -q ':5201 '"
in_background alice "iperf3 -J -c 10.0.0.2 -t 30 >/tmp/iperf.json"
wait_until 20 "iperf3 runs" in_guest alice "netstat -nt | grep -q 10.0.0.2:5201"
sleep 3
kill_hard switch
start_switch "${ports[@]}"
expect "a TCP connection outlives the switch" moved_bytes_at_the_end
expect "the guests reach each other" can_ping alice 10.0.0.2
expect "alice was never rebooted" in_guest alice "[ -f /tmp/iperf.json ]"
