#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs every command of the documents, and has man.sh look at the man pages.  The examples of man pages, between .EX and .EE,
# are run as they stand; and in README.md and docs/*.md a fence that begins with
#     ```sh run
# is run as it stands, in a folder of its own, with `vhost` on the path; each must succeed.
# One that begins with plain ```sh is for machines that a test has not (a VM's disk,
# a network card), and must at least be words that sh can read.
set -u
source=${VHOST_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
export VHOST=${VHOST:-$source/build/release/cmd/vhost}
PATH=$(dirname "$VHOST"):$PATH
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
run=0 bad=0

# FILE: its fences, each into a file of its own, $dir/N.run or $dir/N.sh
split()
{
	awk -v dir="$dir" -v base="$2" '
	/^```sh run$/ { out = dir "/" base "." ++n ".run"; next }
	/^```sh$/ { out = dir "/" base "." ++n ".sh"; next }
	/^```/ { out = ""; next }
	out { print > out }' "$1"
}

# The examples of a man page, without its escapes
examples()
{
	awk -v dir="$dir" -v base="$2" '
	/^\.EX$/ { out = dir "/" base "." ++n ".run"; next }
	/^\.EE$/ { out = ""; next }
	out { gsub(/\\-/, "-"); gsub(/\\e/, "\\"); print > out }' "$1"
}

for page in "$source"/man/*.1; do
	examples "$page" "$(basename "$page" .1)"
done
for doc in "$source"/README.md "$source"/docs/*.md; do
	[ -f "$doc" ] && split "$doc" "$(basename "$doc" .md)"
done
for fence in "$dir"/*.run "$dir"/*.sh; do
	[ -f "$fence" ] || continue
	if ! sh -n "$fence"; then
		echo "not shell: $(basename "$fence")"; cat "$fence"; bad=$((bad + 1))
		continue
	fi
	case $fence in *.sh) continue ;; esac
	run=$((run + 1))
	mkdir -p "$dir/cwd"
	if (cd "$dir/cwd" && timeout 60 sh -eu "$fence") >"$dir/out" 2>&1 </dev/null; then
		echo "ok $(basename "$fence")"
	else
		echo "FAILED $(basename "$fence"):"; cat "$fence" "$dir/out"; bad=$((bad + 1))
	fi
	rm -rf "$dir/cwd"
done
"$source/tests/docs/man.sh" || bad=$((bad + 1))
echo "$run commands run, $bad bad"
[ "$bad" -eq 0 ] && [ "$run" -gt 0 ]
