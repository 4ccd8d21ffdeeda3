/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registers of the device's own: the status of a session, in device configuration, and
 * the notification structure, by which a driver gives each vring an MSI-X vector.
 * Control thread.
 */
#include <string.h>

#include "base/log.h"
#include "vvu/vvu_parts.h"

/* ---- Device configuration ---- */

void vh_vvu_read_config(void *arg, uint32_t offset, void *buf, size_t len)
{
	struct vh_vvu_pci *v = arg;

	memcpy(buf, (const uint8_t *)&v->config + offset, len);
}

void vh_vvu_set_status(struct vh_vvu_pci *v, uint32_t status)
{
	if (v->config.status == status)
		return;
	v->config.status = status;
	/* The driver looks at the ISR also when it was woken by a message. */
	vh_vvu_pci_interrupt(v, vh_virtio_pci_config_changed(&v->regs));
}

static void set_ready(struct vh_vvu_pci *v, bool ready)
{
	if (ready == !!(v->config.status & VH_VVU_BACKEND_UP))
		return;
	v->config.status = ready ? VH_VVU_BACKEND_UP : 0;
	if (!vh_virtio_pci_is_running(&v->regs))
		return;
	if (ready)
		vh_guestq_driver_is_ready(&v->queues);
	/* May begin a session at once, which raises FRONTEND_UP. */
	vh_relay_set_ready(v->relay, ready);
}

/* Only BACKEND_UP is the driver's; FRONTEND_UP comes back as it was read. */
void vh_vvu_write_config(void *arg, uint32_t offset, const void *buf, size_t len)
{
	struct vh_vvu_pci *v = arg;
	struct vh_vvu_config wanted = v->config;

	memcpy((uint8_t *)&wanted + offset, buf, len);
	if (wanted.status & ~(VH_VVU_BACKEND_UP | VH_VVU_FRONTEND_UP))
		vh_vvu_pci_break(v, "its driver set a bit of the status that is none");
	else
		set_ready(v, wanted.status & VH_VVU_BACKEND_UP);
}

void vh_vvu_registers_start(struct vh_vvu_pci *v)
{
	if (v->config.status & VH_VVU_BACKEND_UP)
		vh_relay_set_ready(v->relay, true);
}

/* ---- The notification structure ---- */

static uint16_t *selected(struct vh_vvu_pci *v)
{
	return v->select < VH_VVU_N ? &v->vector[v->select] : NULL;
}

void vh_vvu_read_notification(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct vh_vvu_pci *v = arg;
	const uint16_t *vector = selected(v);
	const uint16_t now[] = {v->select, vector ? *vector : VH_VIRTIO_PCI_NO_VECTOR};

	memcpy(buf, (const uint8_t *)now + offset, len);
}

static bool covers(uint64_t offset, size_t len, uint32_t reg)
{
	return offset <= reg && offset + len >= reg + sizeof(uint16_t);
}

/* Half a register is not written: half a vector would be another one. */
int vh_vvu_write_notification(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct vh_vvu_pci *v = arg;
	const uint8_t *from = buf;
	uint16_t *vector;

	if (covers(offset, len, VH_VVU_NOTIFY_SELECT))
		memcpy(&v->select, from + VH_VVU_NOTIFY_SELECT - offset,
		       sizeof(v->select));
	vector = selected(v);
	if (vector && covers(offset, len, VH_VVU_NOTIFY_VECTOR)) {
		memcpy(vector, from + VH_VVU_NOTIFY_VECTOR - offset, sizeof(*vector));
		if (*vector >= VH_VVU_VECTORS)
			*vector = VH_VIRTIO_PCI_NO_VECTOR;
	}
	return 0;
}

void vh_vvu_registers_reset(struct vh_vvu_pci *v)
{
	v->config.status = 0;
	v->select = 0;
	for (unsigned i = 0; i < VH_VVU_N; i++)
		v->vector[i] = VH_VIRTIO_PCI_NO_VECTOR;
}
