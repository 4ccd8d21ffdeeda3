#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Compare with peers, side by side in one run:
#	./bench.sh net [--pairs N] [--seconds N] [--json [FILE]]
#	./bench.sh blk [--pairs N] [--seconds N] [--json [FILE]] [--disk FOLDER]
# With FILE there is JSON beside the table, without it in its place.
set -eu
root=$(dirname "$(readlink -f "$0")")
what=${1:-}
case $what in
net | blk) shift ;;
*)
	echo "usage: ./bench.sh net|blk [--pairs N] [--seconds N] [--json [FILE]]" >&2
	exit 2
	;;
esac
"$root/tests/lab/packages.sh" build bench
BUILD=${BUILD:-$root/build}
[ -f "$BUILD/release/build.ninja" ] ||
	meson setup "$BUILD/release" "$root" --buildtype=release -Dtests=false -Dwerror=true >&2
ninja -C "$BUILD/release" cmd/vhost >&2
exec python3 -B "$root/tests/bench/$what.py" "$BUILD/release/cmd/vhost" "$@"
