/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registers of the vhost-pci adapter, whose driver reads and writes them as it likes
 * while front-ends come, kick and go.  Input: a byte an operation, each followed by what
 * it needs.
 */
#include <errno.h>
#include <stdbool.h>

#include "fuzz.h"
#include "spec/vhost_user.h"
#include "spec/vvu.h"
#include "vvu/adapter_regs.h"

enum { MAX_LEN = 64 };

#define FEATURES (VH_BIT(VH_ADAPTER_F_VERSION_1) | 0xf)

enum op {
	OP_READ,     /* offset (16 bits), length                                  */
	OP_WRITE,    /* ... bytes                                                 */
	OP_REGISTER, /* which, value (32 bits)                                    */
	OP_BEGIN,    /* all that a good driver writes; features                   */
	OP_ANSWERS,  /* are queues usable, is somebody there to hear?             */
	OP_SESSION,  /* a front-end comes, if one may                             */
	OP_END,	     /* it goes; why                                              */
	OP_FAIL,
	OP_USED,   /* queue                                                     */
	OP_KICK,   /* vring (16 bits)                                           */
	OP_MEMORY, /* number of regions, bytes of them                          */
	OP_AREA,   /* which, offset, size                                       */
	OP_COUNT
};

struct state {
	struct vh_pci_function fn;
	struct vh_adapter_regs regs;
	bool unusable, deaf;
	bool ready;   /* the owner was told that sessions may begin, ... */
	bool session; /* ... one did, and was not over                   */
	struct vh_adapter_bank enabled[VH_ADAPTER_QUEUES];
};

/* ---- The owner ---- */

static void on_reset(void *arg)
{
	struct state *s = arg;

	s->ready = s->session = false;
}

static void on_features(void *arg)
{
	const struct state *s = arg;

	FUZZ_CHECK(!(s->regs.drv_features & ~FEATURES));
	FUZZ_CHECK(s->regs.drv_features & VH_BIT(VH_ADAPTER_F_VERSION_1));
}

static int on_check(void *arg)
{
	struct state *s = arg;

	FUZZ_CHECK(!s->ready);
	for (unsigned q = 0; q < VH_ADAPTER_QUEUES; q++) {
		const struct vh_adapter_bank *b = &s->regs.bank[q];

		FUZZ_CHECK(b->enabled && b->desc % 16 == 0 && b->avail % 2 == 0);
		s->enabled[q] = *b;
	}
	return s->unusable ? -EFAULT : 0;
}

static void on_ready(void *arg, bool ready)
{
	struct state *s = arg;

	/* Not to be ready may be said twice: after a session's end it is so already. */
	FUZZ_CHECK(!ready || (!s->ready && !s->session));
	s->ready = ready;
	if (!ready)
		s->session = false;
}

static void on_notify(void *arg, unsigned q)
{
	const struct state *s = arg;

	FUZZ_CHECK(q < VH_ADAPTER_QUEUES && vh_adapter_is_live(&s->regs));
}

static void on_doorbell(void *arg, unsigned n)
{
	const struct state *s = arg;

	FUZZ_CHECK(n < VH_VVU_N_DOORBELLS(VH_ADAPTER_MAX_VRINGS));
	FUZZ_CHECK(vh_adapter_is_live(&s->regs));
}

static uint16_t on_wires(void *arg, unsigned vring)
{
	(void)arg;
	FUZZ_CHECK(vring < VH_ADAPTER_MAX_VRINGS);
	return 0x1f;
}

static bool on_interrupt(void *arg, uint16_t vector)
{
	const struct state *s = arg;

	FUZZ_CHECK(vector < VH_ADAPTER_VECTORS);
	return !s->deaf;
}

static const struct vh_adapter_regs_ops ops = {
	.reset = on_reset,
	.features = on_features,
	.check = on_check,
	.ready = on_ready,
	.notify = on_notify,
	.doorbell = on_doorbell,
	.wires = on_wires,
	.interrupt = on_interrupt,
};

/* ---- What must hold ---- */

static void check_status(const struct state *s)
{
	const uint32_t st = s->regs.status;
	const uint32_t both = VH_ADAPTER_STATUS_CONNECTED | VH_ADAPTER_STATUS_QUIESCE;

	if (st & VH_ADAPTER_STATUS_FAILED) {
		FUZZ_CHECK(st == VH_ADAPTER_STATUS_FAILED);
		return;
	}
	FUZZ_CHECK(!(st & VH_ADAPTER_STATUS_LIVE) || st & VH_ADAPTER_STATUS_FEATURES_OK);
	FUZZ_CHECK(!(st & both) || st & VH_ADAPTER_STATUS_LIVE);
	FUZZ_CHECK((st & both) != both);
	FUZZ_CHECK(s->session == !!(st & VH_ADAPTER_STATUS_CONNECTED));
	/* The owner may begin a session exactly while nobody has to answer for one. */
	FUZZ_CHECK(s->ready ==
		   (st & VH_ADAPTER_STATUS_LIVE && !(st & VH_ADAPTER_STATUS_QUIESCE)));
}

static void check_banks(const struct state *s)
{
	for (unsigned q = 0; q < VH_ADAPTER_QUEUES; q++) {
		const struct vh_adapter_bank *b = &s->regs.bank[q], *was = &s->enabled[q];

		FUZZ_CHECK(b->size >= 2 && b->size <= VH_ADAPTER_QUEUE_SIZE);
		FUZZ_CHECK(b->vector < VH_ADAPTER_VECTORS ||
			   b->vector == VH_ADAPTER_NO_VECTOR);
		if (vh_adapter_is_live(&s->regs))
			FUZZ_CHECK(b->enabled && b->size == was->size &&
				   b->desc == was->desc && b->avail == was->avail &&
				   b->used == was->used);
	}
	FUZZ_CHECK(!(s->regs.mem_gen & 1) && s->regs.table.n <= VH_MAX_TABLE_REGIONS);
}

/* ---- The driver ---- */

static void touch(struct state *s, struct fuzz_input *in, bool write)
{
	const uint64_t offset = fuzz_u16(in);
	const size_t len = fuzz_u8(in) % MAX_LEN;
	uint8_t buf[MAX_LEN];
	int err;

	if (write) {
		fuzz_bytes(in, buf, len);
		err = vh_pci_bar_write(&s->fn, VH_ADAPTER_BAR, offset, buf, len);
	} else {
		err = vh_pci_bar_read(&s->fn, VH_ADAPTER_BAR, offset, buf, len);
	}
	FUZZ_CHECK(!err || err == -EINVAL);
}

static void put(struct state *s, uint64_t at, uint64_t v, size_t len)
{
	FUZZ_CHECK(vh_pci_bar_write(&s->fn, VH_ADAPTER_BAR, at, &v, len) == 0);
}

static const uint16_t registers[] = {
	VH_ADAPTER_CONTROL,
	VH_ADAPTER_CONTROL,
	VH_ADAPTER_SESSION_ACK,
	VH_ADAPTER_INT_STATUS,
	VH_ADAPTER_VEC_STATUS,
	VH_ADAPTER_DRV_FEATURES,
	VH_ADAPTER_DRV_FEATURES + 4,
	VH_ADAPTER_BANK(0) + VH_ADAPTER_Q_SIZE,
	VH_ADAPTER_BANK(0) + VH_ADAPTER_Q_DESC,
	VH_ADAPTER_BANK(0) + VH_ADAPTER_Q_ENABLE,
	VH_ADAPTER_BANK(1) + VH_ADAPTER_Q_USED,
	VH_ADAPTER_BANK(1) + VH_ADAPTER_Q_ENABLE,
	VH_ADAPTER_NOTIFY(1),
	VH_ADAPTER_DOORBELLS + 4,
	VH_ADAPTER_VRINGS,
	VH_ADAPTER_VRINGS + 4,
};

static void touch_register(struct state *s, struct fuzz_input *in)
{
	const unsigned i = fuzz_u8(in) % (sizeof(registers) / sizeof(registers[0]));

	put(s, registers[i], fuzz_u32(in), 4);
}

static void begin_driver(struct state *s, uint64_t features)
{
	put(s, VH_ADAPTER_DRV_FEATURES, features | VH_BIT(VH_ADAPTER_F_VERSION_1), 8);
	put(s, VH_ADAPTER_CONTROL, VH_ADAPTER_CONTROL_FEATURES_OK, 4);
	put(s, VH_ADAPTER_BANK(0) + VH_ADAPTER_Q_ENABLE, 1, 4);
	put(s, VH_ADAPTER_BANK(1) + VH_ADAPTER_Q_ENABLE, 1, 4);
	put(s, VH_ADAPTER_CONTROL,
	    VH_ADAPTER_CONTROL_FEATURES_OK | VH_ADAPTER_CONTROL_READY, 4);
}

/* ---- The front-end, through the owner ---- */

static void begin_session(struct state *s)
{
	if (!s->ready || s->session)
		return;
	s->session = true;
	vh_adapter_session_begins(&s->regs);
}

/* The relay is not ready any more when its session ends. */
static void end_session(struct state *s, uint8_t why)
{
	if (!s->session)
		return;
	s->session = s->ready = false;
	vh_adapter_session_ends(&s->regs, why % (VH_RELAY_HOST_ERROR + 1));
}

static void fail(struct state *s)
{
	if (!vh_adapter_is_live(&s->regs))
		return;
	s->session = s->ready = false;
	vh_adapter_fail(&s->regs, VH_RELAY_BAD_QUEUE);
}

static void set_memory(struct state *s, struct fuzz_input *in)
{
	struct vh_window_table table = {.n = fuzz_u8(in) % (VH_MAX_TABLE_REGIONS + 1)};

	fuzz_bytes(in, table.region, sizeof(table.region));
	vh_adapter_set_memory(&s->regs, &table);
}

/* ---- One input ---- */

static void front_end(struct state *s, struct fuzz_input *in, uint8_t op)
{
	const uint8_t which = op == OP_SESSION || op == OP_FAIL ? 0 : fuzz_u8(in);

	switch (op) {
	case OP_SESSION:
		return begin_session(s);
	case OP_END:
		return end_session(s, which);
	case OP_FAIL:
		return fail(s);
	case OP_USED:
		return vh_adapter_used(&s->regs, which % VH_ADAPTER_QUEUES);
	case OP_KICK:
		return vh_adapter_kicked(&s->regs, which * 2u);
	case OP_MEMORY:
		return set_memory(s, in);
	case OP_AREA:
		return vh_adapter_set_area(&s->regs, which, fuzz_u64(in), fuzz_u64(in));
	default:
		s->unusable = which & 1;
		s->deaf = which & 2;
		return;
	}
}

static void driver(struct state *s, struct fuzz_input *in, uint8_t op)
{
	if (op == OP_BEGIN)
		begin_driver(s, fuzz_u8(in));
	else if (op == OP_REGISTER)
		touch_register(s, in);
	else
		touch(s, in, op == OP_WRITE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t uuid[16];
	static struct state s;
	struct fuzz_input in = {data, size};
	const struct vh_adapter_regs_params p = {
		.features = FEATURES, .uuid = uuid, .ops = &ops, .arg = &s};

	memset(&s, 0, sizeof(s));
	FUZZ_CHECK(vh_adapter_regs_init(&s.regs, &s.fn, &p) == 0);
	while (in.left) {
		const uint8_t op = fuzz_u8(&in) % OP_COUNT;

		if (op <= OP_BEGIN)
			driver(&s, &in, op);
		else
			front_end(&s, &in, op);
		check_status(&s);
		check_banks(&s);
	}
	return 0;
}
