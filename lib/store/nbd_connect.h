/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connect to an NBD server: once and waiting (for the control thread), or by a thread of
 * its own that brings the result to a reactor.  libnbd looks names up and reads key files
 * while it connects, so no reactor may do it.
 */
#ifndef VH_STORE_NBD_CONNECT_H
#define VH_STORE_NBD_CONNECT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <libnbd.h>

struct vh_reactor;

/* What the server at the other end offers. */
struct vh_nbd_caps {
	uint64_t size;	     /* bytes                                          */
	uint32_t min_block;  /* what every offset and length is a multiple of  */
	uint32_t preferred;  /* what it likes them to be multiples of          */
	uint32_t max_length; /* of one read or write; a multiple of min_block  */
	bool readonly, flush, fua, trim, zero, multi_conn;
};

struct vh_nbd_connection {
	struct nbd_handle *nbd; /* NULL: there is none, because of @cause */
	struct vh_nbd_caps caps;
	char cause[256];
	int err; /* that goes with it: -errno */
};

#define VH_NBD_TIMEOUT_MS 5000

/*
 * Wait until @uri is connected, at most @timeout_ms, or until @stop_fd is readable (-1:
 * none).  0, or -errno and a cause.
 */
int vh_nbd_connect(const char *uri, int stop_fd, int timeout_ms,
		   struct vh_nbd_connection *c);

/* Tells the server, if that takes no waiting, so that it does not take it for an
 * accident. NULL is fine.  */
void vh_nbd_close(struct nbd_handle *nbd);

/* Tell @nbd what poll or epoll said of its fd.  False: the connection has failed. */
bool vh_nbd_notify(struct nbd_handle *nbd, uint32_t events);

bool vh_nbd_is_gone(struct nbd_handle *nbd);

/* Which events it waits for, as poll and epoll call them. */
uint32_t vh_nbd_wanted_events(struct nbd_handle *nbd);

/* ---- By a thread ---- */

/* One for a store. */
struct vh_nbd_dialer {
	const char *uri; /* the store's */
	int stop_fd;	 /* eventfd: all calls shall end */
	/* Any thread, under the lock: */
	pthread_mutex_t lock;
	pthread_cond_t call_ended;
	unsigned n_calls;
	uint64_t size; /* what the last server said that it has */
};

int vh_nbd_dialer_init(struct vh_nbd_dialer *d, const char *uri); /* 0 or -errno */
/* Waits until all calls ended, which may take as long as a name server does. */
void vh_nbd_dialer_fini(struct vh_nbd_dialer *d);

uint64_t vh_nbd_dialer_size(struct vh_nbd_dialer *d);

struct vh_nbd_call;

/* @fn is called on @r, and takes what is in @c. */
typedef void vh_nbd_call_fn(void *arg, struct vh_nbd_connection *c);

/* On @r.  0 and *@call, valid until @fn is called or it is abandoned; or -errno. */
int vh_nbd_call_start(struct vh_nbd_dialer *d, struct vh_reactor *r, vh_nbd_call_fn *fn,
		      void *arg, struct vh_nbd_call **call);
/* On the reactor that started it: @fn will not be called. */
void vh_nbd_call_abandon(struct vh_nbd_call *call);

#endif
