/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads and writes of BAR 0.  Reads of any width and place show what is there, holes are
 * zeroes.  A write counts when it is aligned and has the width of the register, or half
 * of that for one of 64 bits, or 32 bits at one of 16; any other is lost.
 */
#include <string.h>

#include "pci/bytes.h"
#include "vvu/adapter_regs.h"

#define GLOBALS 0x180u /* with the banks */

/* ---- Global registers and banks: reading ---- */

static void put_bank(const struct vh_adapter_regs *r, unsigned q, uint8_t *to)
{
	const struct vh_adapter_bank *b = &r->bank[q];

	vh_le32_put(to + VH_ADAPTER_Q_MAX, VH_ADAPTER_QUEUE_SIZE);
	vh_le32_put(to + VH_ADAPTER_Q_SIZE, b->size);
	vh_le64_put(to + VH_ADAPTER_Q_DESC, b->desc);
	vh_le64_put(to + VH_ADAPTER_Q_AVAIL, b->avail);
	vh_le64_put(to + VH_ADAPTER_Q_USED, b->used);
	vh_le32_put(to + VH_ADAPTER_Q_VEC, b->vector);
	vh_le32_put(to + VH_ADAPTER_Q_ENABLE, b->enabled);
	vh_le32_put(to + VH_ADAPTER_Q_NOTIFY, VH_ADAPTER_NOTIFY(q));
}

static uint32_t control_of(const struct vh_adapter_regs *r)
{
	return (r->status & VH_ADAPTER_STATUS_FEATURES_OK ? VH_ADAPTER_CONTROL_FEATURES_OK
							  : 0) |
	       (r->ready ? VH_ADAPTER_CONTROL_READY : 0);
}

static void put_constants(const struct vh_adapter_regs *r, uint8_t *to)
{
	vh_le32_put(to + VH_ADAPTER_MAGIC, VH_ADAPTER_MAGIC_VALUE);
	vh_le32_put(to + VH_ADAPTER_VERSION, VH_ADAPTER_VERSION_VALUE);
	vh_le64_put(to + VH_ADAPTER_DEV_FEATURES, r->dev_features);
	vh_le32_put(to + VH_ADAPTER_N_VRINGS, VH_ADAPTER_MAX_VRINGS);
	vh_le32_put(to + VH_ADAPTER_MSG_SIZE, VH_ADAPTER_MAX_MSG);
	vh_le32_put(to + VH_ADAPTER_DB_STRIDE, VH_ADAPTER_STRIDE);
	vh_le64_put(to + VH_ADAPTER_WINDOW_SIZE, r->window_size);
	memcpy(to + VH_ADAPTER_UUID, r->uuid, sizeof(r->uuid));
	vh_le32_put(to + VH_ADAPTER_DEVICE_ID, r->device_id);
	vh_le64_put(to + VH_ADAPTER_PROTO_MASK, r->proto_mask);
}

static void put_state(const struct vh_adapter_regs *r, uint8_t *to)
{
	vh_le64_put(to + VH_ADAPTER_DRV_FEATURES, r->drv_features);
	vh_le32_put(to + VH_ADAPTER_CONTROL, control_of(r));
	vh_le32_put(to + VH_ADAPTER_STATUS, r->status);
	vh_le32_put(to + VH_ADAPTER_ERROR, r->error);
	vh_le32_put(to + VH_ADAPTER_SESSION, r->session);
	vh_le32_put(to + VH_ADAPTER_SESSION_ACK, r->session_ack);
	vh_le32_put(to + VH_ADAPTER_INT_STATUS, r->int_status);
	vh_le32_put(to + VH_ADAPTER_VEC_STATUS, r->status_vector);
	vh_le32_put(to + VH_ADAPTER_MEM_GEN, r->mem_gen);
	vh_le32_put(to + VH_ADAPTER_MEM_COUNT, r->table.n);
	vh_le64_put(to + VH_ADAPTER_LOG_OFF, r->log_off);
	vh_le64_put(to + VH_ADAPTER_LOG_LEN, r->log_len);
	vh_le64_put(to + VH_ADAPTER_INFLIGHT_OFF, r->inflight_off);
	vh_le64_put(to + VH_ADAPTER_INFLIGHT_LEN, r->inflight_len);
}

static void globals_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct vh_adapter_regs *r = arg;
	uint8_t all[GLOBALS] = {0};

	put_constants(r, all);
	put_state(r, all);
	for (unsigned q = 0; q < VH_ADAPTER_QUEUES; q++)
		put_bank(r, q, all + VH_ADAPTER_BANK(q));
	memcpy(buf, all + offset, len);
}

/* ---- Writing ---- */

/* Part of a register of 64 bits, which begins at @at. */
static void write_wide(uint64_t *reg, uint64_t offset, uint64_t at, const void *buf,
		       size_t len)
{
	if ((len == 4 || len == 8) && offset % len == 0)
		memcpy((uint8_t *)reg + (offset - at), buf, len);
}

static uint16_t usable_vector(uint64_t v)
{
	const uint16_t vector = (uint16_t)v;

	return vector < VH_ADAPTER_VECTORS ? vector : VH_ADAPTER_NO_VECTOR;
}

static void write_drv_features(struct vh_adapter_regs *r, uint64_t offset,
			       const void *buf, size_t len)
{
	if (!(r->status & VH_ADAPTER_STATUS_FEATURES_OK))
		write_wide(&r->drv_features, offset, VH_ADAPTER_DRV_FEATURES, buf, len);
}

/* A register of 32 bits. */
static void write_global(struct vh_adapter_regs *r, uint64_t offset, uint32_t v)
{
	switch (offset) {
	case VH_ADAPTER_CONTROL:
		vh_adapter_write_control(r, v);
		break;
	case VH_ADAPTER_SESSION_ACK:
		vh_adapter_write_ack(r, v);
		break;
	case VH_ADAPTER_INT_STATUS:
		r->int_status &= ~v;
		break;
	default:
		break;
	}
}

static void write_size(struct vh_adapter_bank *b, uint32_t v)
{
	if (v >= 2 && v <= VH_ADAPTER_QUEUE_SIZE && !(v & (v - 1)))
		b->size = v;
}

/* The vector may change while the queue is in use; nothing else. */
static void write_bank(struct vh_adapter_bank *b, uint64_t offset, const void *buf,
		       size_t len)
{
	if (offset == VH_ADAPTER_Q_VEC && (len == 2 || len == 4))
		b->vector = usable_vector(vh_le_get(buf, len));
	else if (b->enabled)
		return;
	else if (offset == VH_ADAPTER_Q_SIZE && len == 4)
		write_size(b, vh_le32_get(buf));
	else if (offset == VH_ADAPTER_Q_ENABLE && len == 4)
		b->enabled = vh_le32_get(buf) == 1;
	else if (offset >= VH_ADAPTER_Q_DESC && offset < VH_ADAPTER_Q_AVAIL)
		write_wide(&b->desc, offset, VH_ADAPTER_Q_DESC, buf, len);
	else if (offset >= VH_ADAPTER_Q_AVAIL && offset < VH_ADAPTER_Q_USED)
		write_wide(&b->avail, offset, VH_ADAPTER_Q_AVAIL, buf, len);
	else if (offset >= VH_ADAPTER_Q_USED && offset < VH_ADAPTER_Q_VEC)
		write_wide(&b->used, offset, VH_ADAPTER_Q_USED, buf, len);
}

static int globals_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct vh_adapter_regs *r = arg;
	const uint64_t bank = VH_ADAPTER_BANK(0);
	const uint64_t stride = VH_ADAPTER_BANK(1) - bank;

	if (offset >= bank)
		write_bank(&r->bank[(offset - bank) / stride], (offset - bank) % stride,
			   buf, len);
	else if (offset >= VH_ADAPTER_DRV_FEATURES && offset < VH_ADAPTER_CONTROL)
		write_drv_features(r, offset, buf, len);
	else if (offset == VH_ADAPTER_VEC_STATUS && (len == 2 || len == 4))
		r->status_vector = usable_vector(vh_le_get(buf, len));
	else if (len == 4)
		write_global(r, offset, vh_le32_get(buf));
	return 0;
}

/* ---- Vrings ---- */

static void vrings_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct vh_adapter_regs *r = arg;
	uint8_t *to = buf;

	for (size_t done = 0, n; done < len; done += n) {
		const uint64_t at = offset + done;
		const unsigned i = (unsigned)(at / VH_ADAPTER_VRING_SIZE);
		const size_t skip = at % VH_ADAPTER_VRING_SIZE;
		const struct vh_adapter_vring v = {.kick_vec = r->kick_vector[i],
						   .state = r->ops->wires(r->arg, i),
						   .kick_pend = r->kick_pending[i]};

		n = sizeof(v) - skip < len - done ? sizeof(v) - skip : len - done;
		memcpy(to + done, (const uint8_t *)&v + skip, n);
	}
}

static int vrings_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct vh_adapter_regs *r = arg;
	const unsigned i = (unsigned)(offset / VH_ADAPTER_VRING_SIZE);

	switch (offset % VH_ADAPTER_VRING_SIZE) {
	case offsetof(struct vh_adapter_vring, kick_vec):
		if (len == 2 || len == 4)
			r->kick_vector[i] = usable_vector(vh_le_get(buf, len));
		break;
	case offsetof(struct vh_adapter_vring, kick_pend):
		if (len == 4 && vh_le32_get(buf) & 1)
			r->kick_pending[i] = false;
		break;
	default:
		break;
	}
	return 0;
}

/* ---- Doorbells and notifications: the place tells, not the value ---- */

static int doorbells_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct vh_adapter_regs *r = arg;

	(void)buf;
	if (offset % VH_ADAPTER_STRIDE == 0 && len <= 4 && vh_adapter_is_live(r))
		r->ops->doorbell(r->arg, (unsigned)(offset / VH_ADAPTER_STRIDE));
	return 0;
}

static int notify_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct vh_adapter_regs *r = arg;

	(void)buf;
	if (offset % 4 == 0 && len <= 4 && vh_adapter_is_live(r))
		r->ops->notify(r->arg, (unsigned)(offset / 4));
	return 0;
}

/* ---- Memory ---- */

static void memory_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct vh_adapter_regs *r = arg;
	struct vh_adapter_region all[VH_MAX_TABLE_REGIONS] = {0};

	for (unsigned i = 0; i < r->table.n; i++) {
		const struct vh_window_region *from = &r->table.region[i];

		all[i] = (struct vh_adapter_region){.gpa = from->gpa,
						    .size = from->size,
						    .uva = from->uva,
						    .bar_offset = from->at};
	}
	memcpy(buf, (const uint8_t *)all + offset, len);
}

/* ---- All of them ---- */

int vh_adapter_add_blocks(struct vh_adapter_regs *r, struct vh_pci_function *f)
{
	const struct vh_pci_block all[] = {
		{.offset = 0,
		 .size = GLOBALS,
		 .read = globals_read,
		 .write = globals_write},
		{.offset = VH_ADAPTER_VRINGS,
		 .size = VH_ADAPTER_MAX_VRINGS * VH_ADAPTER_VRING_SIZE,
		 .read = vrings_read,
		 .write = vrings_write},
		{.offset = VH_ADAPTER_DOORBELLS,
		 .size = VH_VVU_N_DOORBELLS(VH_ADAPTER_MAX_VRINGS) * VH_ADAPTER_STRIDE,
		 .write = doorbells_write},
		{.offset = VH_ADAPTER_NOTIFY(0),
		 .size = VH_ADAPTER_NOTIFY(VH_ADAPTER_QUEUES) - VH_ADAPTER_NOTIFY(0),
		 .write = notify_write},
		/* The others of the 512 entries would be for F_MEM_SLOTS: zeroes. */
		{.offset = VH_ADAPTER_MEMORY,
		 .size = VH_MAX_TABLE_REGIONS * VH_ADAPTER_MEMORY_SIZE,
		 .read = memory_read},
	};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct vh_pci_block b = all[i];
		int err;

		b.bar = VH_ADAPTER_BAR;
		b.arg = r;
		err = vh_pci_add_block(f, &b);
		if (err)
			return err;
	}
	return 0;
}
