#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Installs the library into a folder of its own, builds each example with nothing but
# pkg-config and the installed headers, and has them talk to each other.
set -eu
source=${VHOST_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$dir"' EXIT

if [ -d "${BUILD:-$source/build}/release" ]; then
	build=${BUILD:-$source/build}/release
else
	build=$dir/build
	meson setup "$build" "$source" -Dtests=false >/dev/null
fi
DESTDIR=$dir/root meson install -C "$build" >/dev/null

# What an outside program sees: the installed package and nothing else.
pc=$(find "$dir/root" -name libvhost.pc)
prefix=$dir/root$(sed -n 's/^prefix=//p' "$pc")
export PKG_CONFIG_PATH="${pc%/*}" LD_LIBRARY_PATH
LD_LIBRARY_PATH=$(dirname "$(find "$dir/root" -name 'libvhost.so')")
flags=$(pkg-config --define-variable=prefix="$prefix" --cflags --libs libvhost)

for example in hello-device hello-client; do
	# shellcheck disable=SC2086  # flags are words
	cc -Wall -Wextra -Werror -o "$dir/$example" "$source/examples/$example/$example.c" $flags
	echo "built $example with: $flags"
done
# A static program needs the libraries that libvhost stands on, but not libvhost itself.
libs=$(pkg-config --static --libs libvhost | tr ' ' '\n' | grep -vx -e -lvhost -e '-L.*')
# shellcheck disable=SC2046,SC2086
cc -o "$dir/static" "$source/examples/hello-device/hello-device.c" -I"$prefix/include" \
	"$(find "$dir/root" -name libvhost.a)" $libs -pthread
echo 'int main(void){return 0;}' >"$dir/x.cc"
echo '#include <vhost/vhost.h>' | c++ -x c++ -fsyntax-only -Wall -Werror -I"$prefix/include" - \
	&& echo "the headers are C++ too"

# Management software finds programs by their vhost-user.json.
for json in "$prefix"/share/qemu/vhost-user/*.json; do
	binary=$dir/root$(sed -n 's/.*"binary": "\(.*\)".*/\1/p' "$json")
	type=$(grep '"type"' "$json")
	"$binary" --print-capabilities | grep -qF "${type%,}" ||
		{ echo "$json: $binary is of another type"; exit 1; }
	echo "$binary is found"
done

"$dir/hello-device" "unix:$dir/hello.sock" &
pid=$!
i=0
while [ ! -S "$dir/hello.sock" ] && [ $i -lt 100 ]; do
	sleep 0.05
	i=$((i + 1))
done
out=$("$dir/hello-client" "unix:$dir/hello.sock")
echo "hello-client says: $out"
# "Hello, virtio!" in hex.
case $(echo "$out" | tr -d ' \n') in
*48656c6c6f2c2076697274696f21*) ;;
*) echo "that is not the greeting"; exit 1 ;;
esac
kill "$pid"
wait "$pid"
pid=
[ ! -e "$dir/hello.sock" ] || { echo "the socket was left behind"; exit 1; }
