#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest migrates live from one QEMU to another, from one port of the switch to another,
# while its memory changes all the time: by its own processor, and by the switch, which
# must tell of each page that it writes. The guest's witness (witness.c) finds what was
# left behind. First a migration is given up: the guest stays as it was.
#
# bob has two interfaces. On eth0 QEMU has the switch announce him after the migration
# (SEND_RARP); he sends no frame there, so that nothing else tells where he is now. On
# eth1 he announces himself, and is pinged all the time.

. "$(dirname "$0")/guest.sh"

QUIET=52:54:00:00:b0:00

# boot_bob NAME PORTS [ARGUMENT]...: a QEMU called NAME for bob. Without mergeable buffers
# nobody but the switch writes to the pages that the witness's datagrams are received into.
boot_bob()
{
	boot "$1" "nic=$LAB_TMP/$2-quiet,guest_announce=off,mrg_rxbuf=off,mac=$QUIET" \
		"nic=$LAB_TMP/$2-pinged,mac=52:54:00:00:b0:01,queues=2" smp=2 "${@:3}"
}

# boot_target NAME: one that waits for bob to come
boot_target()
{
	boot_bob "$1" new -incoming "unix:$LAB_TMP/$1.migration"
	wait_for_socket "$1" "$LAB_TMP/$1.migration"
}

# migrate_to NAME BYTES: bob begins to move there, so many bytes a second, and goes on
# until he is told to hurry
migrate_to()
{
	qmp bob migrate-set-parameters "max-bandwidth=$2" downtime-limit=1 &&
		qmp bob migrate "uri=unix:$LAB_TMP/$1.migration"
}

# hurry: he stops at once, and what is left follows
hurry()
{
	qmp bob migrate-set-parameters max-bandwidth=1000000000 downtime-limit=30000
}

# can_be_judged READS: whether a lost page is our fault when QEMU read its dirty bits so
# many times. In one pass over the memory these are three: before it, at its end, and when
# bob has stopped. In a second pass QEMU before 9 loses pages itself: when it clears the
# bits it leaves the TLBs of its emulated processors as they are, and misses what they
# write then. A guest without any vhost device, even with one processor, shows it at every
# move of several passes under 7.2, and at none under 11.1.
can_be_judged()
{
	[ "$QEMU_MAJOR" -ge 9 ] || [ "$1" -le 3 ]
}

# ram_of_migration KEY: a number among what QEMU counts
ram_of_migration()
{
	qmp_get bob query-migrate ram | sed -n "s/.*['\"]$1['\"]: \([0-9]*\).*/\1/p"
}

migration_is()
{
	qmp_get bob query-migrate status | grep -qx -e "$1"
}

# finding NAME KEY: what the witness there has counted
finding()
{
	in_guest "$1" "sed -n 's/^$2=//p' /tmp/witness"
}

# has_found NAME KEY MINIMUM
has_found()
{
	[ "$(finding "$1" "$2")" -ge "$3" ]
}

# counted NAME rx|tx: frames on eth0
counted()
{
	in_guest "$1" "cat /sys/class/net/eth0/statistics/$2_packets"
}

# has_left MEGABYTES: of bob's memory no more than so many are still to be sent. What is in
# use lies below; the rest is zeros, and fast.
has_left()
{
	[ "$(ram_of_migration remaining)" -lt $(($1 << 20)) ]
}

# nothing_is_lost NAME RECEIVED WHEN: after it has read so many datagrams
nothing_is_lost()
{
	local sweeps
	sweeps=$(finding "$1" sweeps)
	wait_until 60 "bob reads what he got" has_found "$1" received "$2"
	wait_until 60 "bob writes all his memory" has_found "$1" sweeps $((sweeps + 2))
	expect_equal "no page that bob wrote is lost $3" 0 "$(finding "$1" pages_damaged)"
	expect_equal "no page that the switch wrote is lost $3" 0 "$(finding "$1" damaged)"
	expect_equal "no datagram came twice $3" 0 "$(finding "$1" disordered)"
}

# Sets LOST to how many of alice's pings did not come back
count_lost_pings()
{
	in_guest alice "killall -INT ping"
	wait_until 30 "alice's pings end" in_guest alice "grep -q received /tmp/ping.txt"
	step "$(in_guest alice "grep received /tmp/ping.txt")"
	LOST=$(in_guest alice "cat /tmp/ping.txt" | awk '/received/ { print $1 - $4 }')
}

# Whether the switch knows eth0's address at this port, and only there
is_at()
{
	[ "$(port_counter "$1" macs)" = 1 ] && [ "$(port_counter "$2" macs)" = 0 ]
}

need_guests
start_switch --port "alice=unix:$LAB_TMP/alice" \
	--port "old0=unix:$LAB_TMP/old-quiet" --port "old1=unix:$LAB_TMP/old-pinged,queues=2" \
	--port "new0=unix:$LAB_TMP/new-quiet" --port "new1=unix:$LAB_TMP/new-pinged,queues=2" \
	--control "unix:$LAB_TMP/control"
boot alice "nic=$LAB_TMP/alice"
boot_bob bob old
wait_for_guest alice bob
address alice 10.0.0.1
address alice 10.0.1.1
address bob 10.0.0.2
address bob 10.0.1.2 eth1
expect "alice reaches bob" can_ping alice 10.0.0.2
expect "alice reaches bob's other interface" can_ping alice 10.0.1.2
expect "bob is paused" qmp bob stop
expect_not "nobody reaches him then" reaches alice 10.0.0.2
expect "he goes on" qmp bob cont
expect "alice reaches bob again" can_ping alice 10.0.0.2
expect "and his other interface" can_ping alice 10.0.1.2

in_guest alice "ip link set eth0 mtu 4100" # the witness's datagrams pass whole
in_guest bob "ip link set eth0 mtu 4100"
# Neither ever asks where the other one is.
in_guest alice "arp -s 10.0.0.2 $QUIET"
in_guest bob "arp -s 10.0.0.1 $(in_guest alice cat /sys/class/net/eth0/address)"
in_background bob witness watch 16
in_background alice witness send 10.0.0.2 500
in_background alice "ping -q -i 0.05 -w 600 10.0.1.2 >/tmp/ping.txt"
wait_until 30 "the witness looks" in_guest bob "[ -f /tmp/witness ]"
wait_until 30 "datagrams arrive" has_found bob received 200

boot_target nowhere
expect "a migration begins, slowly" migrate_to nowhere 4000000
wait_until 30 "it is going on" migration_is active
wait_until 60 "bob receives meanwhile" \
	has_found bob received $(($(finding bob received) + 1000))
expect "it is given up" qmp bob migrate_cancel
wait_until 30 "it is over" migration_is cancelled
wait_until 30 "its target ends" has_ended nowhere
nothing_is_lost bob $(($(finding bob received) + 500)) "when bob stayed"

boot_target there
sent=$(counted bob tx)
expect "another migration begins" migrate_to there 20000000
wait_until 60 "most of what bob uses is sent" has_left 185
in_guest bob "touch /tmp/hold" # the pages that arrive from now on are looked at later
received=$(finding bob received)
arrived=$(counted bob rx)
expect "he is told to hurry" hurry
wait_until 120 "it ends" migration_is "completed\|failed"
expect "bob has moved" migration_is completed
step "in $(qmp_get bob query-migrate total-time) ms"
syncs=$(ram_of_migration dirty-sync-count)
can_be_judged "$syncs" || skip "QEMU $QEMU_MAJOR read its dirty bits $syncs times"
downtime=$(qmp_get bob query-migrate downtime)
expect "he was away for $downtime ms, less than two seconds" [ "$downtime" -lt 2000 ]
wait_for_guest there
wait_until 10 "the switch knows where he is" is_at new0 old0
expect "it was told by RARP" [ "$(port_counter new0 rx_frames)" -gt 0 ]
expect_equal "since bob sent nothing" "$sent" "$(counted there tx)"

held=$(($(counted there rx) - arrived))
expect "he got $held frames during the move, enough to find a lost page" [ $held -gt 300 ]
[ $held -lt 5000 ] || held=5000 # more are not held
in_guest there "rm /tmp/hold"
nothing_is_lost there $((received + held - 20)) "in the move"
wait_until 30 "datagrams arrive at the new port" \
	has_found there received $((received + held + 1000))
expect "bob's old QEMU ends" qmp bob quit
wait_until 30 "it is gone" has_ended bob
count_lost_pings
expect "$LOST pings were lost, no more than in two seconds" [ "$LOST" -le 40 ]
expect "alice reaches bob" can_ping alice 10.0.0.2
expect "alice reaches bob's other interface" can_ping alice 10.0.1.2
expect "contents arrive unharmed" same_contents alice there 10.0.0.2 2
nothing_is_lost there $(($(finding there received) + 200)) "after it"
expect "the switch is alive" is_alive switch
