#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Every mixture of offloads carries traffic unharmed. Two guests are joined by a row of
# networks on one switch, a network for each mixture; between unlike ends the switch must
# segment and compute checksums itself, between like ones it must not.
#
# Whether segments really passed whole is seen in the mean size of the frames that the
# receiver counts: only a frame beyond the MTU can raise it above 1514 bytes.

. "$(dirname "$0")/guest.sh"

# what is mixed | alice's properties | bob's | segments from alice pass whole, are cut by
# the switch, or are small from the start
mixtures=(
	"all offloads|||whole"
	"no mergeable buffers|mrg_rxbuf=off|mrg_rxbuf=off|whole"
	"no segmentation|$NO_SEGMENTS|$NO_SEGMENTS|small"
	"no offload at all|$NO_OFFLOADS|$NO_OFFLOADS|small"
	"all against none||$NO_OFFLOADS|cut"
	"all against checksums only||$NO_SEGMENTS|cut"
	"all against no mergeable buffers||mrg_rxbuf=off|whole"
	"checksums against none|$NO_SEGMENTS|$NO_OFFLOADS|summed"
)

field()
{
	echo "${mixtures[$1]}" | cut -d '|' -f "$2"
}

# Boots $1 with an interface for each mixture, whose properties are in field $2
boot_with_all()
{
	local i nics=()
	for i in "${!mixtures[@]}"; do
		nics+=("nic=$LAB_TMP/$1$i,$(field "$i" "$2")")
	done
	boot "$1" "${nics[@]}"
}

# Whether the driver of guest $1's interface $2 took virtio feature bit $3
has_feature()
{
	in_guest "$1" "cut -c $(($3 + 1)) /sys/class/net/$2/device/features" | grep -q 1
}

# carries WHAT NUMBER ADDRESS whole|cut|summed|small: alice sends over network NUMBER
carries()
{
	local before worked
	before=$(port_counter "bob$2" software)
	expect "$1: TCP flows" mean_frame bob "eth$2" rx traffic alice bob "$3" 2
	worked=$(($(port_counter "bob$2" software) - before))
	step "$1: $MBITS Mbit/s, $MEAN bytes a frame, $worked frames worked on"
	case $4 in
	whole) expect "$1: segments pass whole" [ "$MEAN" -gt 1514 ] ;;
	*) expect "$1: no frame is too long" [ "$MEAN" -le 1514 ] ;;
	esac
	case $4 in
	cut | summed) expect "$1: the switch did that" [ "$worked" -gt 10 ] ;;
	*) expect_equal "$1: the switch has no work" 0 "$worked" ;;
	esac
	expect "$1: contents arrive unharmed" same_contents alice bob "$3" 4
}

# over_ipv6 NUMBER whole|cut
over_ipv6()
{
	local guest
	for guest in alice bob; do
		in_guest $guest "sysctl -qw net.ipv6.conf.eth$1.disable_ipv6=0
			ip addr add fd00:$1::${#guest}/64 dev eth$1"
	done
	wait_until 20 "alice reaches bob by IPv6" \
		in_guest alice "ping -6 -q -c 1 -W 1 fd00:$1::3 >/dev/null 2>&1"
	carries "IPv6, $(field "$1" 1)" "$1" "fd00:$1::3" "$2"
}

need_guests
ports=()
for i in "${!mixtures[@]}"; do
	ports+=(--port "alice$i=unix:$LAB_TMP/alice$i" --port "bob$i=unix:$LAB_TMP/bob$i")
done
start_switch "${ports[@]}" --control "unix:$LAB_TMP/control"
boot_with_all alice 2
boot_with_all bob 3
wait_for_guest alice bob

expect "alice has mergeable buffers" has_feature alice eth0 15
expect "alice takes whole segments" has_feature alice eth0 7
expect_not "bob has no mergeable buffers when told not to" has_feature bob eth1 15
expect_not "bob takes no whole segments when told not to" has_feature bob eth2 7
expect_not "bob takes no frames without checksum when told not to" has_feature bob eth3 1

for i in "${!mixtures[@]}"; do
	what=$(field "$i" 1)
	address alice "10.0.$i.1" "eth$i"
	address bob "10.0.$i.2" "eth$i"
	expect "$what: the guests reach each other" can_ping alice "10.0.$i.2" 3
	carries "$what" "$i" "10.0.$i.2" "$(field "$i" 4)"
	expect "$what: contents arrive unharmed at alice" \
		same_contents bob alice "10.0.$i.1" 4
	expect_equal "$what: nothing needs work for alice" 0 "$(port_counter "alice$i" software)"
done
over_ipv6 0 whole
over_ipv6 4 cut
expect "the switch is alive" is_alive switch
