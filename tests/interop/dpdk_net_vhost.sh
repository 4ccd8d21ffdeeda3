#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# DPDK's net_vhost, a back-end of vhost-user-net: "vhost probe" tells the truth about it,
# and the front-end library sends frames through two of its ports that testpmd joins, as
# client and as server.

. "$(dirname "$0")/../lab/lib.sh"

here=$(dirname "$0")
need dpdk-testpmd python3
need_vhost

# start_testpmd NAME OPTION: two ports, a and b of that name; it waits for link changes
start_testpmd()
{
	start "$1" dpdk-testpmd --lcores 0@0,1@1 --no-huge --no-shconf --no-pci --no-telemetry \
		-m 256 --file-prefix "$(basename "$LAB_TMP")-$1" \
		--vdev "net_vhost0,iface=$LAB_TMP/$1-a,queues=1$2" \
		--vdev "net_vhost1,iface=$LAB_TMP/$1-b,queues=1$2" \
		-- --forward-mode=io --nb-cores=1 --total-num-mbufs=16384 \
		--stats-period 3600 --disable-link-check
}

# bench SENTENCE NAME OPTION KEY=VALUE...: frames of each size come through, and are whole
bench()
{
	local sentence=$1 name=$2 option=$3 status=0
	shift 3
	timeout 30 "$VHOST" bench net "unix:$LAB_TMP/$name-a$option" "unix:$LAB_TMP/$name-b$option" \
		seconds=1 "$@" --json >"$LAB_TMP/bench.json" || status=$?
	expect_equal "$sentence: they come, whole and in order" 0 "$status"
	expect_equal "$sentence: of each size there are many" True \
		"$(json "$LAB_TMP/bench.json" "all(r['received'] > 100 for r in d['rows'])")"
	step "$(json "$LAB_TMP/bench.json" "[(r['size'], r['received']) for r in d['rows']]")"
}

check_probe()
{
	"$here/check_probe.py" "$VHOST" "$1" net >>"$LAB_TMP/probe.log"
}

start_testpmd pmd ""
wait_for_socket pmd "$LAB_TMP/pmd-b"
expect "the probe tells the truth about port a" check_probe "$LAB_TMP/pmd-a"
expect "the probe tells the truth about port b" check_probe "$LAB_TMP/pmd-b"
bench "mergeable buffers" pmd "" size=60:1518:9014
bench "plain buffers, both ways" pmd "" mrg=off duplex=on size=64:1514
expect "the probe tells the truth afterwards" check_probe "$LAB_TMP/pmd-a"
expect "testpmd has ended well" stop pmd

start_testpmd client ,client=1
bench "a back-end that connects to us" client ,server=on size=64
expect "testpmd has ended well" stop client
