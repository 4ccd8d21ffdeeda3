#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Compare with peers, side by side in one run:
#	./bench.sh net [--pairs N] [--seconds N] [--json [FILE]]
# With FILE there is JSON beside the table, without it in its place.
set -eu
root=$(dirname "$(readlink -f "$0")")
if [ "${1:-}" != net ]; then
	echo "usage: ./bench.sh net [--pairs N] [--seconds N] [--json [FILE]]" >&2
	exit 2
fi
shift
"$root/tests/lab/packages.sh" build bench
BUILD=${BUILD:-$root/build}
[ -f "$BUILD/release/build.ninja" ] ||
	meson setup "$BUILD/release" "$root" --buildtype=release -Dtests=false -Dwerror=true >&2
ninja -C "$BUILD/release" cmd/vhost >&2
exec python3 "$root/tests/bench/net.py" "$BUILD/release/cmd/vhost" "$@"
