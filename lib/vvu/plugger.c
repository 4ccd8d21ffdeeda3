/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  There is one job at a time, from the front of a queue.  To plug
 * in is to ask which root ports there are and to try one after the other: that a port is
 * taken is known best by QEMU, who refuses before it looks at the function's socket.
 * When all are taken and guests were asked for functions, the job waits for the event
 * that one was given back, and tries again.
 *
 * To take out is to ask the guest, which answers when its driver lets go: that may be
 * never, so the job is done when QEMU has passed the question on, and the event is
 * waited for beside other jobs.  When the monitor's connection is lost the events that
 * came meanwhile are, too; then the question is asked again.
 */
#include "vvu/plugger.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vvu/qmp.h"

#define TIME_OUT  10000000000ull
#define MAX_PORTS 64u

struct vh_plugger {
	char tag[32];
	struct vh_reactor *reactor;
	const struct vh_plugger_ops *ops;
	void *arg;
	char *path, *port;
	struct vh_qmp *qmp;
	struct vh_list queue, leaving;
	struct vh_plug *job;
	bool waiting; /* the job waits for a port                              */
	bool gone;    /* the job's function went before the question was answered */
	struct vh_timer timer;
	uint64_t time_out;
	struct vh_deferred next;
	char *ports[MAX_PORTS];
	unsigned n_ports, tried;
	char error[256]; /* of the last port that was tried */
};

/* ---- Jobs ---- */

static void free_ports(struct vh_plugger *p)
{
	while (p->n_ports > 0)
		free(p->ports[--p->n_ports]);
}

/* The job has ended; @plug is in, or on its way out, or out with @error. */
static void end_job(struct vh_plugger *p)
{
	vh_timer_disarm(p->reactor, &p->timer);
	free_ports(p);
	p->job = NULL;
	p->waiting = p->gone = false;
	vh_reactor_defer(p->reactor, &p->next);
}

static void job_failed(struct vh_plugger *p, const char *error)
{
	struct vh_plug *plug = p->job;
	const bool in = plug->state == VH_PLUG_UNWANTED;

	plug->state = in ? VH_PLUG_IN : VH_PLUG_OUT;
	end_job(p);
	if (in)
		p->ops->unplugged(p->arg, plug, error);
	else
		p->ops->plugged(p->arg, plug, error);
}

static void went_out(struct vh_plugger *p, struct vh_plug *plug)
{
	vh_list_remove(&plug->link);
	plug->state = VH_PLUG_OUT;
	p->ops->unplugged(p->arg, plug, NULL);
}

/* ---- In ---- */

static void try_port(struct vh_plugger *p);

static void ports_failed(struct vh_plugger *p)
{
	if (vh_list_is_empty(&p->leaving))
		job_failed(p, p->error);
	else
		p->waiting = true;
}

static void on_added(void *arg, struct json_object *value, const char *error)
{
	struct vh_plugger *p = arg;
	struct vh_plug *plug = p->job;

	(void)value;
	if (error) {
		snprintf(p->error, sizeof(p->error), "%s", error);
		try_port(p);
		return;
	}
	vh_log(p, VH_LOG_INFO, "%s is plugged into %s", plug->id, p->ports[p->tried - 1]);
	plug->state = VH_PLUG_IN;
	end_job(p);
	p->ops->plugged(p->arg, plug, NULL);
}

static struct json_object *device(const struct vh_plug *plug, const char *port)
{
	struct json_object *o = json_object_new_object();
	struct json_object *socket = json_object_new_object();

	json_object_object_add(socket, "type", json_object_new_string("unix"));
	json_object_object_add(socket, "path", json_object_new_string(plug->socket));
	json_object_object_add(o, "driver", json_object_new_string("vfio-user-pci"));
	json_object_object_add(o, "id", json_object_new_string(plug->id));
	json_object_object_add(o, "bus", json_object_new_string(port));
	json_object_object_add(o, "socket", socket);
	return o;
}

static void try_port(struct vh_plugger *p)
{
	if (p->tried == p->n_ports) {
		ports_failed(p);
		return;
	}
	if (vh_qmp_command(p->qmp, "device_add", device(p->job, p->ports[p->tried++]),
			   on_added, p) < 0)
		job_failed(p, vh_strerror(-ENOMEM));
}

static bool add_port(struct vh_plugger *p, const char *name)
{
	if (p->n_ports == MAX_PORTS)
		return false;
	p->ports[p->n_ports] = strdup(name);
	if (!p->ports[p->n_ports])
		return false;
	p->n_ports++;
	return true;
}

static void on_ports(void *arg, struct json_object *value, const char *error)
{
	struct vh_plugger *p = arg;
	const size_t n = json_object_is_type(value, json_type_array)
				 ? json_object_array_length(value)
				 : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(value, i);
		const char *name = vh_qmp_string(o, "name");
		const char *type = vh_qmp_string(o, "type");

		if (name && type && !strcmp(type, "child<pcie-root-port>") &&
		    !add_port(p, name))
			break;
	}
	if (error)
		job_failed(p, error);
	else if (!p->n_ports)
		job_failed(p, "the guest has no root port: give its QEMU -device "
			      "pcie-root-port,id=ID,chassis=N,pref64-reserve=SIZE");
	else
		try_port(p);
}

static void start_plugging(struct vh_plugger *p)
{
	struct json_object *o;

	p->tried = 0;
	if (p->port) {
		if (p->n_ports || add_port(p, p->port))
			try_port(p);
		else
			job_failed(p, vh_strerror(-ENOMEM));
		return;
	}
	free_ports(p);
	o = json_object_new_object();
	json_object_object_add(o, "path", json_object_new_string("/machine/peripheral"));
	if (vh_qmp_command(p->qmp, "qom-list", o, on_ports, p) < 0)
		job_failed(p, vh_strerror(-ENOMEM));
}

/* ---- Out ---- */

static void on_asked(void *arg, struct json_object *value, const char *error)
{
	struct vh_plugger *p = arg;
	struct vh_plug *plug = p->job;

	const bool gone = p->gone || (error && strstr(error, "not found"));

	(void)value;
	/* It may have been asked before the connection was lost. */
	if (error && !gone && !strstr(error, "in the process of unplug")) {
		job_failed(p, error);
		return;
	}
	end_job(p);
	if (gone) {
		went_out(p, plug);
		return;
	}
	plug->state = VH_PLUG_LEAVING;
	vh_list_append(&p->leaving, &plug->link);
}

static void start_asking(struct vh_plugger *p)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "id", json_object_new_string(p->job->id));
	if (vh_qmp_command(p->qmp, "device_del", o, on_asked, p) < 0)
		job_failed(p, vh_strerror(-ENOMEM));
}

/* The event may outrun the reply.  Of one that nobody asked for its owner hears when it
 * asks. */
static void on_deleted(struct vh_plugger *p, const char *id)
{
	vh_list_for_each (l, &p->leaving) {
		struct vh_plug *plug = vh_container_of(l, struct vh_plug, link);

		if (strcmp(plug->id, id) != 0)
			continue;
		went_out(p, plug);
		break;
	}
	if (p->job && p->job->state == VH_PLUG_UNWANTED && !strcmp(p->job->id, id))
		p->gone = true;
	if (p->job && p->waiting) {
		p->waiting = false;
		start_plugging(p);
	}
}

/* ---- The monitor ---- */

static void on_event(void *arg, const char *name, struct json_object *data)
{
	struct vh_plugger *p = arg;
	const char *id = vh_qmp_string(data, "device");

	if (id && !strcmp(name, "DEVICE_DELETED"))
		on_deleted(p, id);
	else if (id && !strcmp(name, "DEVICE_UNPLUG_GUEST_ERROR"))
		vh_log(p, VH_LOG_WARN, "the guest does not give %s back", id);
}

/* Those whose event may be missed are asked for again. */
static void drop_monitor(struct vh_plugger *p)
{
	vh_qmp_close(p->qmp);
	p->qmp = NULL;
	while (!vh_list_is_empty(&p->leaving)) {
		struct vh_list *l = vh_list_take(&p->leaving);

		vh_container_of(l, struct vh_plug, link)->state = VH_PLUG_UNWANTED;
		vh_list_append(&p->queue, l);
		vh_reactor_defer(p->reactor, &p->next);
	}
}

static void lose_monitor(struct vh_plugger *p, const char *why)
{
	char text[320];

	snprintf(text, sizeof(text), "monitor %s: %s", p->path, why);
	drop_monitor(p);
	if (p->job)
		job_failed(p, text);
}

static void on_down(void *arg, const char *why)
{
	lose_monitor(arg, why);
}

static const struct vh_qmp_ops qmp_ops = {.event = on_event, .down = on_down};

/* A reply that comes late must not be taken for another one's, so nothing is heard of
 * the monitor any more. */
static void on_time_out(struct vh_timer *t)
{
	struct vh_plugger *p = vh_container_of(t, struct vh_plugger, timer);
	char text[320];

	if (!p->waiting) {
		lose_monitor(p, "no answer in time");
		return;
	}
	snprintf(text, sizeof(text),
		 "%s; the guest has not given back what it was asked for in time",
		 p->error);
	job_failed(p, text);
}

static void on_next(struct vh_deferred *d)
{
	struct vh_plugger *p = vh_container_of(d, struct vh_plugger, next);
	char text[320];
	int err = 0;

	if (p->job || vh_list_is_empty(&p->queue))
		return;
	p->job = vh_container_of(vh_list_take(&p->queue), struct vh_plug, link);
	vh_timer_arm(p->reactor, &p->timer, p->time_out);
	if (!p->qmp)
		err = vh_qmp_open(p->reactor, p->path, &qmp_ops, p, &p->qmp);
	if (err < 0) {
		snprintf(text, sizeof(text),
			 "cannot connect to %s: %s; give the guest's QEMU -qmp "
			 "unix:PATH,server=on,wait=off",
			 p->path, vh_strerror(err));
		job_failed(p, text);
	} else if (p->job->state == VH_PLUG_WANTED) {
		start_plugging(p);
	} else {
		start_asking(p);
	}
}

/* ---- For the owner ---- */

int vh_plugger_create(struct vh_reactor *r, const char *qmp, const char *port,
		      const char *tag, const struct vh_plugger_ops *ops, void *arg,
		      struct vh_plugger **plugger)
{
	struct vh_plugger *p = calloc(1, sizeof(*p));

	*plugger = NULL;
	if (!p)
		return -ENOMEM;
	*p = (struct vh_plugger){
		.reactor = r, .ops = ops, .arg = arg, .time_out = TIME_OUT};
	snprintf(p->tag, sizeof(p->tag), "%s", tag);
	vh_list_init(&p->queue);
	vh_list_init(&p->leaving);
	vh_list_init(&p->next.link);
	p->next.fn = on_next;
	vh_timer_init(&p->timer, on_time_out);
	p->path = strdup(qmp);
	p->port = port ? strdup(port) : NULL;
	if (!p->path || (port && !p->port)) {
		vh_plugger_destroy(p);
		return -ENOMEM;
	}
	*plugger = p;
	return 0;
}

void vh_plugger_destroy(struct vh_plugger *p)
{
	if (!p)
		return;
	vh_qmp_close(p->qmp);
	vh_timer_disarm(p->reactor, &p->timer);
	vh_reactor_undefer(&p->next);
	free_ports(p);
	free(p->path);
	free(p->port);
	free(p);
}

static void enqueue(struct vh_plugger *p, struct vh_plug *plug, enum vh_plug_state state)
{
	plug->state = state;
	vh_list_append(&p->queue, &plug->link);
	vh_reactor_defer(p->reactor, &p->next);
}

void vh_plugger_plug(struct vh_plugger *p, struct vh_plug *plug)
{
	enqueue(p, plug, VH_PLUG_WANTED);
}

void vh_plugger_unplug(struct vh_plugger *p, struct vh_plug *plug)
{
	enqueue(p, plug, VH_PLUG_UNWANTED);
}

/* A command for it may be on its way, whose reply nobody would know. */
void vh_plugger_forget(struct vh_plugger *p, struct vh_plug *plug)
{
	if (p->job == plug) {
		end_job(p);
		drop_monitor(p);
	} else if (plug->state != VH_PLUG_OUT && plug->state != VH_PLUG_IN) {
		vh_list_remove(&plug->link);
	}
	plug->state = VH_PLUG_OUT;
}

void vh_plugger_set_time_out(struct vh_plugger *p, uint64_t ns)
{
	p->time_out = ns;
}
