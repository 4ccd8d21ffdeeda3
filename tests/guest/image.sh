#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Makes what a test guest boots from, and prints two paths: kernel (ELF) and initramfs.
#
# Everything is made once and kept in ${XDG_CACHE_HOME:-~/.cache}/libvhost. The kernel is
# Debian's, downloaded and unpacked but never installed. The initramfs is rebuilt when
# anything it is made of changes; it is not compressed, since an emulated processor would
# spend seconds on that.
#
# GUEST_IMAGE	name of the image, so that images for different needs live side by side
# GUEST_MODULES	kernel modules to load at boot (their dependencies are found here)
# GUEST_PROGRAMS	programs of this machine to take along, with their libraries
# GUEST_STUBS	libraries of theirs that no test gets to use: names only, no code
#
# Each C file of this folder becomes a program in the guest's /bin.

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/libvhost
image_name=${GUEST_IMAGE:-net}
modules=${GUEST_MODULES:-virtio_net 8021q}
programs=${GUEST_PROGRAMS:-iperf3 ethtool tc}
stubs=${GUEST_STUBS:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die()
{
	echo "image: $*" >&2
	exit 1
}

# The newest kernel package that the package index knows, 6.12 before 6.1
kernel_package()
{
	local series found
	for series in '6\.12' '6\.1'; do
		found=$(apt-cache search --names-only \
			"^linux-image-$series\\..*-cloud-amd64(-unsigned)?\$" |
			cut -d ' ' -f 1 | sort -V | tail -1)
		[ -z "$found" ] || break
	done
	echo "$found"
}

find_kernel_package()
{
	local package
	package=$(kernel_package)
	if [ -z "$package" ]; then
		apt-get -qq update >&2 || true
		package=$(kernel_package)
	fi
	[ -n "$package" ] || die "no kernel for guests in the package index"
	echo "$package"
}

# Leaves vmlinux, modules/ (with modprobe's index) and release in the folder $1
unpack_kernel()
{
	local tree=$work/tree package release
	package=$(find_kernel_package)
	echo "image: fetching $package for the guests" >&2
	(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$package" >&2)
	dpkg -x "$work/$package"_*.deb "$tree"
	release=$(basename "$tree"/lib/modules/*)
	depmod -b "$tree" "$release"
	mkdir -p "$1/lib"
	sh "$here/vmlinux.sh" "$tree/boot/vmlinuz-$release" "$1/vmlinux"
	mv "$tree/lib/modules" "$1/lib/modules"
	echo "$release" >"$1/release"
}

# Two tests may come here at once: each builds its own, the first rename wins
fetch_kernel()
{
	local new
	[ ! -f "$cache/kernel/release" ] || return 0
	mkdir -p "$cache"
	new=$(mktemp -d "$cache/.kernel.XXXXXX")
	unpack_kernel "$new"
	chmod 755 "$new"
	mv -T "$new" "$cache/kernel" 2>/dev/null || rm -rf "$new"
	[ -f "$cache/kernel/release" ] || die "$cache/kernel is in the way: remove it"
}

# The files of the modules asked for and of those they need, in the order of loading
module_files()
{
	local module
	for module in $modules; do
		modprobe -d "$cache/kernel" -S "$release" --show-depends "$module" ||
			die "no module $module in kernel $release"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

add_modules()
{
	local file name
	mkdir -p "$1/lib/modules"
	: >"$1/lib/modules/order"
	for file in $(module_files); do
		name=$(basename "$file")
		name=${name%.xz}
		name=${name%.zst}
		case $file in
		*.xz) xz -dc "$file" ;;
		*.zst) zstd -dcq "$file" ;;
		*) cat "$file" ;;
		esac >"$1/lib/modules/$name"
		echo "$name" >>"$1/lib/modules/order"
	done
}

# The paths of the libraries of program $1, and of theirs
libraries_of()
{
	ldd "$1" 2>/dev/null | sed -n 's/^\t\(.* => \)\?\(\/[^ ]*\) (.*/\2/p'
}

# A linker's version script for names like nbd_close@LIBNBD_1.0, one a line
version_script()
{
	awk -F @ 'NF > 1 { names[$2] = names[$2] $1 "; " }
		END { for (v in names) { print v " { " names[v] "};"; n++ } if (!n) print "{ *; };" }'
}

# A library in $work/stubs in place of $2, with the functions that program $1 has of it.
# Debian's fio is linked to 80 MB of network storage: that would take seconds at each run.
make_stub()
{
	local name
	name=$(basename "$2")
	comm -12 <(nm -D --undefined-only "$1" | awk '{ print $NF }' | sort -u) \
		<(nm -D --defined-only "$2" | awk '{ sub(/@@/, "@", $NF); print $NF }' |
			sort -u) >"$work/names"
	version_script <"$work/names" >"$work/versions"
	sed 's/@.*//; s/.*/void &(void) { __builtin_trap(); }/' "$work/names" |
		gcc -shared -fPIC -nostdlib -w "-Wl,-soname,$name,--version-script=$work/versions" \
			-o "$work/stubs/$name" -x c -
}

make_stubs()
{
	local library
	mkdir -p "$work/stubs"
	for library in $(libraries_of "$1"); do
		[[ " $stubs " != *" $(basename "$library") "* ]] || make_stub "$1" "$library"
	done
}

add_program()
{
	local path library
	path=$(command -v "$2") || die "$2 is not installed"
	cp -L "$path" "$1/usr/bin/"
	make_stubs "$path"
	for library in $(LD_LIBRARY_PATH=$work/stubs libraries_of "$path"); do
		case $library in
		"$work"/*)
			mkdir -p "$1/usr/lib"
			cp "$library" "$1/usr/lib/"
			;;
		*)
			mkdir -p "$1$(dirname "$library")"
			cp -L "$library" "$1$library"
			;;
		esac
	done
}

compile_program()
{
	gcc -D_GNU_SOURCE -std=gnu17 -O2 -Wall -Wextra -static -pthread \
		-o "$1/bin/$(basename "$2" .c)" "$2"
}

fill_root()
{
	local root=$1 program source
	mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,dev,proc,sys,tmp,etc}
	cp "$(command -v busybox)" "$root/bin/busybox"
	ln -s busybox "$root/bin/sh"
	printf '%s\n' root:x:0:0::/:/bin/sh vhost:x:1000:1000::/tmp:/bin/sh >"$root/etc/passwd"
	printf '%s\n' root:x:0: vhost:x:1000: >"$root/etc/group"
	cp "$here/init" "$root/init"
	chmod 755 "$root/init"
	add_modules "$root"
	for program in $programs; do
		add_program "$root" "$program"
	done
	for source in "$here"/*.c; do
		compile_program "$root" "$source"
	done
}

# What the image is made of, as one word
fingerprint()
{
	{
		cat "$here/image.sh" "$here/init" "$here"/*.c
		echo "$release $modules $programs $stubs"
		# shellcheck disable=SC2046,SC2086  # one word a program
		cksum $(command -v busybox $programs)
	} | sha256sum | cut -c 1-16
}

build_initramfs()
{
	local new
	new=$(mktemp "$cache/.initramfs.XXXXXX")
	fill_root "$work/root"
	(cd "$work/root" && find . | cpio --quiet -o -H newc -R 0:0) >"$new"
	chmod 644 "$new"
	# Another test may be about to boot from one of the others.
	find "$cache" -name "guest-$image_name-*.cpio" -mmin +60 -delete
	mv "$new" "$1"
}

fetch_kernel
release=$(cat "$cache/kernel/release")
initramfs=$cache/guest-$image_name-$(fingerprint).cpio
[ -f "$initramfs" ] || build_initramfs "$initramfs"
touch "$initramfs"
echo "$cache/kernel/vmlinux"
echo "$initramfs"
