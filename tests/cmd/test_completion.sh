# shellcheck shell=bash disable=SC2154  # run.sh reads it
# SPDX-License-Identifier: BSD-3-Clause
# Completion offers what the verbs have, and what they will have.

# shellcheck source=completion/vhost.bash
. "$source/completion/vhost.bash"

# TEXT: what is offered behind it, as sorted words.
offered()
{
	COMP_LINE=$1 COMP_POINT=${#1}
	COMP_LINE=${COMP_LINE/#vhost/$vhost} COMP_POINT=$((COMP_POINT + ${#vhost} - 5))
	_vhost 2>out
	printf '%s\n' "${COMPREPLY[@]}" | sort | xargs
}

completes() { [ "$(offered "$1")" = "$2" ] || { echo "\"$1\": $(offered "$1")" >out; false; }; }

verbs=$("$vhost" --help | awk '/^  [a-z]/ {print $1}' | sort | xargs)
so "all verbs are offered" completes "vhost " "$verbs"
so "also behind -v" completes "vhost -v " "$verbs"
so "a verb that is begun is ended" completes "vhost sw" switch
for verb in $verbs; do
	options=$("$vhost" "$verb" --help | grep -oE -e '^  --[a-z-]+' | xargs)
	# shellcheck disable=SC2086  # one option a word
	[ -z "$options" ] || so "the options of $verb are offered" completes "vhost $verb --" \
		"$(printf '%s\n' $options --help | sort | xargs)"
	for option in $("$vhost" "$verb" --help | sed '/^$/q' | grep -oE -e '--[a-z-]+'); do
		so "the help of $verb explains $option" grep -qw -e "$option" <<<"$options"
	done
done
devices=$("$vhost" serve no-such-device unix:a 2>&1 | sed -n 's/^  //p' | sort | xargs)
so "devices are offered" completes "vhost serve " "$devices"
so "also behind --" completes "vhost serve rng unix:a -- " "$devices"
so "ways to poll are offered" completes "vhost switch --poll " "adaptive busy sleep"
so "an address is begun" completes "vhost probe u" "unix:"
touch socket1 socket2
so "a path is completed" completes "vhost probe unix:sock" "socket1 socket2"
so "also where a VMM finds a device" completes "vhost serve rng vfio-user:sock" "socket1 socket2"
so "that address is begun" completes "vhost serve rng vf" "vfio-user:"
so "also a control address" completes "vhost stat unix:socket1" "socket1"
so "also that of a port" completes "vhost switch --port a=unix:socket2" "socket2"
so "commands are offered" completes "vhost ctl unix:a " "device port stat"
so "also their second words" completes "vhost ctl unix:a port " "add del list"
so "also those of devices" completes "vhost ctl unix:a device " "add del list resize"
so "keys are offered" completes "vhost bench net unix:a unix:b s" "seconds= size="
so "also those of a device" completes "vhost serve blk unix:a read" "readonly="
so "a key of two ways" completes "vhost bench net unix:a unix:b mr" "mrg="
so "profiles are offered" completes "vhost vvu --profile " "bar2 crosvm modern"
so "words with a hyphen are" completes "vhost vvu --personality vh" "vhost-pci"
so "a word that more follows is" completes "vhost vvu --window " "hotplug: static"
so "an address of another scheme is begun" completes "vhost vvu --pci " "vfio-user:"
so "its path is completed" completes "vhost vvu --pci vfio-user:socket1" "socket1"
so "so is the path of memory" completes "vhost vvu --memory file:socket2" "socket2"
