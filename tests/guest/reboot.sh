#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest reboots, of its own will and by a hard reset in the midst of traffic, and the
# other one reaches it again.

. "$(dirname "$0")/guest.sh"

# reboot_by HOW...: bob reboots by this command and is given his address again
reboot_by()
{
	local old
	old=$(boot_id bob)
	"$@"
	wait_until "$BOOT_SECONDS" "bob is up again" has_new_boot_id bob "$old"
	address bob 10.0.0.2
}

need_guests
start_switch --port "p1=unix:$LAB_TMP/p1" --port "p2=unix:$LAB_TMP/p2"
boot alice "nic=$LAB_TMP/p1"
boot bob "nic=$LAB_TMP/p2"
wait_for_guest alice bob
address alice 10.0.0.1
address bob 10.0.0.2
expect "the guests reach each other" can_ping alice 10.0.0.2

in_background bob "sleep 1; reboot -f"
reboot_by true
expect "bob is reached after his reboot" can_ping alice 10.0.0.2
expect "bob reaches alice" can_ping bob 10.0.0.1

in_background alice "ping -q -A -w 600 10.0.0.2"
reboot_by qmp bob system_reset
in_guest alice "killall ping"
expect "bob is reached after a reset amid traffic" can_ping alice 10.0.0.2
expect "TCP flows to bob" traffic alice bob 10.0.0.2 3
expect "contents arrive unharmed" same_contents bob alice 10.0.0.1 4
expect "the switch is alive" is_alive switch
