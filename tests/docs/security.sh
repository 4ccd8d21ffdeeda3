#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Every test that docs/security.md names is there: each `tests/FILE` exists, and each
# `name` behind a `tests/FILE.c`: is the name of a test that this file runs.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
bad=0

# FILE, or FILE NAME, a line
# shellcheck disable=SC2016  # the quotes of the document, not of the shell
named()
{
	grep '^|.*`tests/' "$root/docs/security.md" | grep -o '`[^`]*`' | tr -d '`' |
		awk '/^tests\// { file = $0; print; next } file ~ /\.c$/ { print file, $0 }'
}

is_run()
{
	grep -v '^static' "$root/$1" | grep -qw -e "$2"
}

n=$(named | wc -l)
for missing in $(named | while read -r file name; do
	if [ ! -f "$root/$file" ]; then
		echo "$file"
	elif [ -n "$name" ] && ! is_run "$file" "$name"; then
		echo "$file:$name"
	fi
done); do
	echo "docs/security.md names what is not there: $missing"
	bad=1
done
echo "$n tests are named"
[ "$bad" -eq 0 ] && [ "$n" -gt 50 ]
