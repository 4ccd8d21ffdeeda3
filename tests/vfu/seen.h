/* SPDX-License-Identifier: BSD-3-Clause */
/* What a rig sees of the library: lines of the log, and open fds. */
#ifndef TESTS_VFU_SEEN_H
#define TESTS_VFU_SEEN_H

#include "base/log.h"

/* Forget the log so far, and keep what comes from @level on. */
void rig_keep_log(enum vh_log_level level);
/* How often @text was logged. */
unsigned rig_logged(const char *text);
/* How many fds this process has. */
int rig_count_fds(void);

#endif
