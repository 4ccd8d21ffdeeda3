/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library says goes to stderr; and the first error of a command that came over
 * the control socket also to whoever sent it.
 */
#ifndef CMD_SAID_H
#define CMD_SAID_H

#include <vhost/log.h>

/* Before there are threads. */
void said_start(enum vh_log_level level);

/* From here on, keep the first error that this thread has to tell.  Control thread. */
void said_listen(void);
/* The command's own errors are kept, too. */
void said_keep(const char *text);
/* "" if there was none, or nobody listens; valid until said_stop(). */
const char *said_error(void);
void said_stop(void);

#endif
