#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Rules that a compiler does not see: format, tidy, layering, names, and file sizes.
set -u
cd "${VHOST_SOURCE:-$(dirname "$0")/../..}" || exit 1
bad=0
complain() { printf '%s\n' "$*"; bad=1; }

mapfile -t code < <(git ls-files '*.c' '*.h')

clang-format --dry-run -Werror "${code[@]}" 2>&1 | head -40
[ "${PIPESTATUS[0]}" -eq 0 ] || complain "clang-format would change the above"

# The layers' include paths keep layers apart; a path upwards would get round them.
git grep -n '#include "\.\./' -- lib && complain "an include that climbs out of its folder"

# Whoever links libvhost.a sees these names.
build=${BUILD:-$PWD/build}/release
if [ -f "$build/lib/libvhost.a" ]; then
	foreign=$(nm -g --defined-only "$build/lib/libvhost.a" | awk 'NF == 3 && $3 !~ /^vh_/ {print $3}')
	[ -z "$foreign" ] || complain "names without vh_: $foreign"
	hidden=$(nm -D --defined-only "$build/lib/libvhost.so" | awk '{print $3}' | sort)
	declared=$(grep -ohE '\bvh_[a-z0-9_]+\(' include/vhost/*.h | tr -d '(' | sort -u)
	for s in $hidden; do
		grep -qx "$s" <<<"$declared" || complain "exported but in no public header: $s"
	done
fi

for f in "${code[@]}"; do
	head -1 "$f" | grep -q 'SPDX-License-Identifier: BSD-3-Clause' || complain "no licence: $f"
	case $f in lib/*|cmd/*)
		[ "$(wc -l <"$f")" -le 500 ] || complain "over 500 lines: $f" ;;
	esac
done

mapfile -t scripts < <(git grep -lE '^#!/bin/(ba)?sh' -- ':!*.md')
shellcheck -x -P SCRIPTDIR "${scripts[@]}" || complain "shellcheck"

build=${BUILD:-$PWD/build}/tidy
[ -f "$build/build.ninja" ] || CC=clang meson setup "$build" -Dtests=false >/dev/null || exit 1
# One file a process: with more, the analyzer forgets what va_start() does.
git ls-files 'lib/*.c' 'cmd/*.c' | xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p "$build" 2>/dev/null |
	grep -E 'warning:|error:' && complain "clang-tidy"
exit $bad
