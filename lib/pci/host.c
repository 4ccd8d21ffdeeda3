/* SPDX-License-Identifier: BSD-3-Clause */
/* The buses that there are; finds the one of an address.  Control thread. */
#include "pci/host.h"

#include <assert.h>
#include <errno.h>

#include "base/log.h"
#include "pci/vfio.h"

#define MAX_BUSES 4u

static const struct vh_pci_bus *buses[MAX_BUSES] = {&vh_vfio_bus};
static unsigned n_buses = 1;

void vh_pci_add_bus(const struct vh_pci_bus *bus)
{
	for (unsigned i = 0; i < n_buses; i++)
		if (buses[i] == bus)
			return;
	assert(n_buses < MAX_BUSES);
	buses[n_buses++] = bus;
}

static const struct vh_pci_bus *bus_of(const char *address)
{
	for (unsigned i = 0; i < n_buses; i++)
		if (buses[i]->has(address))
			return buses[i];
	return NULL;
}

int vh_pci_open(const char *address, const char *tag, struct vh_pci_host **h)
{
	const struct vh_pci_bus *bus = bus_of(address);

	*h = NULL;
	if (bus)
		return bus->open(address, tag, h);
	vh_log_line(tag, VH_LOG_ERROR,
		    "\"%s\" is no PCI address; they look like 0000:00:04.0", address);
	return -EINVAL;
}

void vh_pci_close(struct vh_pci_host *h)
{
	if (h)
		h->bus->close(h);
}

/* How many such functions @bus has, at most @max. */
static unsigned count(const struct vh_pci_bus *bus, uint16_t vendor, uint16_t device,
		      unsigned max)
{
	char address[VH_PCI_ADDRESS_SIZE];
	unsigned n = 0;

	while (n < max && bus->find(vendor, device, n, address) == 0)
		n++;
	return n;
}

int vh_pci_find(uint16_t vendor, uint16_t device, unsigned n,
		char address[VH_PCI_ADDRESS_SIZE])
{
	for (unsigned i = 0; i < n_buses; i++) {
		if (!buses[i]->find)
			continue;
		if (buses[i]->find(vendor, device, n, address) == 0)
			return 0;
		n -= count(buses[i], vendor, device, n);
	}
	return -ENOENT;
}
