#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two guests on one switch reach each other: ping and TCP both ways.

. "$(dirname "$0")/guest.sh"

need_guests
start_switch --port "p1=unix:$LAB_TMP/p1" --port "p2=unix:$LAB_TMP/p2"
step "the switch listens; booting two guests"
boot alice "nic=$LAB_TMP/p1"
boot bob "nic=$LAB_TMP/p2"
wait_for_guest alice bob
address alice 10.0.0.1
address bob 10.0.0.2

expect "alice's pings to bob all come back" can_ping alice 10.0.0.2
expect "bob's pings to alice all come back" can_ping bob 10.0.0.1
expect "TCP flows from alice to bob" traffic alice bob 10.0.0.2
step "alice to bob: $MBITS Mbit/s"
expect "TCP flows from bob to alice" traffic bob alice 10.0.0.1
step "bob to alice: $MBITS Mbit/s"
expect "the switch is alive" is_alive switch
expect "the switch ends cleanly when asked" stop switch
