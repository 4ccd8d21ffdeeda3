# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Completion of vhost's words.  Everything that it offers is read from the command's own
# --help, so there is nothing here that a new verb or option would have to be added to.
# Needs no bash-completion package.

# SKIP CUR WORD...: those that begin with CUR, into COMPREPLY, without SKIP, the part in
# front that readline keeps as it is, since it takes ":" and "=" for the end of a word.
_vhost_offer()
{
	local skip=$1 word
	while IFS= read -r word; do
		COMPREPLY+=("${word#"$skip"}")
	done < <(compgen -W "${*:3}" -- "$2")
	case ${COMPREPLY[*]:-} in
	# More is to follow: unix:PATH, size=N
	*: | *=) compopt -o nospace 2>/dev/null ;;
	esac
}

_vhost_offer_files()
{
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

# HELP ...: what stands in it: the values "one|two" of an OPTION, all options, devices, keys.
_vhost_values() { sed -n "s/^  $2 \([a-z0-9-]*|[a-z0-9|:-]*\).*/\1/p" <<<"$1" | tr '|' ' '; }
_vhost_options() { grep -oE -e '^  --?[a-z][a-z-]*' <<<"$1" | tr '\n' ' '; }
_vhost_devices() { sed -n 's/^  DEVICE  *//p' <<<"$1" | tr ',' ' '; }
_vhost_keys() { sed -n '/^  [a-z-]*=/p' <<<"$1" | grep -oE -e '(^| )[a-z-]+=' | sort -u | tr '\n' ' '; }
# N WORDS HELP: the Nth words of the commands in it that begin with WORDS.
_vhost_commands() { sed -n 's/^  \([a-z].*\)/\1/p' <<<"$3" | awk -v n="$1" -v words="$2" '
	index($0, words) == 1 && $n ~ /^[a-z]+$/ && $n !~ /^(the|with)$/ {print $n}' | sort -u; }

_vhost()
{
	local line=${COMP_LINE:0:COMP_POINT} cur skip='' help verb i=1
	local -a words
	COMPREPLY=()
	read -ra words <<<"$line"
	[[ $line != *[[:space:]] ]] || words+=('')
	cur=${words[-1]}
	[[ $COMP_WORDBREAKS != *:* || $cur != *[:=]* ]] || skip=${cur%"${cur##*[:=]}"}

	while [[ ${words[i]} == -[qv]* && $i -lt $((${#words[@]} - 1)) ]]; do
		i=$((i + 1))
	done
	verb=${words[i]}
	if [ "$i" -eq $((${#words[@]} - 1)) ]; then
		help=$("${words[0]}" --help 2>/dev/null)
		_vhost_offer '' "$cur" "$(awk '/^  [a-z]/ {print $1}' <<<"$help")" \
			"$([[ $cur != -* ]] || _vhost_options "$help") $([[ $cur != -* ]] || echo --help --version)"
		return
	fi
	help=$("${words[0]}" "$verb" --help 2>/dev/null)
	_vhost_word "$verb" "$help" "$skip" "$((${#words[@]} - 1 - i))" "${words[-2]}" "$cur" \
		"${words[*]:i+2:${#words[@]}-i-3}"
}

# CUR is the NTH word behind VERB, PREV the word before it, and BEFORE those in between but
# the first.
_vhost_word()
{
	local verb=$1 help=$2 skip=$3 nth=$4 prev=$5 cur=$6 before=$7 values
	case $cur in
	*unix:*) _vhost_offer_files "${cur#*unix:}"; return ;;
	vfio-user:* | file:* | hotplug:*) _vhost_offer_files "${cur#*:}"; return ;;
	-*) _vhost_offer "$skip" "$cur" "$(_vhost_options "$help")" --help; return ;;
	esac
	values=$(_vhost_values "$help" "$prev")
	case $verb,$prev,$nth in
	*,--control,* | *,--front,*) values=unix: ;;
	*,--pci,*) values=vfio-user: ;;
	*,--memory,*) values=file: ;;
	*,--port,* | *,--uplink,* | *,--cores,* | *,--seconds,* | *,--bar-size,*) return ;;
	serve,--,* | serve,*,1) values=$(_vhost_devices "$help") ;;
	bench,*,1) values=$(grep -oE '^(net|blk)' <<<"$help") ;;
	ctl,*,1 | stat,*,1) values=unix: ;;
	ctl,*) values=$(_vhost_commands "$((nth - 1))" "$before" "$help") ;;
	bench,*) values="unix: fd: $(_vhost_keys "$help")" ;;
	serve,*) values=${values:-unix: fd: vfio-user: vvu: vhostpci: $(_vhost_keys "$help")} ;;
	probe,*) values=${values:-unix: fd:} ;;
	esac
	_vhost_offer "$skip" "$cur" "$values"
}

complete -F _vhost vhost
