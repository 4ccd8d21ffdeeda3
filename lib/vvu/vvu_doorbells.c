/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells of the guest's: call, err and log of the front-end's.  Three ways lead
 * here: a write to the register; an eventfd of ours that the VMM has for such a write; a
 * counter in memory that the guest maps and we poll, for drivers that took the feature.
 * What one rings is the relay's to know, and it ignores the value.  Control thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "vvu/vvu_parts.h"

/* ---- Registers ---- */

/* Any width: drivers write one, two or four bytes. */
int vh_vvu_write_doorbell(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct vh_vvu_pci *v = arg;
	const uint64_t n = offset / v->profile->doorbell_stride;

	if (n < VH_VVU_BELLS && vh_virtio_pci_is_running(&v->regs))
		vh_relay_ring(v->relay, (unsigned)n);
	return 0;
}

/* ---- Eventfds ---- */

static void rung_by_eventfd(void *arg, unsigned n)
{
	struct vh_vvu_pci *v = arg;

	if (vh_virtio_pci_is_running(&v->regs))
		vh_relay_ring(v->relay, n);
}

/* ---- Counters ---- */

void vh_vvu_read_counters(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct vh_vvu_pci *v = arg;

	memcpy(buf, v->doorbells.memory + offset, len);
}

int vh_vvu_write_counters(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct vh_vvu_pci *v = arg;

	memcpy(v->doorbells.memory + offset, buf, len);
	return 0;
}

/* The guest writes there whenever it likes: each is read once. */
static unsigned ring_changed(struct vh_vvu_pci *v)
{
	struct vh_vvu_doorbells *d = &v->doorbells;
	unsigned n = 0;

	for (unsigned i = 0; i < VH_VVU_BELLS; i++) {
		const uint32_t now = vh_guest_read32(d->memory + 4 * (size_t)i);

		if (now == d->last[i])
			continue;
		d->last[i] = now;
		vh_relay_ring(v->relay, i);
		n++;
	}
	return n;
}

static struct vh_vvu_pci *device_of(struct vh_poller *p)
{
	return vh_container_of(p, struct vh_vvu_pci, doorbells.poller);
}

static unsigned counters_work(struct vh_poller *p, unsigned budget)
{
	return ring_changed(device_of(p));
}

/* A counter wakes nobody: the reactor comes back by the clock. */
static bool counters_arm(struct vh_poller *p)
{
	return false;
}

static void counters_disarm(struct vh_poller *p)
{
}

static const struct vh_poller_ops counters_ops = {
	.work = counters_work,
	.arm = counters_arm,
	.disarm = counters_disarm,
};

static int make_counters(struct vh_vvu_doorbells *d)
{
	const off_t size = 2 * VH_VVU_DOORBELL_PAGE;
	void *p;

	d->file = memfd_create("doorbells", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (d->file < 0 || ftruncate(d->file, size) < 0 ||
	    fcntl(d->file, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	p = mmap(NULL, VH_VVU_DOORBELL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, d->file,
		 VH_VVU_DOORBELL_PAGE);
	if (p == MAP_FAILED)
		return -errno;
	d->memory = p;
	return 0;
}

/* ---- All of them ---- */

int vh_vvu_doorbells_open(struct vh_vvu_pci *v, bool counters)
{
	struct vh_vvu_doorbells *d = &v->doorbells;
	int err;

	d->file = -1;
	d->fds = (struct vh_bells){.tag = v->tag,
				   .reactor = v->reactor,
				   .n_vrings = VH_VVU_N,
				   .stride = v->profile->doorbell_stride,
				   .rung = rung_by_eventfd,
				   .arg = v};
	d->poller = (struct vh_poller){.ops = &counters_ops, .fd = -1};
	err = counters ? make_counters(d) : 0;
	if (err)
		vh_log(v, VH_LOG_ERROR, "no memory for doorbells: %s", vh_strerror(err));
	return err;
}

void vh_vvu_doorbells_close(struct vh_vvu_pci *v)
{
	struct vh_vvu_doorbells *d = &v->doorbells;

	vh_vvu_doorbells_stop(v);
	vh_bells_forget(&d->fds);
	if (d->memory)
		munmap(d->memory, VH_VVU_DOORBELL_PAGE);
	vh_fd_drop(&d->file);
}

int vh_vvu_doorbells_start(struct vh_vvu_pci *v)
{
	struct vh_vvu_doorbells *d = &v->doorbells;

	if (!d->memory || !(v->regs.driver_features & VH_BIT(VH_VVU_F_DOORBELL_POLL)))
		return 0;
	for (unsigned i = 0; i < VH_VVU_BELLS; i++)
		d->last[i] = vh_guest_read32(d->memory + 4 * (size_t)i);
	return vh_poller_add(v->reactor, &d->poller);
}

void vh_vvu_doorbells_stop(struct vh_vvu_pci *v)
{
	vh_poller_remove(v->reactor, &v->doorbells.poller);
}
