# shellcheck shell=bash disable=SC2154  # run.sh reads it
# SPDX-License-Identifier: BSD-3-Clause
# The table of vhost stat: aligned, in place on a terminal, plain lines elsewhere.

# WORD...: what vhost stat WORD... says within $1 seconds, on a terminal of $2 or a pipe.
on_a_terminal() { timeout "$1" script -qec "$vhost stat unix:ctl ${*:2}" /dev/null </dev/null >out 2>&1; [ -s out ]; }
on_a_pipe() { timeout "$1" "$vhost" stat unix:ctl "${@:2}" </dev/null 2>&1 | cat >out; [ -s out ]; }

lines_with() { [ "$(grep -c -e "$1" out)" -eq "$2" ]; }
lines_are_equally_long() { [ "$(awk '{print length}' out | sort -u | wc -l)" -eq 1 ]; }

start switch --port a=unix:a --port a-long-name=unix:b --port c=unix:c --control unix:ctl
wait_until test -S ctl
so "once is one table" on_a_pipe 10 --once
so "it has a line a port" lines_with "vhost" 3
so "its columns are aligned" lines_are_equally_long
so "rates are not known yet" lines_with " - " 3
timeout 30 "$vhost" bench net unix:a unix:c size=64 >bench.log 2>&1 </dev/null
on_a_pipe 10 --once
so "big counts have units" lines_with "^a .* [0-9.]*[kM] " 1
so "live, lines follow lines" on_a_pipe 2.5
so "titles come once" lines_with "^PORT" 1
so "without sequences of a terminal" bash -c "! grep -q $'\\033' out"
so "on a terminal it is live, too" on_a_terminal 2.5
so "it stays in place" bash -c "grep -q $'\\033\\\\[H\\033\\\\[J' out"
on_a_terminal 10 --once
so "once clears no terminal" bash -c "! grep -q $'\\033' out"
stop
so "a daemon that is gone is no success" ends 1 "unix:ctl" stat unix:ctl --once
