/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An Ethernet switch between vhost ports and uplinks.  A frame between two
 * vhost ports is copied once, on the sender's reactor, from the sender's
 * buffer into the receiver's.
 *
 * Thread: these calls belong to the control thread.
 */
#ifndef VH_SWITCH_SWITCH_H
#define VH_SWITCH_SWITCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vh_reactor;
struct vh_server;
struct vh_switch;

#define VH_SWITCH_MAX_PORTS 1024
#define VH_VLAN_IDS	    4096 /* 1 to 4094; 0: untagged, no VLANs configured */
#define VH_PORT_NAME	    32

enum vh_port_kind { VH_PORT_VHOST, VH_PORT_TAP, VH_PORT_PACKET };

/* Access port: `native` alone.  Trunk: the allowed list, and a native VLAN or 0 (none).
 */
struct vh_port_vlans {
	bool trunk;
	uint16_t native; /* 0 on an access port: VLAN-unaware, VLAN 0 */
	uint64_t allowed[VH_VLAN_IDS / 64]; /* trunk only */
};

struct vh_port_params {
	char name[VH_PORT_NAME];
	char *address;	 /* "unix:...", "tap:IFNAME", "packet:IFNAME"; the owner's */
	unsigned queues; /* pairs; 1 to 128                                        */
	uint16_t mtu;	 /* to offer; 0: none                                      */
	struct vh_port_vlans vlans;
};

/*
 * Parse "NAME=ADDRESS[,queues=N][,vlan=ID|,trunk=ID:ID:...[,native=ID]][,mtu=N]";
 * options that are not the switch's own stay part of the address (server=off).
 * 0, or -EINVAL after it logged which part is wrong and what would be right.
 * vh_port_params_fini() frees the address.
 */
int vh_port_params_parse(struct vh_port_params *p, const char *text);
void vh_port_params_fini(struct vh_port_params *p);

struct vh_switch_params {
	unsigned age_s; /* forget a MAC after this time; 0: 300                   */
	unsigned macs_per_port; /* learned at most; 0: 4096 */
	unsigned flood_per_s; /* copies of flooded frames a port may cause; 0: 100000   */
};

/* The server's reactors, the control reactor first; borrowed. */
int vh_switch_create(struct vh_server *server, struct vh_reactor *const *reactors,
		     unsigned n, const struct vh_switch_params *params,
		     struct vh_switch **sw);
/* After the server was destroyed. */
void vh_switch_destroy(struct vh_switch *sw);

/* 0; -EEXIST, -ENOSPC (no port left), or another -errno; logged. */
int vh_switch_add(struct vh_switch *sw, const struct vh_port_params *p);
/* 0 (done(arg) runs on the control thread when it is gone), or -ENOENT. */
int vh_switch_remove(struct vh_switch *sw, const char *name, void (*done)(void *arg),
		     void *arg);

struct vh_port_stats {
	uint64_t rx_frames, rx_bytes; /* into the switch: the guest's tx      */
	uint64_t tx_frames, tx_bytes; /* out of it                            */
	uint64_t flooded;	      /* frames of its that were flooded      */
	uint64_t drop_full;	      /* for it, its ring was full or missing */
	uint64_t drop_busy;	      /* for it, its queue was in use         */
	uint64_t drop_vlan, drop_invalid, drop_flood; /* from it                   */
	uint64_t drop_offload; /* for it, could not be done in software */
	uint64_t software;     /* frames for it that were segmented or summed */
};

struct vh_port_info {
	const char *name;
	const char *address;
	enum vh_port_kind kind;
	bool up; /* a front-end is connected and its queues run */
	unsigned queues;
	unsigned macs;
	const struct vh_port_vlans *vlans;
	struct vh_port_stats stats; /* of all queues */
};

/* Call @fn for every port, in order of creation; what it gets is valid during the call.
 */
void vh_switch_each(struct vh_switch *sw,
		    void (*fn)(void *arg, const struct vh_port_info *info), void *arg);
/* The same for each queue pair of the port @name. */
int vh_switch_each_queue(struct vh_switch *sw, const char *name,
			 void (*fn)(void *arg, unsigned pair,
				    const struct vh_port_stats *s),
			 void *arg);

#endif
