#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ./test.sh             what fits in about 12 minutes on two cores
# ./test.sh all         both compilers, TSan, format and tidy, every guest scenario
# ./test.sh long        fuzzing (FUZZ_SECONDS a target, default 300), endurance, and KILLS
#                       (20) of the daemon of a guest's disk
# ./test.sh NAME...     single suites: unit pair model replay tsan clang examples docs
#                       cmd check interop guest guests fuzz endurance kills
#
# Installs the Debian packages that a suite needs, says what it skips and why, and ends
# with a line that counts.
set -u
cd "$(dirname "$0")" || exit 1
export VHOST_SOURCE=$PWD
BUILD=${BUILD:-$PWD/build}
export VHOST=$BUILD/release/cmd/vhost
export VHOST_APPLIANCE=$BUILD/appliance/cmd/vhost
export LAB_QUICK=1 # "all" has the minutes to unpack another Debian
LOGS=$BUILD/logs
passed=0 failed=0 skipped=0

say() { printf '\n== %s\n' "$*"; }

count()
{
	case $2 in
	0) passed=$((passed + 1)); printf 'ok    %s (%ss)\n' "$1" "$3" ;;
	77) skipped=$((skipped + 1)); printf 'skip  %s: %s\n' "$1" "$(tail -n 1 "$4")" ;;
	*) failed=$((failed + 1)); printf 'FAIL  %s (status %s)\n' "$1" "$2"; tail -n 60 "$4" ;;
	esac
}

# NAME COMMAND...: one thing that passes, fails or is skipped (77).
try()
{
	local name=$1 log start status=0
	shift
	mkdir -p "$LOGS"
	log=$LOGS/$(echo "$name" | tr '/ ' '__').log
	start=$SECONDS
	"$@" >"$log" 2>&1 </dev/null || status=$?
	count "$name" "$status" "$((SECONDS - start))" "$log"
}

# NAME OPTION...: a build folder of that name.
configure()
{
	local dir=$BUILD/$1
	shift
	[ -f "$dir/build.ninja" ] || meson setup "$dir" -Dwerror=true "$@"
}

build() { configure "$@" && ninja -C "$BUILD/$1"; }

# Meson's own tests, one line each.
meson_suite()
{
	local dir=$1 name status seconds
	shift
	meson test -C "$BUILD/$dir" --no-rebuild --print-errorlogs -t 3 "$1" "$2" \
		>"$LOGS/$dir-$2.log" 2>&1 </dev/null
	# A busy machine is no bug: three times the usual time.  " 3/31 libvhost:unit / base/log  OK  0.02s"
	while read -r name status seconds; do
		case $status in
		OK) count "$dir $name" 0 "${seconds%s}" /dev/null ;;
		SKIP) count "$dir $name" 77 0 "$LOGS/$dir-$2.log" ;;
		*) count "$dir $name" 1 0 "$LOGS/$dir-$2.log" ;;
		esac
	done < <(awk '$1 ~ /^[0-9]+\/[0-9]+$/ && $3 == "/" {print $4, $5, $6}' "$LOGS/$dir-$2.log")
}

asan=("-Db_sanitize=address,undefined" -Db_lundef=false --buildtype=debugoptimized)

need() { tests/lab/packages.sh "$@"; }

release() { try "build: gcc, release" build release --buildtype=release -Dtests=false; }

appliance() { try "build: static, for an initramfs" build appliance -Dappliance=true; }

suite_unit()
{
	need build test
	try "build: gcc, ASan and UBSan" build asan "${asan[@]}"
	meson_suite asan --suite unit
	meson_suite asan --suite pair
	meson_suite asan --suite model
}
suite_pair() { need build test; try "build: gcc, ASan and UBSan" build asan "${asan[@]}"; meson_suite asan --suite pair; }
suite_model()
{
	need build test model
	try "model: sleep and wake" tests/model/run.sh
}
suite_clang()
{
	need build test clang
	try "build: clang, ASan and UBSan" env CC=clang bash -c "$(declare -f configure build); BUILD=$BUILD; build clang ${asan[*]}"
	meson_suite clang --suite unit
	meson_suite clang --suite pair
}
suite_tsan()
{
	need build test
	try "build: gcc, TSan" build tsan -Db_sanitize=thread -Db_lundef=false --buildtype=debugoptimized
	meson_suite tsan --suite unit
	meson_suite tsan --suite pair
}
suite_examples() { need build test; release; try "examples against the installed package" tests/examples/run.sh; }
suite_docs() { need build test; release; try "every command in the documents" tests/docs/run.sh; }
suite_cmd() { need build test; release; appliance; try "the command line" tests/cmd/run.sh; }
suite_check() { need build check; try "format, tidy and layering" tests/check/run.sh; }
suite_demo() { need build; release; try "demo" "$VHOST" demo --seconds 3; }
suite_interop()
{
	need build interop
	release
	for t in tests/interop/*.sh; do
		try "interop: $(basename "$t" .sh)" "$t"
	done
}
suite_guest()
{
	need build guest
	release
	try "guest: ping_and_iperf" tests/guest/ping_and_iperf.sh
	try "guest: blk" tests/guest/blk.sh
	appliance
	try "guest: vvu_blk" tests/guest/vvu_blk.sh
}
suite_guests()
{
	need build guest
	release
	appliance
	for t in offloads multiqueue reboot switch_killed port_add_del tap_uplink packet_uplink \
		vlan migration blk_life blk_boot blk_nbd \
		vfio_user_blk vfio_user_iommu vfio_user_rng vvu_blk_life vvu_switch vvu_windows vvu_shm; do
		try "guest: $t" "tests/guest/$t.sh"
	done
	try "guest: blk_killed, 3 times" tests/guest/blk_killed.sh 3
}
suite_fuzz() { need build fuzz; try "fuzz" tests/fuzz/run.sh "${FUZZ_SECONDS:-300}"; }
suite_endurance() { need build; release; try "endurance" "$VHOST" demo --seconds "${ENDURANCE_SECONDS:-600}"; }
suite_kills()
{
	need build test guest
	release
	try "build: gcc, ASan and UBSan" build asan "${asan[@]}"
	try "a disk is killed 200 times" env VHOST_KILLS=200 "$BUILD/asan/tests/test-dev-blk-killed"
	try "guest: blk_killed" tests/guest/blk_killed.sh "${KILLS:-20}"
}

short=(unit model demo cmd examples docs guest)
[ -z "$(ls tests/interop/*.sh 2>/dev/null)" ] || short+=(interop)
suites=("$@")
[ $# -gt 0 ] || suites=("${short[@]}")
case ${1:-} in
all) LAB_QUICK=0; suites=("${short[@]}" clang tsan check guests) ;;
long) suites=(fuzz endurance kills) ;;
esac

mkdir -p "$LOGS"
for s in "${suites[@]}"; do
	declare -F "suite_$s" >/dev/null || 
		{ echo "test.sh: there is no suite \"$s\"; there are:" \
			"$(declare -F | sed -n 's/^declare -f suite_//p' | xargs) all long" >&2; exit 2; }
	say "$s"
	"suite_$s"
done
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
