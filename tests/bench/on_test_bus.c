/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linked with the command, it has a bus more: a guest as back-end then needs no guest,
 * and what is measured is our part of it.
 */
#include "vfu/client.h"

__attribute__((constructor)) static void add_bus(void)
{
	vfu_test_bus_add();
}
