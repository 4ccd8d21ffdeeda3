# shellcheck shell=bash disable=SC2154  # run.sh reads it
# SPDX-License-Identifier: BSD-3-Clause
# Daemons: their sockets, signals and readiness.

# Listen at NOTIFY_SOCKET and write what comes, a line a datagram, to the file notified.
listen_for_readiness()
{
	python3 - "$1" <<'END' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace("@", "\0", 1))
s.settimeout(20)
with open("notified", "w") as f:
    while True:
        word = s.recv(100).decode()
        print(word, file=f, flush=True)
        if word == "STOPPING=1":
            break
END
	listener=$!
}

# A connection to the socket $1 that stays until the file $2 is there; the file $1.eof
# says that it was closed from the other side.
hold_connection()
{
	python3 - "$1" "$2" <<'END' &
import os, select, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
open(sys.argv[1] + ".held", "w")
end = time.time() + 20
while time.time() < end and not os.path.exists(sys.argv[2]):
    if select.select([s], [], [], 0.05)[0] and not s.recv(1):
        open(sys.argv[1] + ".eof", "w")
        break
END
}

mode_of() { stat -c '%a' "$1"; }
lines_are() { [ "$(cat "$1")" = "$(printf '%s\n' "${@:2}")" ]; }

# Sockets
start serve rng "unix:a,mode=0640,group=$(id -gn)" -- rng unix:b,,c --control unix:ctl
so "a device's socket is made" wait_until test -S a
so "a comma in a path is typed twice" wait_until test -S b,c
so "a control socket is made" wait_until test -S ctl
so "mode= is the socket's mode" is "$(mode_of a)" 640
so "group= is the socket's group" is "$(group_of a)" "$(id -gn)"
so "a control socket is its owner's alone" is "$(mode_of ctl)" 600
so "a socket in use is not taken away" ends 1 "a" serve rng unix:a
so "the one who has it serves on" ends 0 "device" probe unix:a
so "a control socket in use is not taken away" ends 1 "listens on ctl already" serve rng unix:d --control unix:ctl
so "its daemon answers on" ends 0 '"devices"' ctl unix:ctl device list
hold_connection a released
so "a connection is taken" wait_until test -e a.held
hold_connection a released
so "a second one is closed" wait_until test -e a.eof
so "and the log says so" wait_until says "rng0.*second\|rng0.*already\|rng0.*busy"
touch released
so "a device that is not there is named" ends 1 '"x"' ctl unix:ctl device del x
so "a command that is not there is told which there are" ends 1 "device list" ctl unix:ctl nope
so "a device goes" ends 0 "" ctl unix:ctl device del rng1
so "and its socket with it" test ! -e b,c
so "SIGHUP ends no daemon" bash -c "kill -HUP $daemon; exec '$vhost' probe unix:a >out"
so "SIGTERM ends it with 0" stop
so "nothing is left behind" bash -c '! ls a ctl 2>/dev/null'

start serve rng unix:a --control unix:ctl
so "a daemon starts" wait_until test -S ctl
stop KILL 2>/dev/null
so "a killed daemon leaves its sockets" test -S a
start serve rng unix:a --control unix:ctl
so "a stale socket is taken over" wait_until quiet "$vhost" -q probe unix:a
so "a stale control socket, too" wait_until quiet "$vhost" stat unix:ctl --once
rm ctl
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("ctl")'
so "SIGINT ends it with 0" stop INT
so "a control socket that is another's by now stays" test -S ctl
rm ctl
touch file
so "a file is not taken for a stale socket" ends 1 "file exists and is not a socket" serve rng unix:file
so "nor for a stale control socket" ends 1 "file exists and is not a socket" serve rng unix:a --control unix:file
so "it is still there" test -f file

# A PCI device
start serve rng "vfio-user:a,mode=0640" --control unix:ctl
wait_until test -S ctl
so "a PCI device has a socket" test -S a
so "with the mode that was asked for" is "$(mode_of a)" 640
so "another one comes" ends 0 "" ctl unix:ctl device add blk vfio-user:b memory=1M
so "it has a socket" test -S b
so "it is listed with its address" ends 0 '"vfio-user:b"' ctl unix:ctl device list
so "without a VMM it is not up" ends 0 '"connected": false' ctl unix:ctl device list
so "its disk may grow" ends 0 "" ctl unix:ctl device resize blk1
hold_connection b let_go
so "a VMM is there" wait_until test -e b.held
so "it goes" ends 0 "" ctl unix:ctl device del blk1
so "so does the VMM's connection" wait_until test -e b.eof
so "and the socket" test ! -e b
touch let_go
so "SIGTERM ends it, too" stop
so "and takes the socket away" test ! -e a

# Errors of a command go to whoever sent it
start switch --port a=unix:a --control unix:ctl
wait_until test -S ctl
so "an option of a port that is not there is named" ends 1 '"foo"' ctl unix:ctl port add b=unix:b,foo=1
so "a number of queues is named" ends 1 "queues=0" ctl unix:ctl port add b=unix:b,queues=0
so "a name that is taken is named" ends 1 'port "a"' ctl unix:ctl port add a=unix:b
so "a folder that is not there is named" ends 1 "/nonexistent/b" ctl unix:ctl port add b=unix:/nonexistent/b
asked() { python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect("ctl"); s.sendall(sys.argv[1].encode() + b"\n")
print(s.recv(4000).decode())' "$1" >out && grep -qF "$2" out; }
so "what is no JSON is told so" asked "nonsense" "not a JSON object"
so "a command has words" asked '{"command": []}' "1 to 64 words"
so "an error is told once" ends 1 'no port is called "x"' ctl unix:ctl port del x
stop

# A disk that grows
truncate -s 1M disk
start serve blk unix:a file=disk -- rng unix:b --control unix:ctl
wait_until test -S ctl
# Capacity in sectors is what config space begins with.
capacity_is() { [ "$("$vhost" probe unix:a --json 2>out | grep -o '"config":"[0-9a-f]\{8\}')" = "\"config\":\"$1" ]; }
so "a disk has the size of its file" wait_until capacity_is 00080000
truncate -s 2M disk
kill -HUP "$daemon"
so "after SIGHUP it has the size that its file has now" wait_until capacity_is 00100000
truncate -s 3M disk
so "it can be told to look, too" ends 0 "" ctl unix:ctl device resize blk0
so "and has that size" wait_until capacity_is 00180000
so "what has no size is told so" ends 1 "rng1 has no size" ctl unix:ctl device resize rng1
so "a device comes" ends 0 "" ctl unix:ctl device add blk unix:c memory=1M serial=third
so "it is served" ends 0 "blk" probe unix:c
so "one that is not there is named" ends 1 '"foo"' ctl unix:ctl device add foo unix:d
so "so is an address that is missing" ends 1 "rng needs an ADDRESS" ctl unix:ctl device add rng
so "so is a key" ends 1 "x=1" ctl unix:ctl device add rng unix:d x=1
so "nothing is left of those" test ! -e d
so "a device without a size has nothing to say against it" stop
rm disk

# Readiness
for address in "$dir/notify" "@$dir/notify"; do
	listen_for_readiness "$address"
	wait_until test -e notified
	NOTIFY_SOCKET=$address "$vhost" serve rng unix:a >daemon.log 2>&1 & daemon=$!
	so "readiness is told at $address" wait_until grep -qs READY=1 notified
	so "by then the socket is there" test -S a
	stop
	wait "$listener"
	so "the end is told, too" lines_are notified READY=1 STOPPING=1
	rm -f notified notify
done
so "nobody who waits is no error" \
	quiet env NOTIFY_SOCKET="$dir/none" timeout 30 "$vhost" demo --seconds 1 --json

# Programs of the vhost-user conventions
ln -sf "$(realpath "$vhost")" vhost-user-rng
ln -sf "$(realpath "$vhost")" vhost-user-blk
program_ends() { local code=0; timeout 20 ./vhost-user-rng "${@:3}" >out 2>&1 </dev/null || code=$?
	[ "$code" -eq "$1" ] && grep -qF -e "$2" out; }
so "a program tells its capabilities" program_ends 0 '"type": "rng"' --fd=99 --print-capabilities
so "a program has help" program_ends 0 "--socket-path" --help
so "a program needs a socket" program_ends 2 "--socket-path"
so "a program's option is known" program_ends 2 '"--nope"' --socket-path=a --nope
so "a program takes one socket" program_ends 2 "--fd" --socket-path=a --fd=3
./vhost-user-rng --socket-path=p,q >daemon.log 2>&1 & daemon=$!
so "a program serves" wait_until quiet "$vhost" -q probe unix:p,,q
so "a program ends cleanly" stop
so "and leaves nothing" test ! -e p,q

truncate -s 1M disk,1
./vhost-user-blk --socket-path=blk --blk-file=disk,1 --read-only >daemon.log 2>&1 & daemon=$!
so "a program's options are keys of its device" wait_until quiet "$vhost" -q probe unix:blk
so "a disk is read-only, as was said" grep -qw RO out
stop

# A socket that was handed over
serve_once()
{
	timeout 20 python3 - "$@" >out 2>&1 <<'END'
import socket, subprocess, sys
ours, theirs = socket.socketpair()
args = [a.replace("FD", str(theirs.fileno())) for a in sys.argv[1:]]
p = subprocess.Popen(args, pass_fds=[theirs.fileno()])
theirs.close()
ours.close()
sys.exit(p.wait())
END
}
so "a daemon ends with the peer of its only socket" serve_once "$vhost" -v serve rng fd:FD
so "and says why" grep -q "no front-end can come any more" out
so "a switch ends with the peer of its only socket" serve_once "$vhost" -v switch --port p=fd:FD
