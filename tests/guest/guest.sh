# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Boots Linux guests on a vhost-user switch and runs commands in them.
#
#	. "$(dirname "$0")/guest.sh"
#	need_guests
#	start_switch --port "a=unix:$LAB_TMP/a" --port "b=unix:$LAB_TMP/b"
#	boot alice "nic=$LAB_TMP/a"
#	boot bob "nic=$LAB_TMP/b,queues=4,csum=off" smp=4
#	address alice 10.0.0.1
#	in_guest alice "ping -c 3 10.0.0.2"
#
# The guests run under QEMU's emulated processor: no speed is expected of them, and every
# wait is long. The switch is "$VHOST switch"; anything that takes the same command line
# will do.
#
#	QEMU		the emulator, qemu-system-x86_64 by default

. "$(dirname "${BASH_SOURCE[0]}")/../lab/lib.sh"

GUEST_DIR=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
QEMU=${QEMU:-qemu-system-x86_64}
BOOT_SECONDS=180
GUEST_COUNT=0
KERNEL_ARGS="console=ttyS0 quiet tsc=reliable no_timer_check mitigations=off nokaslr \
audit=0 cryptomgr.notests 8250.nr_uarts=1 panic=-1"
# Properties of an interface, for boot
NO_SEGMENTS=gso=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off,guest_tso4=off,\
guest_tso6=off,guest_ecn=off,guest_ufo=off
# shellcheck disable=SC2034  # for the scenarios, like MEAN below
NO_OFFLOADS=mrg_rxbuf=off,csum=off,guest_csum=off,$NO_SEGMENTS

# need_new_qemu: one that has vfio-user-pci
need_new_qemu()
{
	need_trixie qemu-system-{x86,common,data}/trixie-backports seabios/trixie-backports
	QEMU=$LAB_ROOT/tests/lab/qemu-of-trixie
}

need_guests()
{
	need "$QEMU" busybox modprobe cpio iperf3 ethtool tc python3 gcc
	need_vhost
	QEMU_MAJOR=$(qemu_major)
	local paths
	paths=$("$GUEST_DIR/image.sh") || fail "the guests' image could not be made"
	{
		read -r KERNEL
		read -r INITRAMFS
	} <<<"$paths"
}

# start_switch ARG...: "vhost switch" until it listens on all its --port sockets
start_switch()
{
	local word
	start switch "$VHOST" switch "$@"
	for word in "$@"; do
		[[ $word =~ ^[A-Za-z0-9_-]+=unix:([^,]+) ]] || continue
		wait_for_socket switch "${BASH_REMATCH[1]}"
	done
}

qemu_major()
{
	"$QEMU" --version | sed -n '1s/.*version \([0-9]*\).*/\1/p'
}

# How this QEMU spells "connect again each second"
reconnect_option()
{
	if [ "$QEMU_MAJOR" -ge 10 ]; then
		echo reconnect-ms=1000
	else
		echo reconnect=1
	fi
}

# QEMU before 8 crashes when a guest uses MSI-X with vhost-user and there is no KVM: it
# takes the irqfds that it never made. Interrupt lines work, also with several queues.
vectors_option()
{
	if [ "$QEMU_MAJOR" -lt 8 ]; then
		echo vectors=0
	else
		echo vectors=$((2 * $1 + 2))
	fi
}

# Appends to ARGS what one interface takes: PATH[,queues=N][,PROPERTY=VALUE]...
nic_args()
{
	local path=${1%%,*} rest="" word n=$2 queues=1
	for word in $(echo "$1" | tr , ' '); do
		case $word in
		"$path") ;;
		queues=*) queues=${word#queues=} ;;
		*) rest+=,$word ;;
		esac
	done
	[ "$queues" = 1 ] || rest+=,mq=on
	rest+=,$(vectors_option "$queues")
	[[ $rest == *,mac=* ]] || rest+=,mac=$(printf '52:54:00:00:%02x:%02x' $GUEST_COUNT "$n")
	ARGS+=(-chardev "socket,id=c$n,path=$path,$(reconnect_option)"
		-netdev "vhost-user,id=n$n,chardev=c$n,queues=$queues"
		-device "virtio-net-pci,netdev=n$n,romfile=$rest")
}

# The same of one disk: PATH[,queues=N][,PROPERTY=VALUE]...; the device's id is dN
disk_args()
{
	local path=${1%%,*} rest="" word n=$2 queues=1
	for word in $(echo "$1" | tr , ' '); do
		case $word in
		"$path") ;;
		queues=*) queues=${word#queues=} ;;
		*) rest+=,$word ;;
		esac
	done
	rest+=,$(vectors_option "$queues")
	ARGS+=(-chardev "socket,id=dc$n,path=$path,$(reconnect_option)"
		-device "vhost-user-blk-pci,id=d$n,chardev=dc$n,num-queues=$queues$rest")
}

# vfio_user_device PATH SLOT: what -device takes, for the function that is served on PATH
vfio_user_device()
{
	printf '{"driver":"vfio-user-pci","addr":"%s","socket":{"type":"unix","path":"%s"}}' \
		"$2" "$1"
}

# Appends to ARGS an IOMMU as vfio in the guest needs it
iommu_args()
{
	MACHINE+=,kernel-irqchip=split
	ARGS+=(-device "intel-iommu,intremap=on,caching-mode=on")
	BOOT_ARGS+=" intel_iommu=on"
}

# boot NAME [nic=...]... [disk=...]... [smp=N] [mem=MEGABYTES] [ram=FILE] [initramfs=FILE]
# [iommu=on] [ANY-QEMU-ARGUMENT]...: starts a guest and does not wait for it. Its console is
# $LAB_TMP/NAME.log. Its memory is in FILE, which is made, or is kept where it is there.
boot()
{
	local name=$1 word nics=0 disks=0 smp=1 mem=256 ram=memory-backend-memfd
	local initramfs=$INITRAMFS MACHINE=q35,hpet=off ARGS=() BOOT_ARGS=$KERNEL_ARGS
	shift
	GUEST_COUNT=$((GUEST_COUNT + 1))
	for word in "$@"; do
		case $word in
		nic=*) nic_args "${word#nic=}" $((nics++)) ;;
		disk=*) disk_args "${word#disk=}" $((disks++)) ;;
		smp=*) smp=${word#smp=} ;;
		mem=*) mem=${word#mem=} ;;
		ram=*) ram=memory-backend-file,mem-path=${word#ram=} ;;
		initramfs=*) initramfs=${word#initramfs=} ;;
		iommu=on) iommu_args ;;
		*) ARGS+=("$word") ;;
		esac
	done
	start "$name" "$QEMU" -nodefaults -no-user-config -display none -serial stdio \
		-M "$MACHINE,memory-backend=m0" -cpu max,la57=off -accel tcg \
		-object "$ram,id=m0,size=${mem}M,share=on" \
		-m "$mem" -smp "$smp" \
		-kernel "$KERNEL" -initrd "$initramfs" -append "$BOOT_ARGS" \
		-chardev "socket,id=qmp,path=$LAB_TMP/$name.qmp,server=on,wait=off" \
		-mon chardev=qmp,mode=control \
		-device virtio-serial-pci \
		-chardev "socket,id=agent,path=$LAB_TMP/$name.agent,server=on,wait=off" \
		-device virtserialport,chardev=agent,name=agent \
		"${ARGS[@]}"
	wait_for_socket "$name" "$LAB_TMP/$name.agent"
}

# in_guest NAME [-t SECONDS] COMMAND...: its output and its exit status
in_guest()
{
	local name=$1 seconds=60
	shift
	if [ "$1" = -t ]; then
		seconds=$2
		shift 2
	fi
	"$GUEST_DIR/run_in_guest.py" "$LAB_TMP/$name.agent" "$seconds" "$@"
}

# in_background NAME COMMAND...: goes on in the guest; its output is in /tmp/background.log
in_background()
{
	local name=$1
	shift
	in_guest "$name" "setsid sh -c $(printf '%q' "$*") </dev/null >/tmp/background.log 2>&1 &"
}

answers_or_died()
{
	has_ended "$1" ||
		timeout 5 "$GUEST_DIR/run_in_guest.py" "$LAB_TMP/$1.agent" 2 true 2>/dev/null
}

# wait_for_guest NAME...: until their agents answer
wait_for_guest()
{
	local name
	for name in "$@"; do
		wait_until $BOOT_SECONDS "guest $name answers" answers_or_died "$name"
		is_alive "$name" || fail "guest $name ended"
	done
}

# boot_id NAME: another one after each boot
boot_id()
{
	in_guest "$1" cat /proc/sys/kernel/random/boot_id
}

# has_new_boot_id NAME OLD
has_new_boot_id()
{
	local id
	id=$(timeout 10 "$GUEST_DIR/run_in_guest.py" "$LAB_TMP/$1.agent" 5 \
		cat /proc/sys/kernel/random/boot_id 2>/dev/null) && [ "$id" != "$2" ]
}

# reboot_by NAME HOW...: and waits for it
reboot_by()
{
	local old
	old=$(boot_id "$1")
	"${@:2}"
	wait_until $BOOT_SECONDS "$1 is up again" has_new_boot_id "$1" "$old"
}

# qmp NAME COMMAND [KEY=VALUE]...: asks the guest's QEMU to do something
qmp()
{
	"$GUEST_DIR/qmp.py" "$LAB_TMP/$1.qmp" "${@:2}" >/dev/null
}

# qmp_get NAME COMMAND KEY: prints one member of the answer
qmp_get()
{
	"$GUEST_DIR/qmp.py" "$LAB_TMP/$1.qmp" "$2" --get "$3"
}

# address NAME ADDRESS [INTERFACE]: in a /24, and up
address()
{
	local dev=${3:-eth0}
	in_guest "$1" "ip addr add $2/24 dev $dev && ip link set $dev up" ||
		fail "guest $1 cannot have address $2 on $dev"
}

# run_at PLACE COMMAND: in a guest, or in a network namespace of this machine (netns:NAME)
run_at()
{
	case $1 in
	netns:*) ip netns exec "${1#netns:}" busybox sh -c "cd $LAB_TMP; $2" ;;
	*) in_guest "$1" -t 150 "cd /tmp; $2" ;;
	esac
}

# can_ping PLACE ADDRESS [COUNT]: all come back, once the first one did
can_ping()
{
	local count=${3:-5}
	run_at "$1" "for i in 1 2 3 4 5 6 7 8 9 10; do ping -q -c 1 -W 2 $2 && break; done" \
		>/dev/null || return 1
	run_at "$1" "ping -q -c $count -i 0.2 -W 5 $2" | tee -a "$LAB_TMP/ping.log" |
		grep -q " $count packets received"
}

reaches()
{
	run_at "$1" "ping -q -c 1 -W 1 $2" >/dev/null
}

# traffic FROM TO ADDRESS [SECONDS] [IPERF-OPTION]...: TCP by iperf3 from one place to
# another, of which ADDRESS is the address; sets MBITS
traffic()
{
	local to=$2 address=$3 seconds=${4:-5} file=$LAB_TMP/iperf.json
	case $to in
	netns:*) start iperf ip netns exec "${to#netns:}" iperf3 -s -1 ;;
	*) in_background "$to" iperf3 -s -1 ;;
	esac
	wait_until 30 "iperf3 listens at $to" run_at "$to" "netstat -lnt | grep -q ':5201 '"
	run_at "$1" "iperf3 -J -c $address -t $seconds ${*:5}" >"$file" || return 1
	MBITS=$(json "$file" "int(d['end']['sum_received']['bits_per_second'] / 1e6)")
	[ "$MBITS" -gt 0 ]
}

# same_contents FROM TO ADDRESS MEGABYTES: random data over TCP arrive unharmed at TO, of
# which ADDRESS is the address. This finds damage that TCP cannot see when both ends left
# checksums to the device. The receiving nc reads a pipe that never ends, since the sending
# one would give up when it is told that nothing comes back.
same_contents()
{
	local sent
	sent=$(run_at "$1" "dd if=/dev/urandom of=data bs=1M count=$4 2>/dev/null
		sha256sum <data") || return 1
	run_at "$2" "rm -f hush sum; mkfifo hush
		(nc -l -p 7000 <>hush | sha256sum >sum.new; mv sum.new sum) >/dev/null 2>&1 &"
	wait_until 30 "nc listens at $2" run_at "$2" "netstat -lnt | grep -q ':7000 '"
	run_at "$1" "nc $3 7000 <data" || return 1
	wait_until 30 "$2 has it all" run_at "$2" "[ -f sum ]"
	[ "$sent" = "$(run_at "$2" "cat sum")" ]
}

# mean_frame PLACE INTERFACE rx|tx COMMAND...: the mean size of the frames that the
# interface counts in that direction while the command runs; sets MEAN
mean_frame()
{
	local counters before after
	counters="cd /sys/class/net/$2/statistics && cat $3_bytes $3_packets"
	mapfile -t before < <(run_at "$1" "$counters")
	"${@:4}" || return 1
	mapfile -t after < <(run_at "$1" "$counters")
	# shellcheck disable=SC2034
	MEAN=$(((after[0] - before[0]) / (after[1] - before[1])))
}

# port_counter PORT KEY: a number that the switch with --control $LAB_TMP/control counts
port_counter()
{
	"$VHOST" ctl "unix:$LAB_TMP/control" port list >"$LAB_TMP/ports.json"
	json "$LAB_TMP/ports.json" "[p['$2'] for p in d['ports'] if p['name'] == '$1'][0]"
}
