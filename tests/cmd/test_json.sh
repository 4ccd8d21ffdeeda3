# shellcheck shell=bash disable=SC2154  # run.sh reads it
# SPDX-License-Identifier: BSD-3-Clause
# What --json says: one object a line, with a schema, and fields that only grow.

# FIELD... WORD...: vhost WORD... says objects of schema 1 with these fields, joined by ",";
# "ports/0/name" is one further down.
json_has()
{
	local fields=$1
	shift
	timeout 30 "$vhost" -q "$@" 2>&1 </dev/null >json || return
	FIELDS=$fields python3 - >out 2>&1 <<'END'
import json, os
def look(o, path):
    for word in path.split("/"):
        o = o[int(word)] if isinstance(o, list) else o[word]
    return o
lines = open("json").read()
objects = [json.loads(lines)] if lines[1] in " \n" else [json.loads(l) for l in lines.splitlines()]
assert objects
for o in objects:
    assert o["schema"] == 1
    for f in os.environ["FIELDS"].split(","):
        look(o, f)
END
}

start switch --port a=unix:a,vlan=5 --port b=unix:b --port c=unix:c --control unix:ctl
wait_until test -S ctl
port=ports/0
so "stat --json tells of ports" json_has \
	"ok,$port/name,$port/address,$port/kind,$port/up,$port/macs,$port/vlans/native,$port/rx_frames,$port/rx_bytes,$port/tx_frames,$port/tx_bytes,$port/flooded,$port/drop_full,$port/drop_busy,$port/drop_vlan,$port/drop_invalid,$port/drop_flood,$port/drop_offload,$port/software,$port/queues" \
	stat unix:ctl --once --json
so "ctl port list tells the same" json_has "ports/1/queues" ctl unix:ctl port list
so "a trunk's VLANs are told" ends 0 "" ctl unix:ctl port add t=unix:t,trunk=5:6
so "they are a list" json_has "ports/3/vlans/trunk/1" ctl unix:ctl port list
so "probe --json tells features" json_has \
	"address,virtio_id,virtio_features/0,protocol_features/0,queues,memory_slots,config" \
	probe unix:b --json
so "a network device is known as one" bash -c "grep -q '\"virtio_id\":1,' json"
so "bench --json tells rows" json_has \
	"rows/0/size,rows/0/mpps,rows/0/gbps,rows/0/sent,rows/0/received,rows/0/damaged,rows/0/reordered" \
	bench net unix:b unix:c size=64 --json
stop

start serve rng unix:a -- blk unix:disk memory=1M -- blk unix:ro memory=1M readonly=on --control unix:ctl
wait_until test -S ctl
virtio_id_is() { "$vhost" probe "$1" --json 2>&1 </dev/null >out; grep -q "\"virtio_id\":$2," out; }
so "a disk is known as one" virtio_id_is unix:disk 2
so "a disk that is read-only, too" virtio_id_is unix:ro 2
so "what has no features is not known" virtio_id_is unix:a 0
device=devices/0 queue=devices/0/queues/0
so "stat --json tells of devices" json_has \
	"ok,$device/name,$device/address,$device/connected,$device/connections,$device/faults,$device/regions,$queue/started,$queue/enabled,$queue/chains,$queue/completed,$queue/bytes_out,$queue/bytes_in,$queue/kicks,$queue/calls,$queue/rejected" \
	stat unix:ctl --once --json
stop

start vvu --pci vfio-user:vmm --front unix:front --control unix:ctl
wait_until test -S ctl
relay=relays/0
so "stat --json tells of a relay" json_has \
	"ok,$relay/name,$relay/personality,$relay/front,$relay/driver,$relay/session,$relay/status,$relay/broken,$relay/sessions,$relay/to_driver,$relay/to_frontend,$relay/kicks,$relay/doorbells,$relay/faults,$relay/vmm_clients,$relay/vmm_messages,$relay/vmm_reads,$relay/vmm_writes,$relay/interrupts" \
	stat unix:ctl --once --json
stop

so "demo --json tells what it counted" json_has \
	"seconds,frames,bytes,damaged,duplicated,reordered,lost,rng_bytes,ok" \
	demo --seconds 1 --json
