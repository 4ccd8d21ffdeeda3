# shellcheck shell=bash disable=SC2154  # run.sh reads it
# SPDX-License-Identifier: BSD-3-Clause
# What is typed: help, verbs, options, addresses.  An error of usage ends with 2.

so "help is asked for" ends 0 "Usage: vhost" --help
so "without a verb, help is an error" ends 2 "Usage: vhost"
so "the version is told" ends 0 "vhost " --version
so "a verb that is not there is named" ends 2 'no verb is called "nope"' nope
so "an option that is not there is named" ends 2 'there is no option "-x"' -x
for verb in $("$vhost" --help | awk '/^  [a-z]/ {print $1}'); do
	so "$verb has help" ends 0 "Usage: vhost $verb" "$verb" --help
	so "$verb names an option that it has not" ends 2 '"--nope"' "$verb" --nope
	for option in $("$vhost" "$verb" --help | grep -oE -e '--[a-z][a-z-]*' | sort -u); do
		timeout 2 "$vhost" "$verb" "$option" >out 2>&1 </dev/null
		so "$verb knows $option, which its help names" \
			bash -c "! grep -qE 'no option|too much|neither' out"
	done
done

so "serve wants a device" ends 2 "a device is missing" serve
so "serve wants an address" ends 2 "rng needs an ADDRESS" serve rng
so "a device that is not there is named" ends 2 'no device is called "foo"' serve foo unix:a
so "an address without a scheme is named" ends 2 '"a" does not start' serve rng a
so "a socket needs a path" ends 2 'path ""' serve rng unix:
so "a folder that is not there is named" ends 1 "/nonexistent/a" serve rng unix:/nonexistent/a
so "a mode is octal" ends 2 "mode=9" serve rng unix:a,mode=9
so "a group exists" ends 2 "group=no-such-group" serve rng unix:a,group=no-such-group
so "an option of an address is known" ends 2 '"foo"' serve rng unix:a,foo=1
so "so is one of a PCI device's" ends 2 '"foo"' serve rng vfio-user:a,foo=1
so "a PCI device's socket needs a path, too" ends 2 'path ""' serve rng vfio-user:
so "and its folder" ends 1 "/nonexistent/a" serve rng vfio-user:/nonexistent/a
so "an fd is a number" ends 2 "fd:x" serve rng fd:x
so "an fd is a socket" ends 2 "fd:0" serve rng fd:0
so "a key of a device is known" ends 2 "x=1" serve rng unix:a x=1
so "a word behind the address is KEY=VALUE" ends 2 '"x"' serve rng unix:a x
so "a core exists" ends 2 '"99999"' serve rng unix:a --cores 99999
so "cores are in order" ends 2 '"1-0"' serve rng unix:a --cores 1-0
so "a way to poll is known" ends 2 '"foo"' serve rng unix:a --poll foo
so "a control address is a socket" ends 2 '"foo"' serve rng unix:a --control foo
so "a control socket needs a path" ends 2 '"unix:"' serve rng unix:a --control unix:
so "nothing of a failed start is left behind" test ! -e a

so "capabilities are told" ends 0 '"type": "rng"' serve rng --print-capabilities
so "capabilities are told whatever else is typed" \
	ends 0 '"type": "rng"' serve --print-capabilities rng --cores 0 unix:a x=1

so "a port is NAME=ADDRESS" ends 2 "NAME=ADDRESS" switch --port
so "a port has a name" ends 2 "unix:a: must be NAME=ADDRESS" switch --port unix:a
so "a port has queues" ends 2 "queues=0" switch --port a=unix:a,queues=0
so "an option of a port is known" ends 2 '"foo"' switch --port a=unix:a,foo=1
so "a network card is no PCI device, and why" ends 4 "use unix:PATH" switch --port a=vfio-user:a
so "a port's name is its own" ends 1 '"a"' switch --port a=unix:a --port a=unix:b
so "an uplink is no socket" ends 2 "u=unix:a" switch --uplink u=unix:a
so "a port is no interface" ends 2 "u=packet:lo" switch --port u=packet:lo
so "an uplink's interface is there" ends 1 "no-such-if" switch --uplink u=packet:no-such-if
so "a switch takes no other words" ends 2 '"foo"' switch foo

so "a probe needs an address" ends 2 "ADDRESS" probe
so "a probe's address has a scheme" ends 2 '"a"' probe a
so "a probe has one address" ends 2 '"unix:b"' probe unix:a unix:b
so "a bench has a kind" ends 2 "net" bench
so "a kind of bench is known" ends 2 '"foo"' bench foo
so "a bench's address has a scheme" ends 2 '"a"' bench net a b
so "a bench takes two addresses" ends 2 "two addresses" bench net unix:a
so "a key of a bench is known" ends 2 "foo=1" bench net unix:a unix:b foo=1
so "a value of a bench is in its range" ends 2 "size=1" bench net unix:a unix:b size=1
so "a demo has a duration" ends 2 '"0"' demo --seconds 0

so "a disk is called as the conventions call it" \
	ends 0 '"type": "block"' serve blk --print-capabilities
for device in $("$vhost" serve --help | sed -n 's/^  DEVICE  *//p' | tr ',' ' '); do
	so "$device, which help names, is served" ends 0 '"type"' serve "$device" --print-capabilities
done

vvu() { local code=$1 text=$2; shift 2; ends "$code" "$text" vvu --pci vfio-user:p --front unix:f "$@"; }
so "vvu wants a VMM" ends 2 "--pci vfio-user:PATH is missing" vvu --front unix:f
so "vvu wants a front-end" ends 2 "--front" vvu --pci vfio-user:p
so "what a VMM speaks is vfio-user" ends 2 '"unix:p"' vvu --pci unix:p --front unix:f
so "it has a path" ends 2 '"vfio-user:"' vvu --pci vfio-user: --front unix:f
so "a front-end's address has a scheme" ends 2 '"f"' vvu --pci vfio-user:p --front f
so "memory is a file" vvu 2 '"shm"' --memory shm
so "a file of memory is there or has a size" vvu 1 "size=SIZE" --memory file:no-such-file
so "a size of memory is one" vvu 2 "size=x" --memory file:no-such-file,size=x
so "memory fits the window" vvu 2 "memory-2M" --memory "file:$PWD/memory-2M,size=2M" --bar-size 1M
rm -f memory-2M
so "a window is known" vvu 2 '"foo"' --window foo
so "a plugged window has a socket" vvu 2 '"hotplug:"' --window hotplug:
so "there is one window" vvu 2 "one of them" --memory file:m --window hotplug:q
so "a personality is known" vvu 2 '"foo"' --personality foo
so "a profile is known" vvu 2 '"foo"' --profile foo
so "a time to accept is known" vvu 2 '"foo"' --accept foo
so "a kind of doorbell is known" vvu 2 '"foo"' --doorbell foo
so "a BAR's size is a power of two" vvu 2 '"3G"' --bar-size 3G
so "one thread has one CPU" vvu 2 "one CPU" --cores 0,1
so "bar2 has no memory that is mapped, and says why" vvu 4 "only from its beginning on" \
	--profile bar2 --memory "file:$PWD/memory,size=1M"
rm -f memory
so "nor has it polled doorbells" vvu 4 "polled doorbells" --profile bar2 --doorbell poll
so "nothing of a failed start is left behind" test ! -e p -a ! -e f

so "stat wants a control address" ends 2 "CONTROL" stat
so "a control address is unix:PATH" ends 2 '"foo"' stat foo
so "a daemon that is not there is named" ends 1 "unix:nobody" stat unix:nobody
so "ctl wants a command" ends 2 "COMMAND" ctl unix:nobody
so "ctl's address is unix:PATH" ends 2 '"foo"' ctl foo stat
so "ctl names a daemon that is not there" ends 1 "unix:nobody" ctl unix:nobody stat
