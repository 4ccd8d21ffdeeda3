/* SPDX-License-Identifier: BSD-3-Clause */
/* The personality vhost-pci of vhost vvu. */
#include <string.h>

#include "vvu.h"
#include "vvu/adapter.h"

static int open_adapter(struct vvu *v)
{
	struct vh_adapter_params p = {
		.pci = v->pci,
		.front = v->front,
		.tag = "vvu0",
		.accept_early = !v->ready,
		.window = v->mapped,
		.area = v->area,
	};
	struct vh_adapter *device;
	int err;

	memcpy(p.uuid, v->uuid, sizeof(v->uuid));
	err = vh_adapter_open(v->run.reactor[0], &p, &device);
	v->device = device;
	return err;
}

static void close_adapter(struct vvu *v)
{
	vh_adapter_close(v->device);
}

static void stat_adapter(const struct vvu *v, struct json_object *o)
{
	struct vh_adapter_stats s;

	vh_adapter_read_stats(v->device, &s);
	json_object_object_add(o, "driver", json_object_new_boolean(s.live));
	json_object_object_add(o, "session", json_object_new_boolean(s.connected));
	vvu_add_count(o, "status", s.status);
	vvu_add_count(o, "error", s.error);
	vvu_add_count(o, "broken", s.failed);
	vvu_add_traffic(o, &s.relay, &s.vfu);
}

const struct personality personality_vhost_pci = {
	.name = "vhost-pci",
	.scheme = "vfio-user:",
	.form = "vfio-user:PATH",
	.open = open_adapter,
	.close = close_adapter,
	.stat = stat_adapter,
};
