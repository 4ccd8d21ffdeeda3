/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost vvu --personality virtio-shm: behind the generic vhost-user device of a VMM. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "vvu.h"
#include "vvu/shm.h"

static int open_shm(struct vvu *v)
{
	struct vh_shm_params p = {
		.front = v->front,
		.accept_early = !v->ready,
		.size = v->bar_size,
	};
	struct vh_shm *shm;
	char *vmm;
	int err;

	memcpy(p.uuid, v->uuid, sizeof(p.uuid));
	if (asprintf(&vmm, "unix:%s", v->pci) < 0)
		return -ENOMEM;
	p.vmm = vmm;
	err = vh_shm_open(v->run.reactor[0], &p, &shm);
	free(vmm);
	v->device = shm;
	return err;
}

static void close_shm(struct vvu *v)
{
	vh_shm_close(v->device);
}

static void stat_shm(const struct vvu *v, struct json_object *o)
{
	struct vh_shm_stats s;

	vh_shm_read_stats(v->device, &s);
	json_object_object_add(o, "session", json_object_new_boolean(s.status == 3));
	vvu_add_count(o, "status", s.status);
	vvu_add_traffic(o, &s.relay, &(struct vh_vfu_stats){0});
}

const struct personality personality_shm = {
	.name = "virtio-shm",
	.scheme = "unix:",
	.form = "unix:PATH",
	.own_window = true,
	.open = open_shm,
	.close = close_shm,
	.stat = stat_shm,
};
