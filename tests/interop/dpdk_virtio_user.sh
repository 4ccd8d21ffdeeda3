#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# DPDK's virtio-user, a front-end of vhost-user-net, in front of "vhost switch": every
# frame arrives, once, in order and whole, and is counted, whatever the receive buffers
# and whoever listens, also when the switch dies and comes back. Then testpmd itself
# forwards from port to port.

. "$(dirname "$0")/../lab/lib.sh"

here=$(dirname "$0")
need dpdk-testpmd gcc pkg-config python3
need_vhost
pkg-config --exists libdpdk || skip "libdpdk-dev is not installed"
hugepages 256 # DPDK makes them anonymously: nothing has to be mounted

# Its memory in one file: a vhost-user back-end takes only a few regions
eal=(--in-memory --single-file-segments --no-pci --no-telemetry)
FRAMES=10000

# start_switch OPTION PORT...: each listens on, or connects to, a socket of its name
start_switch()
{
	local option=$1 port name args=()
	shift
	for port in "$@"; do
		name=${port%%,*}
		args+=(--port "$name=unix:$LAB_TMP/$name$option${port#"$name"}")
	done
	start switch "$VHOST" -v switch "${args[@]}" --control "unix:$LAB_TMP/ctl"
	wait_for_socket switch "$LAB_TMP/ctl"
}

# traffic OPTIONS-A OPTIONS-B MAX-LENGTH [PID]: starts it
traffic()
{
	start traffic timeout 60 "$LAB_TMP/virtio_user" --lcores 0@0 -m 64 "${eal[@]}" \
		--vdev "net_virtio_user0,path=$LAB_TMP/a,queue_size=256,$1" \
		--vdev "net_virtio_user1,path=$LAB_TMP/b,queue_size=256,$2" \
		-- $FRAMES "${@:3}"
}

traffic_has_ended_well()
{
	local status=0
	wait_until 70 "the traffic ends" has_ended traffic
	wait "${LAB_PID[traffic]}" || status=$?
	return "$status"
}

stat()
{
	"$VHOST" stat "unix:$LAB_TMP/ctl" --once --json >"$LAB_TMP/stat.json"
}

# sum KEY PORT...: of a counter of these ports
sum()
{
	json "$LAB_TMP/stat.json" "sum(p['$1'] for p in d['ports'] if p['name'] in '${*:2}'.split())"
}

# each_way CONDITION: it holds from port x to port y, both ways
each_way()
{
	stat
	[ "$(json "$LAB_TMP/stat.json" \
		"(lambda a, b: all($1 for x, y in ((a, b), (b, a))))(*d['ports'])")" = True ]
}

# Beside those that were sent there are only announcements, which are flooded
all_are_counted()
{
	each_way "x['rx_frames'] - x['flooded'] == $FRAMES and x['rx_bytes'] == y['tx_bytes'] and
		x['rx_frames'] == y['tx_frames'] and
		not any(x[k] for k in x if k.startswith('drop'))"
}

# Announcements to a card that is not there yet are dropped; nothing else is
all_but_announcements_are_counted()
{
	each_way "x['rx_frames'] - x['flooded'] == $FRAMES and y['drop_full'] <= x['flooded'] and
		x['rx_frames'] == y['tx_frames'] + y['drop_full'] and
		not any(x[k] for k in x if k.startswith('drop') and k != 'drop_full')"
}

# case_of SENTENCE OPTIONS-A OPTIONS-B MAX-LENGTH
case_of()
{
	start_switch "" a b
	traffic "$2" "$3" "$4"
	expect "$1: frames arrive" traffic_has_ended_well
	wait_until 5 "all are counted" all_are_counted
	expect "the switch has ended well" stop switch
}

# The cards listen; the switch connects, dies under traffic, and connects again
reconnecting_case_of()
{
	start_switch ,server=off a b
	traffic "$2,server=1" "$2,server=1" "$3" "${LAB_PID[switch]}"
	wait_until 60 "the switch is killed" eval "has_ended switch || has_ended traffic"
	is_alive traffic || fail "$1: the traffic ended before the switch was killed"
	start_switch ,server=off a b
	expect "$1: frames arrive, also through the next switch" traffic_has_ended_well
	wait_until 5 "all are counted" all_but_announcements_are_counted
	traffic "$2,server=1" "$2,server=1" "$3"
	expect "$1: frames arrive, also from the next cards" traffic_has_ended_well
	expect "the switch has ended well" stop switch
}

# What testpmd got and sent is what the switch gave and took
testpmd_has_counted()
{
	local what
	stat
	for what in RX:tx TX:rx; do
		[ "$(awk -v what="${what%:*}-packets:" '/Accumulated/ { all = 1 }
			all && $1 == what { print $2 }' "$LAB_TMP/testpmd.log")" = \
			"$(sum "${what#*:}_frames" b c)" ] || return 1
	done
}

# bench SENTENCE KEY=VALUE...: from a to d, through testpmd between b and c
bench()
{
	local status=0
	timeout 30 "$VHOST" bench net "unix:$LAB_TMP/a" "unix:$LAB_TMP/d" seconds=1 "${@:2}" \
		--json >"$LAB_TMP/bench.json" || status=$?
	expect_equal "$1: frames come through testpmd, whole and in order" 0 "$status"
	expect_equal "$1: of each size there are many" True \
		"$(json "$LAB_TMP/bench.json" "all(r['received'] > 100 for r in d['rows'])")"
}

# For a second; testpmd may have to wait for a core
are_still()
{
	local before i
	stat
	before=$(sum rx_frames a b c d)
	for ((i = 0; i < 5; i++)); do
		sleep 0.2
		stat
		[ "$before" = "$(sum rx_frames a b c d)" ] || return 1
	done
}

# testpmd MRG
testpmd_case()
{
	start_switch "" a,vlan=10 b,vlan=10 c,vlan=20 d,vlan=20
	: >"$LAB_TMP/testpmd.log"
	start testpmd stdbuf -oL dpdk-testpmd --lcores 0@0,1@1 -m 64 "${eal[@]}" \
		--vdev "net_virtio_user0,path=$LAB_TMP/b,queue_size=256,mrg_rxbuf=$1" \
		--vdev "net_virtio_user1,path=$LAB_TMP/c,queue_size=256,mrg_rxbuf=$1" \
		-- --forward-mode=io --nb-cores=1 --total-num-mbufs=4096 \
		--stats-period 3600 --disable-link-check
	# What it forwards before it says this is not in its statistics
	wait_until 30 "testpmd forwards" grep -q "NIC statistics" "$LAB_TMP/testpmd.log"
	bench "mrg_rxbuf=$1" duplex=on size=64:1514
	wait_until 10 "nothing is under way" are_still
	expect "testpmd has ended well" stop testpmd
	expect "testpmd has counted what the switch has" testpmd_has_counted
	expect "the switch has ended well" stop switch
}

# shellcheck disable=SC2046  # flags are words
compile virtio_user "$here/virtio_user.c" $(pkg-config --cflags --libs libdpdk)

case_of "plain buffers" mrg_rxbuf=0 mrg_rxbuf=0 1514
case_of "mergeable buffers" mrg_rxbuf=1 mrg_rxbuf=1 9014
case_of "one of each" mrg_rxbuf=1 mrg_rxbuf=0 1514
reconnecting_case_of "plain buffers, listening" mrg_rxbuf=0 1514
reconnecting_case_of "mergeable buffers, listening" mrg_rxbuf=1 9014
testpmd_case 0
testpmd_case 1
