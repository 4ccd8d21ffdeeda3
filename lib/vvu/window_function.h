/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PCI function that is a window onto one file and nothing more: spec/vvu.h says how a
 * driver knows it.  Offered over vfio-user; who plugs it into a guest is another.
 * Control thread.
 */
#ifndef VH_VVU_WINDOW_FUNCTION_H
#define VH_VVU_WINDOW_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

#include "reactor/reactor.h"

struct vh_window_function;

struct vh_window_function_params {
	const char *socket;  /* where it listens                    */
	const uint8_t *uuid; /* of the device, 16 bytes             */
	uint16_t number;
	int fd;	       /* borrowed while it is offered */
	uint64_t size; /* of the file                  */
	const char *tag;
};

/* The BAR has a power of two of bytes, of which the file's can be mapped.  0 or -errno
 * (logged). */
int vh_window_function_create(struct vh_reactor *r,
			      const struct vh_window_function_params *p,
			      struct vh_window_function **f);
void vh_window_function_destroy(struct vh_window_function *f); /* NULL is fine */

/* A VMM had it, and is gone. */
bool vh_window_function_is_over(const struct vh_window_function *f);

#endif
