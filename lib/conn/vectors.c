/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.  The kick of a vring is an interrupt of its own, whose eventfd the
 * queue's reactor waits for directly, so nothing of ours is between them.  A vector
 * costs the machine something only while it has an eventfd, so a vring gets its own when
 * a kick for it is first spoken of, and keeps it: the fd that the bus knows never
 * changes.
 *
 * Where there are fewer vectors than vrings, those without share one, and the control
 * thread passes what comes there on to all of them; a kick too many is harmless.  A
 * device that takes no vector for a vring leaves it without kicks; then it is polled.
 */
#include "conn/vectors.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

static int failed(const struct vh_vectors *v, const char *doing, int err)
{
	vh_log(v, VH_LOG_ERROR, "cannot %s: %s", doing, vh_strerror(err));
	return err;
}

/* ---- Having them ---- */

/* How many the device has: its MSI-X capability says. */
static unsigned count_vectors(const struct vh_vectors *v)
{
	const struct vh_pci_bus *bus = v->host->bus;
	uint8_t at = 0, cap[4];

	if (bus->config_read(v->host, PCI_CAPABILITY_LIST, &at, 1))
		return 0;
	for (unsigned i = 0; i < 48 && at >= 0x40; i++, at = cap[1]) {
		if (bus->config_read(v->host, at & ~3u, cap, sizeof(cap)))
			return 0;
		if (cap[0] == PCI_CAP_ID_MSIX)
			return ((cap[2] | cap[3] << 8) & PCI_MSIX_FLAGS_QSIZE) + 1u;
	}
	return 0;
}

/* Fewer are better than none: those of a small guest are soon used up. */
static int enable(struct vh_vectors *v, unsigned most)
{
	const unsigned sizes[] = {most, 64, 16, VH_VECTOR_KICK, 2, 1};
	int err = -ENOSPC;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && err; i++) {
		if (sizes[i] > most)
			continue;
		v->n = sizes[i];
		err = v->host->bus->set_vectors(v->host, v->fd, sizes[i]);
	}
	return err ? failed(v, "have interrupts of the device", err) : 0;
}

void vh_vectors_init(struct vh_vectors *v, const char *tag, struct vh_pci_host *host)
{
	*v = (struct vh_vectors){.tag = tag, .host = host};
	memset(v->irq, 0xff, sizeof(v->irq));
	memset(v->kick, 0xff, sizeof(v->kick));
}

int vh_vectors_open(struct vh_vectors *v)
{
	unsigned n = count_vectors(v);

	if (n > VH_VECTOR_KICK + VH_VVU_MAX_VRINGS)
		n = VH_VECTOR_KICK + VH_VVU_MAX_VRINGS;
	if (!n)
		return failed(v, "use a device that has no MSI-X", -ENOTSUP);
	v->fd = malloc(n * sizeof(*v->fd));
	if (!v->fd)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		v->fd[i] = -1;
	for (unsigned i = 0; i < VH_VECTOR_KICK && i < n; i++) {
		v->irq[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->irq[i] < 0)
			return failed(v, "make an eventfd", -errno);
		v->fd[i] = v->irq[i];
	}
	return enable(v, n);
}

void vh_vectors_close(struct vh_vectors *v)
{
	if (v->fd)
		v->host->bus->set_vectors(v->host, NULL, 0);
	free(v->fd);
	v->fd = NULL;
	for (unsigned i = 0; i < VH_VECTOR_KICK; i++)
		vh_fd_drop(&v->irq[i]);
	for (unsigned i = 0; i < VH_VVU_MAX_VRINGS; i++)
		vh_fd_drop(&v->kick[i]);
}

uint16_t vh_vectors_of(const struct vh_vectors *v, unsigned which)
{
	return (uint16_t)(which < v->n ? which : v->n - 1);
}

/* ---- Kicks ---- */

/* Have @vring's kicks come on the vector that is shared.  0 or -errno. */
static int share(struct vh_vectors *v, unsigned vring)
{
	const int err = v->place(v->arg, vring, vh_vectors_of(v, VH_VECTOR_KICKS));

	v->shares[vring] = true;
	v->deaf[vring] = err == -EBUSY;
	return err == -EBUSY ? 0 : err;
}

/* One that has an eventfd without its vector has found no vector before. */
static int place(struct vh_vectors *v, unsigned vring)
{
	const unsigned vector = VH_VECTOR_KICK + vring;
	int err = -EBUSY;

	v->shares[vring] = v->deaf[vring] = false;
	if (vector < v->n && (v->kick[vring] < 0 || v->fd[vector] >= 0))
		err = v->place(v->arg, vring, (uint16_t)vector);
	return err == -EBUSY ? share(v, vring) : err;
}

int vh_vectors_place(struct vh_vectors *v)
{
	unsigned n_deaf = 0;
	int err = 0;

	for (unsigned i = 0; i < v->n_vrings && !err; i++) {
		err = place(v, i);
		n_deaf += v->deaf[i];
	}
	if (err)
		return failed(v, "tell the device where kicks go", err);
	if (n_deaf)
		vh_log(v, VH_LOG_WARN,
		       "the device has no interrupts for kicks of %u vrings: they are "
		       "polled",
		       n_deaf);
	return 0;
}

static void pass_kicks(struct vh_vectors *v)
{
	for (unsigned i = 0; i < v->n_vrings; i++)
		if (v->shares[i] && v->kick[i] >= 0)
			eventfd_write(v->kick[i], 1);
}

bool vh_vectors_woken_by(struct vh_vectors *v, int fd)
{
	for (unsigned i = 0; i < VH_VECTOR_KICK; i++) {
		if (fd != v->irq[i])
			continue;
		/* With fewer vectors, one is for several things. */
		if (i == VH_VECTOR_KICKS || v->n <= VH_VECTOR_KICKS)
			pass_kicks(v);
		return true;
	}
	return false;
}

/* The vector of @vring begins to write to its eventfd. */
static int wire(struct vh_vectors *v, unsigned vring)
{
	const unsigned vector = VH_VECTOR_KICK + vring;
	int err;

	v->kick[vring] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->kick[vring] < 0)
		return failed(v, "make an eventfd", -errno);
	if (v->shares[vring])
		return 0;
	v->fd[vector] = v->kick[vring];
	err = v->host->bus->set_vectors(v->host, v->fd, v->n);
	if (!err)
		return 0;
	/* The machine has no interrupt left. */
	v->fd[vector] = -1;
	vh_log(v, VH_LOG_INFO, "vring %u shares an interrupt: %s", vring,
	       vh_strerror(err));
	return share(v, vring);
}

int vh_vectors_kick(struct vh_vectors *v, unsigned vring, struct vh_signal **s)
{
	int fd, err = v->kick[vring] < 0 ? wire(v, vring) : 0;

	*s = NULL;
	if (err || v->deaf[vring])
		return err;
	fd = fcntl(v->kick[vring], F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? failed(v, "duplicate an eventfd", -errno)
		      : vh_signal_from_eventfd(fd, s);
}
