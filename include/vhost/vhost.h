/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libvhost: virtio devices outside the VMM, in both roles.
 *
 *   <vhost/device.h>   write a device model
 *   <vhost/server.h>   serve it: the back-end role
 *   <vhost/client.h>   drive somebody's device: the front-end role
 *   <vhost/reactor.h>  the threads it all runs on
 *   <vhost/stats.h>    what happened
 *   <vhost/log.h>      where messages for people go
 *
 * Functions return 0 or -errno, counts >= 0 or -errno, and objects through an
 * out parameter; errno is not set.  Nothing about the ABI is promised before
 * version 1.0; the soname changes with every minor version until then.
 */
#ifndef VHOST_VHOST_H
#define VHOST_VHOST_H

#include <vhost/client.h>
#include <vhost/device.h>
#include <vhost/log.h>
#include <vhost/reactor.h>
#include <vhost/server.h>
#include <vhost/stats.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* "0.1.0": of the library that runs, not of the header. */
const char *vh_version(void);

/* "VIRTIO_NET_F_MRG_RXBUF" without its prefix, for bit @bit of a device of
 * @virtio_id; NULL for a bit without a name. */
const char *vh_feature_name(unsigned virtio_id, unsigned bit);

/* "REPLY_ACK" for vhost-user protocol feature 3; NULL for a bit without a name. */
const char *vh_protocol_feature_name(unsigned bit);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
