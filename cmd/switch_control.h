/* SPDX-License-Identifier: BSD-3-Clause */
/* What a control socket of vhost switch understands: stat; port add|del|list. */
#ifndef CMD_SWITCH_CONTROL_H
#define CMD_SWITCH_CONTROL_H

struct control_call;

/* A control_fn; @arg is the struct vh_switch. */
void switch_commands(void *arg, struct control_call *call, int argc, char **argv);

#endif
