/* SPDX-License-Identifier: BSD-3-Clause */
/* See hangup.h. */
#include "hangup.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <vhost/server.h>

#include "base/cleanup.h"
#include "cli.h"

/* What goes wrong was logged; what cannot change is fine. */
static void refresh(void *server, struct vh_device *d)
{
	(void)vh_server_refresh(server, d);
}

static void on_hangup(struct vh_event *ev, uint32_t events)
{
	struct hangup *h = vh_container_of(ev, struct hangup, event);
	struct signalfd_siginfo info;

	(void)events;
	if (read(ev->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		vh_server_each(h->server, refresh, h->server);
}

int hangup_open(struct hangup *h, struct vh_reactor *control, struct vh_server *server)
{
	sigset_t set;
	int err;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	*h = (struct hangup){
		.event = {.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
			  .fn = on_hangup},
		.reactor = control,
		.server = server,
	};
	err = h->event.fd < 0 ? -errno : vh_event_add(control, &h->event, EPOLLIN);
	if (!err)
		return 0;
	complain("cannot listen for SIGHUP: %s", strerror(-err));
	vh_fd_drop(&h->event.fd);
	h->server = NULL;
	return err;
}

void hangup_close(struct hangup *h)
{
	if (!h->server)
		return;
	vh_event_remove(h->reactor, &h->event);
	vh_fd_drop(&h->event.fd);
	h->server = NULL;
}
