# shellcheck shell=bash disable=SC2154  # run.sh reads it
# SPDX-License-Identifier: BSD-3-Clause
# vhost vvu: its sockets, its life, what it tells of itself.

answers() { "$vhost" stat unix:ctl --once --json >out 2>&1 </dev/null && grep -qF -e "$1" out; }

for profile in modern bar2 crosvm; do
	start vvu --pci vfio-user:vm1,mode=0640 --front unix:vm2 --profile "$profile" --control unix:ctl
	so "$profile: it waits for a VMM" wait_until test -S vm1
	so "$profile: its socket has the mode that was said" is "$(stat -c %a vm1)" 640
	so "$profile: it waits for a front-end" wait_until test -S vm2
	so "$profile: it tells of itself" wait_until answers '"driver":false'
	so "$profile: it ends cleanly" stop
	so "$profile: it leaves nothing behind" test ! -e vm1 -a ! -e vm2 -a ! -e ctl
done

start vvu --pci vfio-user:vm1 --front unix:vm2 --personality vhost-pci --bar-size 64M --control unix:ctl
so "vhost-pci waits for a VMM" wait_until test -S vm1
so "its personality is vhost-pci" wait_until answers '"personality":"vhost-pci"'
so "vhost-pci has no driver yet" answers '"driver":false'
so "vhost-pci ends cleanly" stop
so "vhost-pci leaves nothing behind" test ! -e vm1 -a ! -e vm2 -a ! -e ctl
so "a profile is for drivers of vvu" ends 2 "--profile is for --personality vvu" \
	vvu --pci vfio-user:vm1 --front unix:vm2 --personality vhost-pci --profile bar2
so "only drivers of vvu count doorbells" ends 2 "--doorbell poll is for --personality vvu" \
	vvu --pci vfio-user:vm1 --front unix:vm2 --personality vhost-pci --doorbell poll

start vvu --pci vfio-user:vm1 --front unix:vm2 --memory "file:$PWD/memory,size=16M" --doorbell poll \
	--poll adaptive --accept ready --bar-size 64M --control unix:ctl
so "with everything, it waits for a VMM" wait_until test -S vm1
so "memory of that size is made" is "$(stat -c %s memory)" 16777216
so "its personality is told" wait_until answers '"personality":"vvu"'
so "its table has a line" ends 0 "vvu0" stat unix:ctl --once
so "a command that is not there is told which there are" ends 1 "there is: stat" ctl unix:ctl nope
so "a VMM's socket in use is not taken away" ends 1 "vm1" vvu --pci vfio-user:vm1 --front unix:b
so "it ends cleanly with everything, too" stop
so "the memory stays: its guest may still run" test -e memory
rm memory

NOTIFY_SOCKET=$PWD/notify
export NOTIFY_SOCKET
listen_for_readiness "$NOTIFY_SOCKET"
wait_until test -e notified
start vvu --pci vfio-user:vm1 --front unix:vm2
so "readiness of vvu is told" wait_until grep -qs READY=1 notified
so "by then a VMM can connect" test -S vm1
stop
wait "$listener"
unset NOTIFY_SOCKET
rm -f notified notify
