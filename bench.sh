#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Compare with peers, side by side in one run:
#	./bench.sh net [--pairs N] [--json]
set -eu
cd "$(dirname "$0")"
[ "${1:-}" = net ] || { echo "usage: ./bench.sh net [--pairs N] [--json]" >&2; exit 2; }
shift
tests/lab/packages.sh build bench
BUILD=${BUILD:-$PWD/build}
[ -f "$BUILD/release/build.ninja" ] ||
	meson setup "$BUILD/release" --buildtype=release -Dtests=false -Dwerror=true >&2
ninja -C "$BUILD/release" cmd/vhost >&2
exec python3 tests/bench/net.py "$BUILD/release/cmd/vhost" "$@"
