#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Man pages render without a warning; those of section 3 document all public functions
# and no others, with the prototypes of the headers and examples that compile.
set -u
source=${VHOST_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
checked=0 bad=0
complain() { printf '%s\n' "$*"; bad=$((bad + 1)); }

# FILE.c: does it compile, with nothing but the public headers?
compiles() { cc -std=gnu17 -Wall -Wextra -Werror -I"$source/include" -fsyntax-only "$1"; }

# The text behind the macros and escapes of a page, from its stdin.
plain() { sed -e 's/^\.B //' -e '/^\.[A-Z]/d' -e 's/^\\&//' -e 's/\\-/-/g' -e "s/\\\\(aq/'/g" -e 's/\\e/\\/g'; }

synopsis() { sed -n '/^\.SH SYNOPSIS$/,/^\.fi$/p' "$1" | sed -e '/^\.nf$/d' -e '/^\.fi$/d' | plain; }
example() { sed -n '/^\.EX$/,/^\.EE$/p' "$1" | plain; }
functions() { grep -ohE '\bvh_[a-z0-9_]+\(' "$@" | tr -d '(' | sort -u; }

for page in "$source"/man/*.[13]; do
	checked=$((checked + 1))
	warnings=$(groff -ww -man -Tutf8 -z "$page" 2>&1) || complain "$page does not render"
	[ -z "$warnings" ] || complain "$warnings"
	grep -q "'${page##*/}'" "$source/man/meson.build" || complain "$page is not installed"
done

for page in "$source"/man/*.3; do
	name=$(basename "$page" .3)
	synopsis "$page" >"$dir/$name.synopsis.c"
	example "$page" >"$dir/$name.example.c"
	functions "$dir/$name.synopsis.c" >>"$dir/documented"
	for f in $(functions "$dir/$name.synopsis.c"); do
		grep -qE "^\.BR $f \(\)$" "$page" || complain "$page says nothing of $f()"
		sed -n '/^\.SH NAME$/{n;p}' "$page" | grep -qw "$f" || complain "$page: $f is not in NAME"
	done
	[ -s "$dir/$name.example.c" ] || complain "$page has no example"
done
for file in "$dir"/*.c; do
	compiles "$file" || complain "$(basename "$file") does not compile"
done

# Comments, in which functions are mentioned, declare none, nor do types of functions.
cat "$source"/include/vhost/*.h | cc -fpreprocessed -dD -E -P - 2>/dev/null |
	sed '/^typedef /d' >"$dir/headers"
functions "$dir/headers" >"$dir/declared"
sort -u "$dir/documented" | diff - "$dir/declared" >"$dir/diff" ||
	complain "documented (<) and declared (>) functions differ:" "$(cat "$dir/diff")"
echo "$checked pages, $(wc -l <"$dir/declared") functions, $bad bad"
[ "$bad" -eq 0 ] && [ -s "$dir/declared" ]
