/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end machine with two vrings and two memory slots, so that all of its
 * states can be visited.  Every file of the explorer includes this one first;
 * machine.c is the library's own source, compiled with these limits.
 */
#ifndef TESTS_PROTO_EXPLORER_SMALL_MACHINE_H
#define TESTS_PROTO_EXPLORER_SMALL_MACHINE_H

#define VH_MAX_VRINGS 2
#define VH_MAX_SLOTS  2

#include "proto/backend.h"

#endif
