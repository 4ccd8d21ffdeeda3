#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Makes sure that there is a Debian 13 (trixie) in a folder, for tests against programs
# that this Debian has not, or not new enough, and prints the folder:
#
#	tests/lab/trixie.sh PACKAGE...		with these packages; NAME/trixie-backports for
#						one of the backports
#	tests/lab/trixie.sh --run COMMAND...	runs a command in it
#
# It is made once, in a minute or two, and kept in ${XDG_CACHE_HOME:-~/.cache}/libvhost;
# it comes from the mirror that this machine uses anyway. A command sees this machine's
# /proc, /sys, /dev, /tmp and that cache, so that what is there has the same name inside.
#
# Exits 77, saying why, where it cannot be had; with LAB_QUICK=1 that is so until somebody
# has made it.

set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/libvhost
tree=$cache/trixie
work=

skip()
{
	echo "trixie: $*" >&2
	exit 77
}

# What is mounted in a namespace of its own goes away with the command; its PID is ours
run_in()
{
	local tree=$1
	shift
	# shellcheck disable=SC2016  # the inner shell's variables
	exec unshare --mount sh -ec 'tree=$1 cache=$2; shift 2
		for dir in proc sys dev tmp; do mount --rbind "/$dir" "$tree/$dir"; done
		mkdir -p "$tree$cache"
		mount --bind "$cache" "$tree$cache"
		exec chroot "$tree" "$@"' sh "$tree" "$cache" "$@"
}

inside()
{
	(run_in "$@")
}

# shellcheck disable=SC2016  # apt's own variables
mirror()
{
	apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
		awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }'
}

find_mirror()
{
	local uri
	uri=$(mirror)
	if [ -z "$uri" ]; then
		apt-get -qq update >&2 || true
		uri=$(mirror)
	fi
	[ -n "$uri" ] || skip "no mirror of Debian is among the sources of apt"
	echo "$uri"
}

# configure_apt TREE URI: as on this machine, but for the release; no service is started
configure_apt()
{
	local suite
	cp -r /etc/apt/apt.conf.d "$1/etc/apt/"
	cp /etc/resolv.conf "$1/etc/resolv.conf"
	for suite in trixie trixie-backports; do
		echo "deb $2 $suite main"
	done >"$1/etc/apt/sources.list"
	printf 'exit 101\n' >"$1/usr/sbin/policy-rc.d"
	chmod +x "$1/usr/sbin/policy-rc.d"
}

make_tree()
{
	local new uri
	command -v debootstrap >/dev/null || skip "debootstrap is not installed"
	uri=$(find_mirror)
	echo "trixie: unpacking Debian 13 into $tree" >&2
	new=$(mktemp -d "$cache/.trixie.XXXXXX")
	work=$new
	chmod 755 "$new"
	debootstrap --variant=minbase trixie "$new" "$uri" >"$cache/trixie.log" 2>&1 ||
		skip "debootstrap failed: $(tail -n 1 "$cache/trixie.log")"
	configure_apt "$new" "$uri"
	inside "$new" apt-get -qq update >"$cache/trixie.log" 2>&1 ||
		skip "no package index: $(tail -n 1 "$cache/trixie.log")"
	mv -T "$new" "$tree"
	work=
}

is_installed()
{
	[ "$(dpkg-query --admindir="$tree/var/lib/dpkg" -W -f '${db:Status-Status}' \
		"${1%%/*}" 2>/dev/null)" = installed ]
}

install_packages()
{
	local package missing=()
	for package in "$@"; do
		is_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "trixie: installing ${missing[*]}" >&2
	inside "$tree" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
		--no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" \
		>"$cache/trixie.log" 2>&1 </dev/null ||
		skip "packages could not be installed: $(tail -n 1 "$cache/trixie.log")"
}

[ $# -gt 0 ] || { sed -n '3,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ "$(id -u)" = 0 ] || skip "needs root"
unshare --mount true 2>/dev/null || skip "mount namespaces cannot be made here"
if [ "$1" = --run ]; then
	shift
	[ -d "$tree" ] || skip "there is none yet: name the packages first"
	run_in "$tree" "$@"
fi
mkdir -p "$cache"
exec {lock}>"$cache/trixie.lock" # tests that need it take turns in making it
flock "$lock"
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
[ -d "$tree" ] || [ "${LAB_QUICK:-0}" = 0 ] || skip "there is no Debian 13 yet: ./test.sh all makes it"
[ -d "$tree" ] || make_tree
install_packages "$@"
echo "$tree"
