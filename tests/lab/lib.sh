# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the tests that run whole programs share, so that each of them reads as a story:
#
#	. "$(dirname "$0")/../lab/lib.sh"
#	need qemu-storage-daemon
#	start disk qemu-storage-daemon ...
#	wait_for_socket disk "$LAB_TMP/disk.sock"
#	expect "the probe sees a disk" "$VHOST" probe "unix:$LAB_TMP/disk.sock"
#
# A test exits 0 (passed), 1 (failed) or 77 (skipped, saying what is missing). Whatever it
# started, mounted or created is undone at exit, in reverse order, also after a failure or
# a signal; on failure the logs of its programs are shown. Nothing here ends a process
# that it did not start.
#
#	VHOST		the vhost binary; else build/cmd/vhost or build/vhost is looked for
#	LAB_KEEP=1	keep the folder with sockets and logs
#	LAB_QUICK=1	skip what has to be made first in minutes, and is not there yet

set -euo pipefail

LAB_ROOT=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
LAB_NAME=$(basename "$0" .sh)
LAB_TMP=$(mktemp -d "/tmp/vhost-$LAB_NAME.XXXXXX")
declare -A LAB_PID=()
LAB_UNDO=()
LAB_UNIQUE=0

# ---- what a test says ----

step()
{
	printf '%s: %5ss  %s\n' "$LAB_NAME" "$SECONDS" "$*"
}

fail()
{
	step "FAILED: $*"
	exit 1
}

skip()
{
	step "skipped: $*"
	exit 77
}

# expect SENTENCE COMMAND...: the sentence is true when the command succeeds
expect()
{
	local sentence=$1
	shift
	if "$@"; then
		step "ok: $sentence"
	else
		fail "not so: $sentence   (status $? of: $*)"
	fi
}

expect_not()
{
	local sentence=$1
	shift
	if ! "$@"; then
		step "ok: $sentence"
	else
		fail "not so: $sentence   (it worked: $*)"
	fi
}

# expect_equal SENTENCE WANTED FOUND
expect_equal()
{
	[ "$2" = "$3" ] || fail "not so: $1   (wanted '$2', found '$3')"
	step "ok: $1"
}

# ---- undoing ----

# on_exit COMMAND...: commands run at exit, the latest first; their failures are ignored
on_exit()
{
	LAB_UNDO+=("$(printf '%q ' "$@")")
}

show_logs()
{
	local log
	for log in "$LAB_TMP"/*.log; do
		[ -s "$log" ] || continue
		echo "--- the end of $(basename "$log"):"
		tail -n 25 "$log" | cut -c 1-300
	done
}

lab_exit()
{
	local status=$? i
	trap - EXIT
	trap '' INT TERM
	set +e
	case $status in
	0 | 77) ;;
	*) show_logs ;;
	esac
	for ((i = ${#LAB_UNDO[@]} - 1; i >= 0; i--)); do
		eval "${LAB_UNDO[$i]}" >/dev/null 2>&1
	done
	if [ "${LAB_KEEP:-0}" = 1 ]; then
		echo "$LAB_NAME: logs are in $LAB_TMP"
	else
		rm -rf "$LAB_TMP"
	fi
	[ "$status" != 0 ] || step "passed"
	exit "$status"
}
trap lab_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- what a test needs ----

# need PROGRAM...: skips when one is not installed
need()
{
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

need_root()
{
	[ "$(id -u)" = 0 ] || skip "needs root"
}

# Sets VHOST; that it is missing is no reason to skip
need_vhost()
{
	local place
	for place in "${VHOST:-}" "$LAB_ROOT"/build/{cmd/vhost,vhost}; do
		if [ -n "$place" ] && [ -x "$place" ]; then
			VHOST=$(readlink -f "$place")
			return 0
		fi
	done
	fail "there is no vhost binary: build it, or name it in VHOST"
}

# need_trixie PACKAGE...: a Debian 13 with these packages, see trixie.sh
need_trixie()
{
	local status=0
	"$LAB_ROOT/tests/lab/trixie.sh" "$@" >/dev/null 2>"$LAB_TMP/trixie.log" || status=$?
	case $status in
	0) ;;
	77) skip "$(tail -n 1 "$LAB_TMP/trixie.log")" ;;
	*) fail "no Debian 13" ;;
	esac
}

# in_trixie COMMAND...: in it, with the same /tmp, as a process that has the PID of this one
in_trixie()
{
	"$LAB_ROOT/tests/lab/trixie.sh" --run "$@"
}

# unique PREFIX: sets UNIQUE to a name of at most 15 characters that nobody else uses
unique()
{
	LAB_UNIQUE=$((LAB_UNIQUE + 1))
	UNIQUE=${1:0:6}$(($$ % 1000000))-$((LAB_UNIQUE % 10))
}

# ---- programs in the background ----

# start NAME COMMAND...: its output goes to $LAB_TMP/NAME.log; NAME may be started again
start()
{
	local name=$1
	shift
	"$@" </dev/null >>"$LAB_TMP/$name.log" 2>&1 &
	[ -n "${LAB_PID[$name]:-}" ] || on_exit stop "$name"
	LAB_PID[$name]=$!
}

is_alive()
{
	kill -0 "${LAB_PID[$1]}" 2>/dev/null
}

has_ended()
{
	! is_alive "$1"
}

# stop NAME: asks it to end, and insists after ten seconds; returns its exit status
stop()
{
	local pid=${LAB_PID[$1]} status=0 tenths=0
	kill "$pid" 2>/dev/null || true
	while kill -0 "$pid" 2>/dev/null && [ $((tenths++)) -lt 100 ]; do
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || status=$?
	return "$status"
}

# kill_hard NAME: as a crash would
kill_hard()
{
	kill -KILL "${LAB_PID[$1]}"
	wait "${LAB_PID[$1]}" 2>/dev/null || true
}

# wait_until SECONDS SENTENCE COMMAND...: tries again until the command succeeds
wait_until()
{
	local end=$((SECONDS + $1)) sentence=$2
	shift 2
	while ! "$@"; do
		[ "$SECONDS" -lt "$end" ] || fail "it never came that $sentence"
		sleep 0.1
	done
}

# Somebody listens on the path, as seen in the network namespace of process $1
is_listening()
{
	awk -v path="$2" '$4 == "00010000" && $8 == path { found = 1 }
		END { exit !found }' "/proc/$1/net/unix" 2>/dev/null
}

listens_or_died()
{
	has_ended "$1" || is_listening "${LAB_PID[$1]}" "$2"
}

# wait_for_socket NAME PATH [SECONDS]: until the program NAME listens on PATH
wait_for_socket()
{
	wait_until "${3:-30}" "$1 listens on $2" listens_or_died "$1" "$2"
	is_alive "$1" || fail "$1 ended instead of listening on $2"
}

# ---- this machine ----

# make_netns: sets NETNS to the name of a new network namespace whose loopback is up
make_netns()
{
	need ip
	need_root
	unique vht
	NETNS=$UNIQUE
	ip netns add "$NETNS" 2>/dev/null || skip "network namespaces cannot be made here"
	on_exit ip netns del "$NETNS"
	ip -n "$NETNS" link set lo up
}

free_hugepages()
{
	awk '/^HugePages_Free/ { free = $2 } /^HugePages_Rsvd/ { rsvd = $2 }
		END { print free - rsvd }' /proc/meminfo
}

# hugepages MEGABYTES: so much in free 2 MiB pages, until the test ends. Tests that change
# the number take turns, or they would restore each other's.
hugepages()
{
	local knob=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages before lacking
	need_root
	[ -w "$knob" ] || skip "no 2 MiB hugepages here"
	exec {LAB_HUGE_LOCK}>/tmp/vhost-hugepages.lock
	flock "$LAB_HUGE_LOCK"
	before=$(cat "$knob")
	lacking=$(($1 / 2 - $(free_hugepages)))
	[ "$lacking" -gt 0 ] || return 0
	on_exit eval "echo $before >$knob"
	echo $((before + lacking)) >"$knob"
	[ "$(free_hugepages)" -ge $(($1 / 2)) ] || skip "not enough memory for hugepages"
}

# compile NAME SOURCE [FLAG...]: a program for this test, in $LAB_TMP
compile()
{
	local name=$1 source=$2
	shift 2
	need gcc
	gcc -D_GNU_SOURCE -std=gnu17 -O2 -g -Wall -Wextra -o "$LAB_TMP/$name" "$source" "$@"
}

# json FILE EXPRESSION: prints a Python expression over the document, which is called d
json()
{
	python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$1" "$2"
}
