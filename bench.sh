#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Compare with peers, side by side in one run:
#	./bench.sh net [--pairs N] [--seconds N] [--json [FILE]]
#	./bench.sh blk [--pairs N] [--seconds N] [--json [FILE]] [--disk FOLDER]
# Compare a guest as back-end with a Unix socket:
#	./bench.sh vvu [--pairs N] [--seconds N] [--json [FILE]]
# With FILE there is JSON beside the table, without it in its place.
set -eu
root=$(dirname "$(readlink -f "$0")")
what=${1:-}
case $what in
net | blk | vvu) shift ;;
*)
	echo "usage: ./bench.sh net|blk|vvu [--pairs N] [--seconds N] [--json [FILE]]" >&2
	exit 2
	;;
esac
"$root/tests/lab/packages.sh" build bench
BUILD=${BUILD:-$root/build}
if [ "$what" = vvu ]; then
	build=bench program=tests/vhost-on-test-bus tests=true
else
	build=release program=cmd/vhost tests=false
fi
[ -f "$BUILD/$build/build.ninja" ] ||
	meson setup "$BUILD/$build" "$root" --buildtype=release -Dtests=$tests -Dwerror=true >&2
ninja -C "$BUILD/$build" "$program" >&2
exec python3 -B "$root/tests/bench/$what.py" "$BUILD/$build/$program" "$@"
