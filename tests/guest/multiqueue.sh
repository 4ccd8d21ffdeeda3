#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest with four queue pairs and one with two: each queue carries traffic, the numbers
# change while traffic flows, and a guest that uses fewer queues than it has is served.

. "$(dirname "$0")/guest.sh"

# Number of frames that guest $1 gave to its transmit queue $2
sent_by_queue()
{
	in_guest "$1" "/usr/bin/tc -s qdisc show dev eth0" | awk -v queue=":$(($2 + 1))" '
		$1 == "qdisc" { mine = $4 == "parent" && $5 == queue }
		$1 == "Sent" && mine { print $4 }'
}

# The guest's kernel picks the queue that belongs to the processor it sends on
queue_carries()
{
	local before after
	before=$(sent_by_queue "$1" "$3")
	in_guest "$1" "taskset $((1 << $3)) ping -q -c 5 -i 0.2 -W 5 $2" |
		grep -q " 5 packets received" || return 1
	after=$(sent_by_queue "$1" "$3")
	[ "$after" -ge $((before + 5)) ]
}

queues_of()
{
	in_guest "$1" "ls -d /sys/class/net/eth0/queues/tx-*" | wc -l
}

use_queues()
{
	in_guest "$1" "ethtool -L eth0 combined $2"
}

need_guests
start_switch --port "p1=unix:$LAB_TMP/p1,queues=4" --port "p2=unix:$LAB_TMP/p2,queues=4"
boot alice "nic=$LAB_TMP/p1,queues=4" smp=4
boot bob "nic=$LAB_TMP/p2,queues=2" smp=2
wait_for_guest alice bob
address alice 10.0.0.1
address bob 10.0.0.2
expect "the guests reach each other" can_ping alice 10.0.0.2
expect_equal "alice has four queues" 4 "$(queues_of alice)"
expect_equal "bob has two queues" 2 "$(queues_of bob)"

for queue in 0 1 2 3; do
	expect "alice's queue $queue carries traffic" queue_carries alice 10.0.0.2 $queue
done
for queue in 0 1; do
	expect "bob's queue $queue carries traffic" queue_carries bob 10.0.0.1 $queue
done
expect "eight connections flow from alice to bob" traffic alice bob 10.0.0.2 5 -P 8
step "alice to bob: $MBITS Mbit/s"
expect "eight connections flow from bob to alice" traffic bob alice 10.0.0.1 5 -P 8
step "bob to alice: $MBITS Mbit/s"

in_background alice "ping -q -A -w 600 10.0.0.2"
for n in 1 3 4 2; do
	use_queues alice $n
	expect "alice is reached while she uses $n queues" can_ping bob 10.0.0.1
done
in_guest alice "killall ping"
use_queues bob 1
expect "contents arrive unharmed" same_contents alice bob 10.0.0.2 4
expect "and the other way" same_contents bob alice 10.0.0.1 4
expect "the switch is alive" is_alive switch
