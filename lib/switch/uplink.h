/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An uplink: a network interface of this machine as a port.
 *
 * Thread: what it reads is its home reactor's; it is sent to from any worker.
 */
#ifndef VH_SWITCH_UPLINK_H
#define VH_SWITCH_UPLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/seg.h"
#include "dev/net/frame.h"
#include "reactor/reactor.h"

struct vh_out;
struct vh_port;
struct vh_source;
struct vh_uplink;

/* What kind of interface: uplink_tap.c, uplink_packet.c. */
struct vh_uplink_ops {
	const char *scheme; /* "tap" */
	unsigned hdr_len;   /* of the virtio-net header that goes with each frame */
	/*
	 * A non-blocking fd for the interface; or -errno, logged with its cure when
	 * @first; then it sets u->features, too.
	 */
	int (*open)(struct vh_uplink *u, bool first);
	/* Is the interface there, and up?  0 or -errno. */
	int (*check)(const struct vh_uplink *u);
	/*
	 * Read a frame into @buf, which has room for the longest: its length and header,
	 * and where it begins.  Or -errno.
	 */
	int (*receive)(const struct vh_uplink *u, uint8_t *buf, size_t room,
		       uint8_t **frame, struct virtio_net_hdr_v1 *hdr);
};

extern const struct vh_uplink_ops vh_uplink_tap, vh_uplink_packet;

/* A header, room for a tag, and the longest frame. */
#define VH_UPLINK_FRAME (sizeof(struct virtio_net_hdr_v1) + 4 + VH_FRAME_MAX)
#define VH_UPLINK_ARENA (4 * 65536)

struct vh_uplink {
	/* Constant. */
	const char *tag; /* the port's name */
	const struct vh_uplink_ops *ops;
	struct vh_port *port;
	struct vh_source *source;
	struct vh_reactor *home;
	char ifname[IFNAMSIZ];
	int fd;		   /* one number for life: reopening replaces what is behind it */
	uint64_t features; /* what may be sent to it, as a guest would acknowledge it   */

	/* Any thread. */
	uint32_t up;	  /* frames can be sent                 */
	uint32_t refused; /* the interface refused one lately   */

	/* The home reactor's. */
	bool watched; /* event is registered                        */
	struct vh_event event;
	struct vh_timer check;	   /* once a second: is it still there?      */
	struct vh_deferred resume; /* a batch is pending                     */
	struct vh_post start;
	struct vh_seg seg[64]; /* of the batch's frames, in arena        */
	uint8_t *arena;
};

/*
 * For @port, whose address is "tap:IFNAME" or "packet:IFNAME".  It is opened; it may be
 * down.  0 or -errno (logged).  Control.
 */
int vh_uplink_create(struct vh_port *port, struct vh_reactor *home, struct vh_uplink **u);
/* Control, after it stopped and no worker knows it any more.  NULL is fine. */
void vh_uplink_destroy(struct vh_uplink *u);

/* Control: have the home reactor read from it. */
void vh_uplink_start(struct vh_uplink *u);
/* Home reactor: read no more; what is pending is dropped. */
void vh_uplink_stop(struct vh_uplink *u);

/* Any worker.  False: it took it not. */
bool vh_uplink_send(struct vh_uplink *u, const struct vh_out *o);

static inline uint64_t vh_uplink_features(const struct vh_uplink *u)
{
	return u->features;
}

static inline unsigned vh_uplink_header_len(const struct vh_uplink *u)
{
	return u->ops->hdr_len;
}

bool vh_uplink_is_up(const struct vh_uplink *u);

#endif
