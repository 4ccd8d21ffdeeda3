#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Takes the ELF kernel out of a bzImage:	vmlinux.sh BZIMAGE VMLINUX
#
# An emulated processor is slow at decompressing; QEMU starts the ELF file directly (PVH).
# The place of the payload is in the setup header, whose layout the x86 boot protocol
# fixes: number of real-mode sectors at 0x1f1, payload offset at 0x248 (counted from the
# end of these sectors), its length at 0x24c. All numbers are little-endian. But for gzip,
# the payload ends with four bytes that tell the unpacked size and are no part of the
# compressed stream.

set -eu

image=$1
out=$2

# number OFFSET BYTES
number()
{
	od -An -j "$(($1))" -N "$2" -t "u$2" --endian=little "$image" | tr -d ' '
}

magic()
{
	od -An -j "$1" -N 4 -t x1 "$image" | tr -d ' '
}

if [ "$(magic $((0x202)))" != 48647253 ] || [ "$(number 0x206 2)" -lt $((0x208)) ]; then
	echo "vmlinux: $image is no bzImage with a payload" >&2
	exit 1
fi

sectors=$(number 0x1f1 1)
start=$(((sectors + 1) * 512 + $(number 0x248 4)))
length=$(number 0x24c 4)

case $(magic "$start") in
28b52ffd) unpack="zstd -dcq" trailer=4 ;;
fd377a58) unpack="xz -dc" trailer=4 ;;
1f8b08*) unpack="gzip -dc" trailer=0 ;;
02214c18) unpack="lz4 -dc" trailer=4 ;;
7f454c46) unpack="cat" trailer=0 ;;
*)
	echo "vmlinux: unknown compression, magic $(magic "$start")" >&2
	exit 1
	;;
esac

tail -c +$((start + 1)) "$image" | head -c $((length - trailer)) | $unpack >"$out.part"
if [ "$(od -An -N 4 -t x1 "$out.part" | tr -d ' ')" != 7f454c46 ]; then
	echo "vmlinux: what came out of $image is no ELF file" >&2
	exit 1
fi
mv "$out.part" "$out"
