/* SPDX-License-Identifier: BSD-3-Clause */
/* What the words of vhost vvu say, and the devices that it can be. */
#ifndef CMD_VVU_H
#define CMD_VVU_H

#include <json-c/json.h>

#include "run.h"
#include "vvu/area.h"
#include "vvu/vvu_pci.h"
#include "vvu/window.h"

struct vvu;

/* A way in which a guest sees the device. */
struct personality {
	const char *name;
	const char *scheme, *form; /* of --pci: "vfio-user:", and with what follows */
	bool own_window;	   /* memory comes to the guest in a way of its own */
	/* Make the device, whose window is there.  0 or -errno (logged). */
	int (*open)(struct vvu *v);
	void (*close)(struct vvu *v);
	/* Put what only this one has into @o, an object of "relays". */
	void (*stat)(const struct vvu *v, struct json_object *o);
};

struct vvu {
	struct run run;
	/* The words. */
	const char *pci; /* behind its scheme */
	const char *front, *memory, *window;
	const struct personality *personality;
	unsigned profile; /* enum vh_vvu_profile_id */
	unsigned ready;	  /* --accept ready         */
	unsigned poll;	  /* --doorbell poll        */
	uint64_t bar_size;
	/* What is made of them. */
	uint8_t uuid[16];
	struct vh_window *mapped;
	struct vh_area *area;
	void *device; /* the personality's */
};

extern const struct personality personality_vvu, personality_vhost_pci, personality_shm;

/* For .stat: a number; what passed, of every kind. */
void vvu_add_count(struct json_object *o, const char *key, uint64_t n);
void vvu_add_traffic(struct json_object *o, const struct vh_relay_stats *relay,
		     const struct vh_vfu_stats *vfu);

/* All words but those of RUN.  An exit code. */
int vvu_read_words(struct vvu *v, int argc, char **argv);

/* The commands of its control socket; @arg is the struct vvu. */
struct control_call;
void vvu_commands(void *arg, struct control_call *call, int argc, char **argv);

#endif
