#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# "vhost probe" at back-ends that are at fault: it ends in time, with status 3 and nothing
# on its output, and says what was wrong. All at once, since some of them take the time-out.

. "$(dirname "$0")/../lab/lib.sh"

here=$(dirname "$0")
need python3
need_vhost

# deed, exit status, what the log says
table()
{
	cat <<'END'
absent		3 waiting for somebody to listen on .*: No such file or directory
stale		3 waiting for somebody to listen on .*: Connection refused
hang		3 did not answer GET_FEATURES within 5000 ms
hang_later	3 did not answer GET_PROTOCOL_FEATURES within 5000 ms
half_answer	3 did not answer GET_FEATURES within 5000 ms
close		3 no back-end ready to talk within 5000 ms: it hangs up at once
close_later	3 hung up instead of answering GET_PROTOCOL_FEATURES
refuse		3 SET_FEATURES: the back-end refuses a request
garbage		3 a protocol version other than 1
another_answer	3 a reply to another request
short_answer	3 GET_FEATURES: the wrong size
huge_answer	3 a payload larger than any message has
close_at_config	3 hung up instead of answering GET_CONFIG
answer_twice	3 GET_FEATURES: a reply to another request
END
}

# A socket that nobody listens on any more
make_stale()
{
	python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$1"
}

begin()
{
	local deed=$1 path=$LAB_TMP/$1.sock
	case $deed in
	absent) return ;;
	stale) make_stale "$path" ;;
	*)
		start "peer-$deed" "$here/bad_peer.py" "$deed" "$path"
		wait_for_socket "peer-$deed" "$path"
		;;
	esac
}

probe()
{
	local path=$LAB_TMP/$1 status=0
	timeout 20 "$VHOST" probe "unix:$path.sock" >"$path.out" 2>"$path.log" || status=$?
	echo "$status" >"$path.status"
}

says_once()
{
	[ "$(grep -c -e "$1" "$2")" = 1 ]
}

probes=()
while read -r deed _ <&3; do
	begin "$deed"
	probe "$deed" &
	probes+=($!)
done 3< <(table)
wait "${probes[@]}"

while read -r deed status message <&3; do
	expect_equal "$deed: its status is $status" "$status" "$(cat "$LAB_TMP/$deed.status")"
	expect_equal "$deed: nothing is printed" "" "$(cat "$LAB_TMP/$deed.out")"
	expect "$deed: it is said once: $message" says_once "$message" "$LAB_TMP/$deed.log"
done 3< <(table)

# What is wrong with the command line is nobody else's fault.
for address in unix: nonsense unix:/tmp/x,flavour=sweet "unix:/tmp/$(printf 'x%.0s' {1..120})"; do
	status=0
	"$VHOST" probe "$address" 2>>"$LAB_TMP/usage.log" || status=$?
	expect_equal "${address:0:30} is a usage error" 2 "$status"
done
