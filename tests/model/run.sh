#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Explores the models of sleep and wake; without any one of the fences they must fail.
set -u
cd "$(dirname "$0")" || exit 1
command -v spin >/dev/null || { echo "spin is not installed"; exit 77; }
source=$PWD
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
bad=0

# MODEL DEFINE: prints "fine" or "lost"
explore()
{
	rm -f ./*
	# shellcheck disable=SC2086  # nothing, or one word
	if ! { spin -a $2 "$source/$1.pml" && gcc -O1 -DSAFETY -w -o pan pan.c &&
		./pan -m100000; } >pan.log 2>&1; then
		cat pan.log >&2
		echo broken
	elif grep -q 'errors: 0' pan.log; then
		echo fine
	else
		echo lost
	fi
}

check()
{
	local found
	found=$(explore "$1" "$2")
	printf '%-9s %-18s %s\n' "$1" "${2:-with its fences}" "$found"
	[ "$found" = "$3" ] || bad=1
}

check kick_arm "" fine
check kick_arm -DNO_DEVICE_FENCE lost
check kick_arm -DNO_DRIVER_FENCE lost
check mailbox "" fine
check mailbox -DNO_TAKER_FENCE lost
check mailbox -DNO_POSTER_FENCE lost
exit $bad
