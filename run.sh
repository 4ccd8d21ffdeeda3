#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Build libvhost and watch two guests exchange frames: ./run.sh [--seconds N] [--json]
set -eu
cd "$(dirname "$0")"

tests/lab/packages.sh build

if [ ! -f build/build.ninja ]; then
	echo "run: building into build/" >&2
	meson setup build -Dtests=false --buildtype=release >build.log 2>&1 || { cat build.log >&2; exit 1; }
	rm build.log
fi
ninja -C build cmd/vhost >&2
exec build/cmd/vhost demo "$@"
