/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where messages for people go.  One line each, the object's tag first
 * ("rng0/q1").  Nothing is logged per buffer.
 */
#ifndef VHOST_LOG_H
#define VHOST_LOG_H

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum vh_log_level {
	VH_LOG_ERROR, /* somebody must act             */
	VH_LOG_WARN,  /* a peer misbehaves             */
	VH_LOG_INFO,  /* life cycle                    */
	VH_LOG_DEBUG, /* every message of the protocol */
};

/* @tag names the object, @text is one line without a newline.  Any thread. */
typedef void vh_log_fn(void *arg, enum vh_log_level level, const char *tag,
		       const char *text);

/*
 * Send lines of @level and more urgent ones to @fn; NULL means stderr, which
 * is also the default, at VH_LOG_WARN.  Call it before any reactor runs.
 */
void vh_log_set(enum vh_log_level level, vh_log_fn *fn, void *arg);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
