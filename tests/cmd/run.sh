#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The command line as people type it: exit codes, errors that name what was wrong, life
# of sockets, signals, readiness, and JSON.  Each expectation is a sentence that is true.
set -u
source=${VHOST_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
vhost=${VHOST:-$source/build/release/cmd/vhost}
dir=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
run=0 bad=0

# SENTENCE COMMAND...: is it so?
so()
{
	local sentence=$1
	shift
	run=$((run + 1))
	if "$@"; then
		echo "ok $sentence"
	else
		bad=$((bad + 1))
		echo "FAILED $sentence: $*"
		[ ! -s out ] || cat out
	fi
}

# CODE TEXT WORD...: vhost WORD... ends with CODE and says TEXT.
ends()
{
	local code=$1 text=$2 got=0
	shift 2
	timeout 30 "$vhost" "$@" >out 2>&1 </dev/null || got=$?
	[ "$got" -eq "$code" ] && { [ -z "$text" ] || grep -qF -e "$text" out; }
}

# CONDITION...: wait for it, 10 s at the most.
wait_until()
{
	for _ in $(seq 200); do
		! "$@" || return 0
		sleep 0.05
	done
	return 1
}

start() { "$vhost" "$@" >daemon.log 2>&1 </dev/null & daemon=$!; }
# The exit code of the daemon after SIGTERM, or another SIGNAL.
stop() { local code=0; kill "-${1:-TERM}" "$daemon"; wait "$daemon" || code=$?; daemon=; return $code; }
quiet() { "$@" >out 2>&1 </dev/null; }
is() { [ "$1" = "$2" ]; }
group_of() { stat -c '%G' "$1"; }
says() { grep -q -e "$1" daemon.log; }

for test in "$source"/tests/cmd/test_*.sh; do
	# shellcheck source=/dev/null
	. "$test"
	[ -z "$daemon" ] || stop KILL
done
echo "$run expectations, $bad bad"
[ "$bad" -eq 0 ] && [ "$run" -gt 0 ]
