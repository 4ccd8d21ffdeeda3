/* SPDX-License-Identifier: BSD-3-Clause */
/* The device, from its reset to the word that we are ready. */
#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <linux/virtio_ring.h>

#include "base/log.h"
#include "conn/vhostpci.h"

#define WANTED                                                       \
	(VH_BIT(VH_ADAPTER_F_EVENT_IDX) | VH_BIT(VH_ADAPTER_F_LOG) | \
	 VH_BIT(VH_ADAPTER_F_INFLIGHT) | VH_BIT(VH_ADAPTER_F_BACKEND_REQ))
#define REQUIRED VH_BIT(VH_ADAPTER_F_VERSION_1)

/* Reads of a reset that does not end; a device needs one. */
#define PATIENCE 1000

static int refused(const struct vh_vhostpci *v, const char *why)
{
	vh_log(&v->c, VH_LOG_ERROR, "the vhost-pci adapter cannot be used: %s", why);
	return -ENOTSUP;
}

/* ---- Registers ---- */

int vh_vhostpci_read64(struct vh_vhostpci *v, uint64_t reg, uint64_t *value)
{
	return v->host->bus->read(v->host, VH_ADAPTER_BAR, reg, 8, value);
}

int vh_vhostpci_read(struct vh_vhostpci *v, uint64_t reg, uint32_t *value)
{
	uint64_t wide = 0;
	const int err = v->host->bus->read(v->host, VH_ADAPTER_BAR, reg, 4, &wide);

	*value = (uint32_t)wide;
	return err;
}

int vh_vhostpci_write(struct vh_vhostpci *v, uint64_t reg, uint32_t value)
{
	return v->host->bus->write(v->host, VH_ADAPTER_BAR, reg, 4, value);
}

static int write64(struct vh_vhostpci *v, uint64_t reg, uint64_t value)
{
	return v->host->bus->write(v->host, VH_ADAPTER_BAR, reg, 8, value);
}

/* ---- From reset to ready ---- */

static int reset(struct vh_vhostpci *v)
{
	uint32_t control = VH_ADAPTER_CONTROL_RESET;
	int err = vh_vhostpci_write(v, VH_ADAPTER_CONTROL, control);

	for (unsigned i = 0; i < PATIENCE && !err && control & VH_ADAPTER_CONTROL_RESET;
	     i++)
		err = vh_vhostpci_read(v, VH_ADAPTER_CONTROL, &control);
	if (!err && control & VH_ADAPTER_CONTROL_RESET)
		return refused(v, "its reset does not end");
	return err;
}

/* A reset of the function may have taken away that it reads memory and interrupts. */
static int enable_function(struct vh_vhostpci *v)
{
	const struct vh_pci_bus *bus = v->host->bus;
	uint16_t command = 0;
	int err = bus->config_read(v->host, PCI_COMMAND, &command, sizeof(command));

	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	return err ? err
		   : bus->config_write(v->host, PCI_COMMAND, &command, sizeof(command));
}

static int negotiate(struct vh_vhostpci *v)
{
	uint64_t offered = 0;
	uint32_t status = 0;
	int err = vh_vhostpci_read64(v, VH_ADAPTER_DEV_FEATURES, &offered);

	v->features = offered & (WANTED | REQUIRED);
	if (!err)
		err = write64(v, VH_ADAPTER_DRV_FEATURES, v->features);
	if (!err)
		err = vh_vhostpci_set_ready(v, false);
	if (!err)
		err = vh_vhostpci_read(v, VH_ADAPTER_STATUS, &status);
	if (!err && !(status & VH_ADAPTER_STATUS_FEATURES_OK))
		return refused(v, "it does not take our features");
	return err;
}

static int read_limits(struct vh_vhostpci *v)
{
	uint32_t n_vrings = 0, msg_size = 0, session = 0;
	int err = vh_vhostpci_read(v, VH_ADAPTER_N_VRINGS, &n_vrings);

	if (!err)
		err = vh_vhostpci_read(v, VH_ADAPTER_MSG_SIZE, &msg_size);
	if (!err)
		err = vh_vhostpci_read(v, VH_ADAPTER_DB_STRIDE, &v->stride);
	if (!err)
		err = vh_vhostpci_read(v, VH_ADAPTER_SESSION, &session);
	if (err)
		return err;
	if (!n_vrings || n_vrings > VH_ADAPTER_MAX_VRINGS)
		return refused(v, "a number of vrings that cannot be");
	if (msg_size > VH_MSGQ_MAX_MSG)
		return refused(v, "its messages are longer than any of the protocol's");
	if (v->stride < 4 || v->stride > 4096)
		return refused(v, "its doorbells are too far apart");
	v->vectors.n_vrings = n_vrings;
	v->session = session;
	return 0;
}

static int open_queues(struct vh_vhostpci *v)
{
	uint32_t max[VH_ADAPTER_QUEUES] = {0};
	const uint64_t features = vh_vhostpci_has(v, VH_ADAPTER_F_EVENT_IDX)
					  ? VH_BIT(VIRTIO_RING_F_EVENT_IDX)
					  : 0;

	for (unsigned i = 0; i < VH_ADAPTER_QUEUES; i++) {
		const int err = vh_vhostpci_read(v, VH_ADAPTER_BANK(i) + VH_ADAPTER_Q_MAX,
						 &max[i]);

		if (err)
			return err;
		if (max[i] > VH_MSGQ_MAX_SLOTS)
			max[i] = VH_MSGQ_MAX_SLOTS;
	}
	return vh_msgq_open(&v->q, v->host, v->c.tag, (uint16_t)max[VH_ADAPTER_M2S],
			    (uint16_t)max[VH_ADAPTER_S2M], features);
}

static int enable_queue(struct vh_vhostpci *v, unsigned i, uint32_t vector)
{
	const uint64_t bank = VH_ADAPTER_BANK(i);
	struct vh_msgq_ring r;
	int err;

	vh_msgq_ring(&v->q, (enum vh_msgq_side)i, &r);
	err = vh_vhostpci_write(v, bank + VH_ADAPTER_Q_SIZE, r.size);
	if (!err)
		err = write64(v, bank + VH_ADAPTER_Q_DESC, r.desc);
	if (!err)
		err = write64(v, bank + VH_ADAPTER_Q_AVAIL, r.avail);
	if (!err)
		err = write64(v, bank + VH_ADAPTER_Q_USED, r.used);
	if (!err)
		err = vh_vhostpci_write(v, bank + VH_ADAPTER_Q_VEC, vector);
	return err ? err : vh_vhostpci_write(v, bank + VH_ADAPTER_Q_ENABLE, 1);
}

/* Buffers that are sent are taken back without an interrupt. */
static int enable_queues(struct vh_vhostpci *v)
{
	const uint16_t rx = vh_vectors_of(&v->vectors, VH_VECTOR_RX);
	int err = vh_vhostpci_write(v, VH_ADAPTER_VEC_STATUS, VH_VECTOR_STATUS);

	if (!err)
		err = enable_queue(v, VH_ADAPTER_M2S, rx);
	if (!err)
		err = enable_queue(v, VH_ADAPTER_S2M, VH_ADAPTER_NO_VECTOR);
	return err ? err : vh_vectors_place(&v->vectors);
}

int vh_vhostpci_set_ready(struct vh_vhostpci *v, bool ready)
{
	return vh_vhostpci_write(v, VH_ADAPTER_CONTROL,
				 VH_ADAPTER_CONTROL_FEATURES_OK |
					 (ready ? VH_ADAPTER_CONTROL_READY : 0));
}

/* After a reset nothing of the old queues is used any more. */
static int make_queues(struct vh_vhostpci *v)
{
	int err;

	vh_msgq_close(&v->q);
	err = open_queues(v);
	if (err)
		return err;
	vh_msgq_fill(&v->q);
	return enable_queues(v);
}

static int start(struct vh_vhostpci *v)
{
	uint32_t status = 0;
	int err = reset(v);

	if (!err)
		err = enable_function(v);
	if (!err)
		err = negotiate(v);
	if (!err)
		err = read_limits(v);
	if (!err)
		err = make_queues(v);
	if (!err)
		err = vh_vhostpci_set_ready(v, true);
	if (!err)
		err = vh_vhostpci_read(v, VH_ADAPTER_STATUS, &status);
	if (!err && !(status & VH_ADAPTER_STATUS_LIVE))
		return refused(v, "it cannot reach our queues");
	return err;
}

int vh_vhostpci_start(struct vh_vhostpci *v)
{
	const int err = start(v);

	if (err)
		vh_log(&v->c, VH_LOG_ERROR, "cannot start the device: %s",
		       vh_strerror(err));
	else
		v->broken = false;
	return err;
}

/* ---- Finding it ---- */

static int check_identity(struct vh_vhostpci *v)
{
	uint32_t magic = 0, version = 0;
	int err = 0;

	if (v->host->bus->bar_size(v->host, VH_ADAPTER_BAR) >= VH_ADAPTER_BAR_SIZE)
		err = vh_vhostpci_read(v, VH_ADAPTER_MAGIC, &magic);
	if (!err && magic == VH_ADAPTER_MAGIC_VALUE)
		err = vh_vhostpci_read(v, VH_ADAPTER_VERSION, &version);
	if (err)
		return err;
	if (magic != VH_ADAPTER_MAGIC_VALUE)
		return refused(v, "this device is another one");
	if (VH_ADAPTER_MAJOR(version) != VH_ADAPTER_MAJOR(VH_ADAPTER_VERSION_VALUE))
		return refused(v, "its registers are of a version that is not known");
	return 0;
}

static int open_vectors(struct vh_vhostpci *v)
{
	int err = vh_vectors_open(&v->vectors);

	v->vectors.place = vh_vhostpci_place_kick;
	v->vectors.arg = v;
	for (unsigned i = 0; i < VH_VECTOR_KICK && !err; i++)
		if (v->vectors.irq[i] >= 0)
			err = vh_waker_watch(&v->waker, v->vectors.irq[i]);
	return err;
}

int vh_vhostpci_find(struct vh_vhostpci *v)
{
	int err = check_identity(v);

	if (!err)
		err = vh_vhostpci_find_windows(v);
	if (!err)
		err = open_vectors(v);
	return err ? err : vh_vhostpci_start(v);
}
