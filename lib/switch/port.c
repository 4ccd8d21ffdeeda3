/* SPDX-License-Identifier: BSD-3-Clause */
/* A port: see port.h. */
#include "switch/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "switch/forward.h"
#include "switch/uplink.h"

/* ---- Which queue ---- */

void vh_port_set_usable(struct vh_port *p, unsigned pair, bool usable)
{
	if (vh_load_relaxed(&p->sink[pair].usable) == usable)
		return;
	vh_store_relaxed(&p->sink[pair].usable, usable);
	/* Who sees the new version sees what changed. */
	vh_fetch_add(&p->sinks_version, 1);
}

static unsigned count_sinks(const struct vh_port *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->pairs; i++)
		n += vh_load_relaxed(&p->sink[i].usable);
	return n;
}

bool vh_port_has_sink(const struct vh_port *p)
{
	return count_sinks(p) > 0;
}

static int choose_sink(const struct vh_port *p, unsigned worker)
{
	unsigned n = count_sinks(p), nth;

	if (!n)
		return -1;
	nth = worker % n;
	for (unsigned i = 0; i < p->pairs; i++)
		if (vh_load_relaxed(&p->sink[i].usable) && !nth--)
			return (int)i;
	return -1; /* one has gone meanwhile: its version comes */
}

struct vh_sink *vh_port_sink(struct vh_port *p, unsigned worker)
{
	struct vh_place *place = &p->place[worker];
	const uint32_t version = vh_load_acquire(&p->sinks_version);

	if (place->version != version) {
		place->sink = choose_sink(p, worker);
		place->version = version;
	}
	return place->sink < 0 ? NULL : &p->sink[place->sink];
}

/* ---- Counters ---- */

static void count(uint64_t *counter, uint64_t n)
{
	if (n)
		vh_count(counter, n);
}

void vh_in_counters_add(struct vh_in_counters *to, const struct vh_in_counters *n)
{
	count(&to->frames, n->frames);
	count(&to->bytes, n->bytes);
	count(&to->flooded, n->flooded);
	count(&to->drop_vlan, n->drop_vlan);
	count(&to->drop_invalid, n->drop_invalid);
	count(&to->drop_flood, n->drop_flood);
}

void vh_out_counters_add(struct vh_out_counters *to, const struct vh_out_counters *n)
{
	count(&to->frames, n->frames);
	count(&to->bytes, n->bytes);
	count(&to->drop_full, n->drop_full);
	count(&to->drop_busy, n->drop_busy);
	count(&to->drop_offload, n->drop_offload);
	count(&to->software, n->software);
}

static void sum_in(struct vh_port_stats *s, const struct vh_in_counters *c)
{
	s->rx_frames += vh_load_relaxed(&c->frames);
	s->rx_bytes += vh_load_relaxed(&c->bytes);
	s->flooded += vh_load_relaxed(&c->flooded);
	s->drop_vlan += vh_load_relaxed(&c->drop_vlan);
	s->drop_invalid += vh_load_relaxed(&c->drop_invalid);
	s->drop_flood += vh_load_relaxed(&c->drop_flood);
}

static void sum_out(struct vh_port_stats *s, const struct vh_out_counters *c)
{
	s->tx_frames += vh_load_relaxed(&c->frames);
	s->tx_bytes += vh_load_relaxed(&c->bytes);
	s->drop_full += vh_load_relaxed(&c->drop_full);
	s->drop_busy += vh_load_relaxed(&c->drop_busy);
	s->drop_offload += vh_load_relaxed(&c->drop_offload);
	s->software += vh_load_relaxed(&c->software);
}

static void sum_places(struct vh_port_stats *s, const struct vh_port *p)
{
	for (unsigned i = 0; i < p->fabric->n_workers; i++)
		sum_out(s, &p->place[i].out);
}

static void sum_pair(struct vh_port_stats *s, const struct vh_port *p, unsigned pair)
{
	sum_in(s, &p->source[pair].in);
	sum_out(s, &p->sink[pair].out);
}

void vh_port_read_stats(const struct vh_port *p, struct vh_port_stats *s)
{
	*s = (struct vh_port_stats){0};
	for (unsigned i = 0; i < p->pairs; i++)
		sum_pair(s, p, i);
	sum_places(s, p);
}

void vh_port_read_queue_stats(const struct vh_port *p, unsigned pair,
			      struct vh_port_stats *s)
{
	*s = (struct vh_port_stats){0};
	sum_pair(s, p, pair);
	if (p->uplink)
		sum_places(s, p);
}

/* ---- Life ---- */

static void *alloc_lines(size_t size)
{
	void *p = aligned_alloc(64, size);

	if (p)
		memset(p, 0, size);
	return p;
}

static enum vh_port_kind kind_of(const char *address)
{
	if (!strncmp(address, "tap:", 4))
		return VH_PORT_TAP;
	if (!strncmp(address, "packet:", 7))
		return VH_PORT_PACKET;
	return VH_PORT_VHOST;
}

static int alloc_parts(struct vh_port *p, const char *address)
{
	p->address = strdup(address);
	p->source = alloc_lines(p->pairs * sizeof(*p->source));
	p->sink = alloc_lines(p->pairs * sizeof(*p->sink));
	p->place = alloc_lines(p->fabric->n_workers * sizeof(*p->place));
	if (!p->address || !p->source || !p->sink || !p->place)
		return -ENOMEM;
	for (unsigned i = 0; i < p->pairs; i++) {
		p->source[i].port = p;
		p->source[i].batch = calloc(1, sizeof(struct vh_batch));
		if (!p->source[i].batch)
			return -ENOMEM;
	}
	return 0;
}

int vh_port_create(struct vh_fabric *f, const struct vh_port_params *params,
		   struct vh_port **out)
{
	struct vh_port *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	memcpy(p->name, params->name, sizeof(p->name) - 1);
	p->tag = p->name;
	p->fabric = f;
	p->kind = kind_of(params->address);
	p->pairs = params->queues;
	p->vlans = params->vlans;
	p->sinks_version = 1; /* every worker has still to choose */
	vh_list_init(&p->link);
	err = alloc_parts(p, params->address);
	if (err < 0) {
		vh_port_destroy(p);
		return err;
	}
	*out = p;
	return 0;
}

void vh_port_destroy(struct vh_port *p)
{
	if (!p)
		return;
	vh_uplink_destroy(p->uplink);
	for (unsigned i = 0; p->source && i < p->pairs; i++)
		free(p->source[i].batch);
	free(p->source);
	free(p->sink);
	free(p->place);
	free(p->address);
	free(p);
}
