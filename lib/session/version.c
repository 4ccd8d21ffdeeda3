/* SPDX-License-Identifier: BSD-3-Clause */
#include <vhost/vhost.h>

const char *vh_version(void)
{
	return VH_VERSION;
}
