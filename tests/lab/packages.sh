#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Makes sure that the Debian packages which a part of the project needs are there.
#
#	tests/lab/packages.sh GROUP...		install what is missing, saying what and why
#	tests/lab/packages.sh --check GROUP...	only say it; exit 1 when something is missing
#	tests/lab/packages.sh --list [GROUP...]	print the table
#
# Groups are the words of the table's first column. Nothing is touched, not even the
# package index, when nothing is missing. Where there is no apt-get the names are printed
# as a hint and the caller goes on: its build or its tests will say what they lack.
#
# The kernel that guests run is not installed: see fetch_kernel in tests/guest/image.sh.

set -eu

# groups, package, why
table()
{
	cat <<'END'
build			gcc			compiles everything
build,guest,interop	libc6-dev		C headers; the static C library for programs in guests
build			linux-libc-dev		the kernel's virtio and TAP headers
build			meson			describes the build
build			ninja-build		runs the build
build,interop		pkg-config		finds libraries
build			libjson-c-dev		writes --json output
build			libnbd-dev		disks on NBD servers
build			liburing-dev		asynchronous I/O of disks
test			libcmocka-dev		unit tests
test			g++			sees that the headers are C++, too
test			groff-base		renders the man pages
guest,test		nbdkit			NBD servers to test against, also faulty ones
guest,test		qemu-utils		qemu-nbd, another NBD server
test			librbd-dev		the interface of Ceph's disks, which a test fakes
test			groff-base		renders the man pages
clang			clang			the second compiler
clang,fuzz		libclang-rt-dev		sanitizers and the fuzzer of clang
fuzz			clang			libFuzzer comes with clang
fuzz,test		llvm			names functions in sanitizer reports
check			clang-format		checks the format
check			clang-tidy		static checks
check			shellcheck		static checks of the scripts
model			spin			explores the models of hand-over and sleep
model			gcc			compiles what spin writes
guest,interop		gcc			compiles the programs that tests run
guest,interop,test	python3			speaks QMP and JSON
guest			qemu-system-x86		runs the guests
guest			busybox-static		the guests' user space
guest			kmod			finds the modules that guests load
guest			cpio			packs the guests' initramfs
guest			xz-utils		unpacks kernels and modules
guest			zstd			unpacks kernels and modules
guest			e2fsprogs		file systems in guests, and their check outside
guest			fio			verified traffic of disks
guest			util-linux		blkdiscard in guests
guest			binutils		finds what a program needs of a library
guest			iperf3			makes traffic
guest			ethtool			shows offloads and counters in guests
guest,test		iproute2		network namespaces and TAP
interop,bench		qemu-system-common	qemu-storage-daemon, a vhost-user-blk back-end
guest,interop		debootstrap		Debian 13 in a folder, for programs that 12 has not
interop,bench		dpdk-dev		testpmd, a back-end and a front-end of vhost-user-net
interop,bench		libdpdk-dev		DPDK's C interface, for our traffic generator
bench			gcc			compiles the generators of traffic and of requests
bench			liburing-dev		requests to a file without virtio
bench			pkg-config		finds DPDK
bench			python3			medians and tables
END
}

say()
{
	printf '%s\n' "packages: $*" >&2
}

in_groups()
{
	for have in $(echo "$1" | tr , ' '); do
		for want in $groups; do
			[ "$have" = "$want" ] && return 0
		done
	done
	return 1
}

# "package<TAB>why" of all rows that belong to the groups asked for, each package once
selected()
{
	table | while read -r row_groups package why; do
		if in_groups "$row_groups"; then
			printf '%s\t%s\n' "$package" "$why"
		fi
	done | awk -F '\t' '!seen[$1]++'
}

is_installed()
{
	status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) || return 1
	case $status in
	*ii*) return 0 ;;
	esac
	return 1
}

missing()
{
	selected | while IFS="$(printf '\t')" read -r package why; do
		is_installed "$package" || printf '%s\t%s\n' "$package" "$why"
	done
}

known_groups()
{
	table | awk '{print $1}' | tr , '\n' | sort -u
}

check_groups()
{
	for group in $groups; do
		if ! known_groups | grep -qx -e "$group"; then
			say "no group '$group'; there are:" "$(known_groups | tr '\n' ' ')"
			exit 2
		fi
	done
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	elif command -v sudo >/dev/null; then
		sudo env DEBIAN_FRONTEND=noninteractive "$@"
	else
		say "neither root nor sudo; as root, type: $*"
		return 1
	fi
}

apt()
{
	as_root apt-get -qq update || say "the package index could not be refreshed, going on"
	as_root apt-get -qq install -y --no-install-recommends \
		-o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@"
}

# What apt and dpkg say is of interest only when they fail
install_packages()
{
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	say "installing them"
	if ! apt "$@" >"$log" 2>&1 </dev/null; then
		tail -n 40 "$log" >&2
		say "they could not be installed: see above"
		return 1
	fi
}

mode=install
case ${1:-} in
--check) mode=check; shift ;;
--list) mode=list; shift ;;
-*) say "unknown option $1"; exit 2 ;;
esac
groups=$*
if [ "$mode" = list ] && [ -z "$groups" ]; then
	groups=$(known_groups)
fi
if [ -z "$groups" ]; then
	say "which group? There are:" "$(known_groups | tr '\n' ' ')"
	exit 2
fi
check_groups

if [ "$mode" = list ]; then
	selected
	exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	say "not a Debian system; on Debian these would be needed:"
	selected | sed 's/^/  /' >&2
	exit 0
fi
lacking=$(missing)
[ -n "$lacking" ] || exit 0
say "missing:"
echo "$lacking" | expand -t 24 | sed 's/^/  /' >&2
[ "$mode" = install ] || exit 1
# shellcheck disable=SC2046  # one word a package is what is wanted
install_packages $(echo "$lacking" | cut -f 1)
