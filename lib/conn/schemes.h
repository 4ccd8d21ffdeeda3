/* SPDX-License-Identifier: BSD-3-Clause */
/* The connectors that there are; connector.c finds one by its scheme. */
#ifndef VH_CONN_SCHEMES_H
#define VH_CONN_SCHEMES_H

#include "conn/connector.h"

extern const struct vh_connector_ops vh_unix_connector; /* a socket of the file system */
extern const struct vh_connector_ops vh_fd_connector; /* a socket that is open already */
extern const struct vh_connector_ops
	vh_loop_connector; /* the other end is in this process */
extern const struct vh_connector_ops vh_vvu_connector;	    /* a device of this guest */
extern const struct vh_connector_ops vh_vhostpci_connector; /* another kind of such */

#endif
