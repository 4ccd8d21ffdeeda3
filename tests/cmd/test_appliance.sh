# shellcheck shell=bash disable=SC2154  # run.sh reads it
# SPDX-License-Identifier: BSD-3-Clause
# The static command for an initramfs.

appliance=${VHOST_APPLIANCE:-$source/build/appliance/cmd/vhost}
needs_no_library() { ! readelf -ld "$1" | grep -q 'NEEDED\|INTERP'; }
is_under() { [ "$(stat -c %s "$2")" -lt "$1" ]; }
appliance_ends() { vhost=$appliance ends "$@"; }

so "an appliance is built" test -x "$appliance"
so "it needs no library" needs_no_library "$appliance"
so "it has under 5 MiB" is_under $((5 << 20)) "$appliance"
so "it tells its version" appliance_ends 0 "vhost" --version
so "it moves frames" appliance_ends 0 "lost 0" demo --seconds 1
so "it has no NBD, and says so" appliance_ends 4 "nbd=" serve blk unix:a nbd=nbd://localhost/
so "it knows the groups of /etc/group" appliance_ends 2 "group=no-such-group" \
	serve rng unix:a,group=no-such-group
truncate -s 1M disk
"$appliance" serve blk "unix:a,group=$(id -gn)" file=disk -- blk unix:b memory=1M -- \
	blk unix:c null=1M >daemon.log 2>&1 </dev/null & daemon=$!
so "it serves files" wait_until quiet "$vhost" -q bench blk unix:a rw=randrw verify=on depth=8 seconds=1
so "for a group" is "$(group_of a)" "$(id -gn)"
so "it serves memory" quiet "$vhost" -q bench blk unix:b rw=randrw verify=on depth=8 seconds=1
so "it serves nothing" quiet "$vhost" -q probe unix:c
so "it ends cleanly" stop
rm disk
