#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Build the fuzz targets with clang, ASan and UBSan, and run each for a while:
#   tests/fuzz/run.sh SECONDS [TARGET...]
# New inputs go to $BUILD/corpus/TARGET, what fails to $BUILD/failed-TARGET-*.
# Exit status 1 if any target failed, 2 for a wrong command line.
set -eu

usage() {
  echo "usage: $0 SECONDS [TARGET...]" >&2
  exit 2
}

[ $# -ge 1 ] || usage
seconds=$1
shift
case $seconds in
'' | *[!0-9]* | 0*) usage ;;
esac

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$root/build-fuzz}
if [ ! -f "$build/build.ninja" ]; then
  CC=${CC:-clang} meson setup "$build" "$root" -Dfuzz=true -Ddefault_library=static \
    -Db_lundef=false >&2
fi
ninja -C "$build" fuzz >&2

if [ $# -eq 0 ]; then
  for exe in "$build"/tests/fuzz/fuzz-*; do
    [ -f "$exe" ] && set -- "$@" "${exe##*/fuzz-}"
  done
fi

failed=
for target; do
  exe=$build/tests/fuzz/fuzz-$target
  if [ ! -x "$exe" ]; then
    echo "$0: there is no target '$target' in $build/tests/fuzz" >&2
    exit 2
  fi
  echo "== $target: $seconds s" >&2
  mkdir -p "$build/corpus/$target"
  # The first folder takes new inputs; the one of the repository is only read.
  "$exe" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$build/failed-$target-" \
    "$build/corpus/$target" "$root/tests/fuzz/corpus/$target" || failed="$failed $target"
done

if [ -n "$failed" ]; then
  echo "$0: failed:$failed (inputs: $build/failed-*)" >&2
  exit 1
fi
