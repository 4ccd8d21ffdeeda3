/* SPDX-License-Identifier: BSD-3-Clause */
/* Functions that the kernel's vfio-pci gives to this process. */
#include "pci/vfio.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"

static bool vfio_has(const char *address)
{
	static const char form[] = "xxxx:xx:xx.x";

	for (size_t i = 0; i < sizeof(form) - 1; i++)
		if (form[i] == 'x' ? !isxdigit((unsigned char)address[i])
				   : address[i] != form[i])
			return false;
	return address[sizeof(form) - 1] == '\0';
}

static int vfio_open(const char *address, const char *tag, struct vh_pci_host **h)
{
	(void)address;
	(void)h;
	vh_log_line(tag, VH_LOG_ERROR, "vfio: not there yet");
	return -ENOTSUP;
}

const struct vh_pci_bus vh_vfio_bus = {
	.has = vfio_has,
	.open = vfio_open,
};
