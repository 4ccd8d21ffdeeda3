/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a server: who listens, who is connected, which command is under way.
 *
 * Theory of operation.  Commands are executed and answered one after the other.  One
 * that the owner is not done with (-EINPROGRESS) takes the client's socket out of the
 * loop, so that its message stays where it is, and nothing behind it is looked at,
 * until vh_vfu_resume(); so does a reply that the socket does not take.  Nothing ever
 * waits in here.
 *
 * A client that goes leaves in steps, each of which may take its time in the same
 * way: the function is reset, eventfds and memory go, the owner is told.  Who connects
 * meanwhile waits in the backlog, as does who connects while the one before has hung up
 * but has not been read to its end.  Anybody else who connects is refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/address.h"
#include "vfu/private.h"

#define MAX_MESSAGES 64		  /* of a client in one turn of the loop          */
#define MAX_BAD	     8		  /* refused messages of a client that are logged */
#define STARVED_NS   200000000ull /* when to try accept() again                   */

static void accept_again(struct vh_vfu *v);

/* ---- A client goes ---- */

static void left(struct vh_vfu *v)
{
	v->phase = VH_VFU_NOBODY;
	vh_log(v, VH_LOG_INFO, "the client went");
	if (v->ops.client)
		v->ops.client(v->arg, false);
	accept_again(v);
}

static void leave_memory(struct vh_vfu *v, int err)
{
	(void)err;
	if (vh_vfu_memory_continue(v) == -EINPROGRESS)
		return;
	v->resume = NULL;
	left(v);
}

static void leave_reset(struct vh_vfu *v, int err)
{
	(void)err;
	vh_vfu_irqs_clear(v);
	if (v->shape.n_vectors && v->ops.vectors_changed)
		v->ops.vectors_changed(v->arg, 0, v->shape.n_vectors);
	v->resume = leave_memory;
	if (vh_vfu_memory_remove_all(v) == -EINPROGRESS)
		return;
	v->resume = NULL;
	left(v);
}

static void leave(struct vh_vfu *v)
{
	const bool served = v->phase == VH_VFU_SERVING;

	vh_event_remove(v->reactor, &v->socket);
	v->watched = 0;
	vh_vfu_link_close(&v->link);
	vh_reactor_undefer(&v->cutting);
	v->cut = false;
	v->phase = VH_VFU_NOBODY;
	vh_vfu_remote_fail(v);
	if (!served) {
		accept_again(v);
		return;
	}
	v->phase = VH_VFU_LEAVING;
	v->resume = leave_reset;
	if (v->ops.reset(v->arg) != -EINPROGRESS)
		leave_reset(v, 0);
}

/* At the end of the turn: whoever calls vh_vfu_fault() may be called by us. */
static void cut_off(struct vh_deferred *d)
{
	struct vh_vfu *v = vh_container_of(d, struct vh_vfu, cutting);

	if (v->cut && !v->resume)
		leave(v);
}

void vh_vfu_fault(struct vh_vfu *v, const char *why)
{
	if (!vh_vfu_link_is_open(&v->link) || v->cut)
		return;
	vh_log(v, VH_LOG_WARN, "the client is cut off: %s", why);
	v->stats.faults++;
	v->cut = true;
	vh_reactor_defer(v->reactor, &v->cutting);
}

/* ---- Commands ---- */

static const char *command_name(unsigned command)
{
	static const char *const names[] = {
		[VH_VFU_VERSION] = "VERSION",
		[VH_VFU_DMA_MAP] = "DMA_MAP",
		[VH_VFU_DMA_UNMAP] = "DMA_UNMAP",
		[VH_VFU_GET_INFO] = "DEVICE_GET_INFO",
		[VH_VFU_GET_REGION_INFO] = "DEVICE_GET_REGION_INFO",
		[VH_VFU_GET_REGION_IO_FDS] = "DEVICE_GET_REGION_IO_FDS",
		[VH_VFU_GET_IRQ_INFO] = "DEVICE_GET_IRQ_INFO",
		[VH_VFU_SET_IRQS] = "DEVICE_SET_IRQS",
		[VH_VFU_REGION_READ] = "REGION_READ",
		[VH_VFU_REGION_WRITE] = "REGION_WRITE",
		[VH_VFU_DMA_READ] = "DMA_READ",
		[VH_VFU_DMA_WRITE] = "DMA_WRITE",
		[VH_VFU_RESET] = "DEVICE_RESET",
		[VH_VFU_DIRTY_PAGES] = "DIRTY_PAGES",
		[VH_VFU_REGION_WRITE_MULTI] = "REGION_WRITE_MULTI",
		[VH_VFU_FEATURE] = "DEVICE_FEATURE",
		[VH_VFU_MIG_DATA_READ] = "MIG_DATA_READ",
		[VH_VFU_MIG_DATA_WRITE] = "MIG_DATA_WRITE",
	};

	static_assert(sizeof(names) / sizeof(names[0]) == VH_VFU_COMMANDS, "all");
	return command < VH_VFU_COMMANDS && names[command] ? names[command] : "a command";
}

static void complain(struct vh_vfu *v, int err, const char *why)
{
	if (v->n_bad++ >= MAX_BAD)
		return;
	vh_log(v, VH_LOG_WARN, "%s of the client is refused: %s%s",
	       command_name(v->link.header.command), why ? why : vh_strerror(err),
	       v->n_bad == MAX_BAD ? " (others will not be told)" : "");
}

/* Nothing but VERSION comes first. */
static void greeted(struct vh_vfu *v, int err)
{
	if (err) {
		vh_vfu_fault(v, "it does not begin with a VERSION that we speak");
		return;
	}
	v->phase = VH_VFU_SERVING;
	v->stats.clients++;
	vh_log(v, VH_LOG_INFO, "a client is here");
	if (v->ops.client)
		v->ops.client(v->arg, true);
}

/* The message is done; its fds are closed before the client hears of it. */
static void finish(struct vh_vfu *v, int err, const char *why)
{
	struct vh_vfu_call *c = &v->call;

	if (err)
		complain(v, err, why);
	vh_vfu_link_next(&v->link);
	if (!(v->link.header.flags & VH_VFU_NO_REPLY))
		vh_vfu_link_reply(&v->link, err, c->reply_len, c->fds,
				  err ? 0 : c->n_fds);
	if (v->phase == VH_VFU_GREETING)
		greeted(v, err);
}

static void call_resumed(struct vh_vfu *v, int err)
{
	err = vh_vfu_call_continue(v, err);
	if (err == -EINPROGRESS)
		return;
	v->resume = NULL;
	finish(v, err, NULL);
	if (v->cut)
		leave(v);
	else
		vh_vfu_watch(v);
}

void vh_vfu_resume(struct vh_vfu *v, int err)
{
	if (v->resume)
		v->resume(v, err);
}

static bool is_reply(const struct vh_vfu_header *h)
{
	return (h->flags & VH_VFU_TYPE) == VH_VFU_REPLY;
}

static void serve(struct vh_vfu *v)
{
	const char *why = NULL;
	int err;

	v->stats.messages++;
	if (is_reply(&v->link.header)) {
		vh_vfu_remote_answer(v);
		vh_vfu_link_next(&v->link);
		return;
	}
	v->call = (struct vh_vfu_call){0};
	err = vh_vfu_cmd_decode(&v->link.header, vh_vfu_link_payload(&v->link),
				v->link.n_fds, &v->call.cmd, &why);
	if (!err && v->phase == VH_VFU_GREETING &&
	    v->call.cmd.header.command != VH_VFU_VERSION) {
		why = "it came before VERSION";
		err = -EINVAL;
	}
	if (!err)
		err = vh_vfu_call_start(v);
	if (err == -EINPROGRESS)
		v->resume = call_resumed;
	else
		finish(v, err, why);
}

/* ---- The socket ---- */

static bool is_held(const struct vh_vfu *v)
{
	return v->resume || v->cut;
}

void vh_vfu_watch(struct vh_vfu *v)
{
	const uint32_t command = vh_vfu_link_has_command(&v->link) ? EPOLLOUT : 0;
	const uint32_t events = is_held(v)			   ? 0
				: vh_vfu_link_has_output(&v->link) ? EPOLLOUT
								   : EPOLLIN | command;
	int err = 0;

	if (events == v->watched)
		return;
	if (!events)
		vh_event_remove(v->reactor, &v->socket);
	else if (!v->watched)
		err = vh_event_add(v->reactor, &v->socket, events);
	else
		err = vh_event_modify(v->reactor, &v->socket, events);
	v->watched = err ? 0 : events;
	if (err) {
		vh_log(v, VH_LOG_ERROR, "cannot watch the client: %s", vh_strerror(err));
		vh_vfu_fault(v, "it cannot be watched");
	}
}

/* A size that makes no sense: it is told, and that is the end, for nobody knows where
 * the next message begins. */
static int lost_track(struct vh_vfu *v)
{
	v->call = (struct vh_vfu_call){0};
	if (!is_reply(&v->link.header))
		finish(v, -EINVAL, "its size makes no sense");
	return -EPIPE;
}

static void socket_ready(struct vh_event *ev, uint32_t events)
{
	struct vh_vfu *v = vh_container_of(ev, struct vh_vfu, socket);
	int got = 1;

	(void)events;
	vh_vfu_link_flush(&v->link);
	for (unsigned i = 0; i < MAX_MESSAGES && got > 0 && !is_held(v) &&
			     !vh_vfu_link_has_output(&v->link);
	     i++) {
		got = vh_vfu_link_read(&v->link);
		if (got > 0)
			serve(v);
	}
	if (got == -EBADMSG)
		got = lost_track(v);
	if (got == -EPROTO)
		v->stats.faults++;
	if (got < 0)
		leave(v);
	else
		vh_vfu_watch(v);
}

/* ---- Who connects ---- */

static void stop_accepting(struct vh_vfu *v)
{
	vh_event_remove(v->reactor, &v->listener);
}

static void accept_again(struct vh_vfu *v)
{
	vh_timer_disarm(v->reactor, &v->starved);
	stop_accepting(v);
	if (vh_event_add(v->reactor, &v->listener, EPOLLIN) < 0)
		vh_timer_arm(v->reactor, &v->starved, STARVED_NS);
}

static void starved(struct vh_timer *t)
{
	accept_again(vh_container_of(t, struct vh_vfu, starved));
}

static void cannot_accept(struct vh_vfu *v, int err)
{
	if (err == -EAGAIN || err == -EINTR || err == -ECONNABORTED)
		return;
	if (!v->is_starved)
		vh_log(v, VH_LOG_WARN, "cannot accept a connection yet: %s (ulimit -n?)",
		       vh_strerror(err));
	v->is_starved = true;
	stop_accepting(v);
	vh_timer_arm(v->reactor, &v->starved, STARVED_NS);
}

static void refuse(struct vh_vfu *v, int fd)
{
	close(fd);
	if (!v->refused)
		vh_log(v, VH_LOG_WARN,
		       "a second client is refused: the function has one already");
	v->refused = true;
}

static void begin(struct vh_vfu *v, int fd)
{
	v->phase = VH_VFU_GREETING;
	v->is_starved = v->refused = false;
	v->n_bad = 0;
	vh_vfu_link_open(&v->link, fd);
	v->socket.fd = fd;
	vh_vfu_watch(v);
}

static void listener_ready(struct vh_event *ev, uint32_t events)
{
	struct vh_vfu *v = vh_container_of(ev, struct vh_vfu, listener);
	const bool taken = v->phase != VH_VFU_NOBODY;
	int fd;

	(void)events;
	if (v->phase == VH_VFU_LEAVING ||
	    (taken && (v->cut || vh_vfu_link_is_hung_up(&v->link)))) {
		stop_accepting(v); /* until left() */
		return;
	}
	fd = accept4(ev->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		cannot_accept(v, -errno);
	else if (taken)
		refuse(v, fd);
	else
		begin(v, fd);
}

/* ---- Life ---- */

static int read_options(struct vh_vfu *v, char *const *options,
			struct vh_listen_access *access)
{
	const char *mode = NULL, *group = NULL, *any_memory = NULL;
	const struct vh_option known[] = {
		{.name = "mode", .form = "OCTAL", .value = &mode},
		{.name = "group", .form = "NAME", .value = &group},
		{.name = "any-memory", .form = "on|off", .value = &any_memory},
		{.name = NULL},
	};
	int err = vh_options_read(v->tag, "vfio-user", options, known);

	if (!err)
		err = vh_option_on_off(v->tag, "any-memory", any_memory,
				       &v->memory.any_file);
	return err ? err : vh_listen_read_access(v->tag, mode, group, access);
}

static int start_listening(struct vh_vfu *v, const char *address)
{
	struct vh_listen_access access;
	char **parts;
	int err = vh_options_split(address, &parts);

	if (err)
		return err;
	err = read_options(v, parts + 1, &access);
	if (!err)
		err = vh_listen_set_path(&v->path, parts[0]);
	if (!err)
		err = vh_listen_start(&v->path, &access);
	vh_options_free(parts);
	if (err < 0)
		return err;
	v->listener.fd = err;
	return vh_event_add(v->reactor, &v->listener, EPOLLIN);
}

static struct vh_vfu *make(struct vh_reactor *r, const char *tag)
{
	struct vh_vfu *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	snprintf(v->tag, sizeof(v->tag), "%s", tag);
	v->reactor = r;
	v->path.tag = v->tag;
	v->listener = (struct vh_event){.fd = -1, .fn = listener_ready};
	v->socket = (struct vh_event){.fd = -1, .fn = socket_ready};
	v->link.fd = v->memory.shrunk.fd = -1;
	vh_list_init(&v->memory.files);
	vh_timer_init(&v->starved, starved);
	vh_vfu_remote_init(v);
	v->cutting.fn = cut_off;
	vh_list_init(&v->cutting.link);
	return v;
}

int vh_vfu_open(struct vh_reactor *r, const char *address, const char *tag,
		const struct vh_vfu_shape *shape, const struct vh_vfu_ops *ops, void *arg,
		struct vh_vfu **out)
{
	struct vh_vfu *v = make(r, tag);
	int err;

	*out = NULL;
	if (!v)
		return -ENOMEM;
	v->shape = *shape;
	v->ops = *ops;
	v->arg = arg;
	err = vh_vfu_shape_check(v);
	if (!err)
		err = vh_vfu_link_init(&v->link, v->tag);
	if (!err)
		err = vh_vfu_irqs_init(v);
	if (!err)
		err = vh_vfu_memory_init(v);
	if (!err)
		err = start_listening(v, address);
	if (err)
		vh_vfu_close(v);
	else
		*out = v;
	return err;
}

void vh_vfu_close(struct vh_vfu *v)
{
	if (!v)
		return;
	vh_event_remove(v->reactor, &v->listener);
	vh_event_remove(v->reactor, &v->socket);
	vh_timer_disarm(v->reactor, &v->starved);
	vh_reactor_undefer(&v->cutting);
	vh_vfu_link_fini(&v->link);
	vh_vfu_irqs_fini(v);
	vh_vfu_remote_fini(v);
	vh_vfu_memory_fini(v);
	vh_listen_end(&v->path);
	vh_fd_drop(&v->listener.fd);
	free(v);
}

void vh_vfu_read_stats(const struct vh_vfu *v, struct vh_vfu_stats *s)
{
	*s = v->stats;
}
