/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each word that the driver wrote is read once.  The pages of the ring cannot be
 * touched; a touch opens them for one instruction, and then the word that it read is
 * no longer what it was.  Who looks twice finds rubbish.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "guest.h"

#if !defined(__x86_64__) || !defined(REG_EFL)
int main(void)
{
	return 77; /* single steps are told to the processor in its own way */
}
#else

#define PAGE	  4096u
#define TRAP_FLAG 0x100

/* Guest addresses, each of a page of its own. */
enum { WORDS = 0x40000 };

/* What is being watched; the test's own thread is the only one that touches it. */
static uint8_t *watched, *touched;
static unsigned n_touches;
static size_t table_word; /* bytes of a table that are read at once */

static void lock(int protection)
{
	mprotect(watched, 3 * PAGE, protection);
}

static size_t word_at(const uint8_t *p)
{
	if (p < watched + PAGE)
		return sizeof(uint64_t);
	return p < watched + 2 * PAGE ? sizeof(uint16_t) : table_word;
}

static void on_touch(int sig, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	touched = info->si_addr;
	if (touched < watched || touched >= watched + 3 * PAGE) {
		signal(sig, SIG_DFL);
		return;
	}
	n_touches++;
	lock(PROT_READ | PROT_WRITE);
	c->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int sig, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	(void)sig;
	(void)info;
	for (size_t i = 0, n = word_at(touched); i < n; i++)
		((volatile uint8_t *)touched)[i] = 0xee;
	lock(PROT_NONE);
	c->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static void watch(void)
{
	const struct sigaction touch = {.sa_sigaction = on_touch, .sa_flags = SA_SIGINFO};
	const struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};

	n_touches = 0;
	sigaction(SIGSEGV, &touch, NULL);
	sigaction(SIGTRAP, &step, NULL);
	lock(PROT_NONE);
}

/* ---- A guest whose ring stands in those pages ---- */

/* Where our page begins that lies in the guest's at @gpa. */
static uint64_t page_gpa(const struct guest *g, uint64_t gpa)
{
	const uintptr_t at = (uintptr_t)guest_at(g, gpa);

	return gpa + ((at + PAGE - 1) / PAGE * PAGE - at);
}

static void make(struct guest *g)
{
	guest_make(g, 16);
	watched = guest_at(g, page_gpa(g, WORDS));
	g->layout.desc = watched;
	g->layout.avail = watched + PAGE;
	vh_ring_place(g->ring, &g->layout, g->map, NULL);
}

static void put_desc(uint8_t *at, uint64_t gpa, uint32_t len, unsigned flags,
		     unsigned next)
{
	const struct vring_desc d = {.addr = gpa,
				     .len = len,
				     .flags = (uint16_t)flags,
				     .next = (uint16_t)next};

	memcpy(at, &d, sizeof(d));
}

static void put_avail(const uint16_t *heads, uint16_t n)
{
	memcpy(watched + PAGE + 2, &n, sizeof(n));
	memcpy(watched + PAGE + 4, heads, n * sizeof(*heads));
}

static void expect_seg(const struct vh_seg *seg, uint64_t gpa, uint32_t len)
{
	assert_int_equal(seg->gpa, gpa);
	assert_int_equal(seg->len, len);
}

static void each_word_of_a_chain_is_read_once(void **state)
{
	const uint16_t heads[] = {3, 1};
	struct vh_chain *c[4];
	struct guest g;
	int n;

	make(&g);
	put_desc(watched + 16, LOW, 64, WRITE, 0);
	put_desc(watched + 48, LOW + 64, 32, NEXT, 5);
	put_desc(watched + 80, HIGH, 16, NEXT | WRITE, 6);
	put_desc(watched + 96, HIGH + 16, 8, WRITE, 0);
	put_avail(heads, 2);
	watch();
	n = vh_ring_pop(g.ring, c, 4);
	lock(PROT_READ | PROT_WRITE);
	assert_int_equal(n, 2);
	assert_int_equal(c[0]->head, 3);
	assert_int_equal(c[0]->n_out, 1);
	assert_int_equal(c[0]->n_in, 2);
	expect_seg(&vh_chain_segs(c[0])[0], LOW + 64, 32);
	expect_seg(&vh_chain_segs(c[0])[1], HIGH, 16);
	expect_seg(&vh_chain_segs(c[0])[2], HIGH + 16, 8);
	expect_seg(&vh_chain_segs(c[1])[0], LOW, 64);
	/* The index, two entries, two words for each descriptor. */
	assert_int_equal(n_touches, 1 + 2 + 2 * 4);
	guest_free(&g);
}

/* A table of two, @skew bytes behind an aligned place. */
static void check_table(unsigned skew, size_t word)
{
	const uint16_t heads[] = {2};
	const uint64_t table = skew;
	struct vh_chain *c[4];
	struct guest g;
	int n;

	make(&g);
	table_word = word;
	put_desc(watched + 32, page_gpa(&g, WORDS) + 2 * PAGE + table, 32, TABLE, 0);
	put_desc(watched + 2 * PAGE + table, LOW, 64, NEXT, 1);
	put_desc(watched + 2 * PAGE + table + 16, HIGH, 8, WRITE, 0);
	put_avail(heads, 1);
	watch();
	n = vh_ring_pop(g.ring, c, 4);
	lock(PROT_READ | PROT_WRITE);
	assert_int_equal(n, 1);
	expect_seg(&vh_chain_segs(c[0])[0], LOW, 64);
	expect_seg(&vh_chain_segs(c[0])[1], HIGH, 8);
	assert_int_equal(n_touches, 1 + 1 + 2 + 2 * 16 / word);
	guest_free(&g);
}

static void each_word_of_a_table_is_read_once(void **state)
{
	if (!(guest_features & 1ULL << VIRTIO_RING_F_INDIRECT_DESC))
		return;
	check_table(0, sizeof(uint64_t));
	check_table(8, sizeof(uint64_t));
	check_table(3, 1); /* byte by byte, where it is not aligned */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_word_of_a_chain_is_read_once),
		cmocka_unit_test(each_word_of_a_table_is_read_once),
	};

	return guest_run(tests, sizeof(tests) / sizeof(tests[0]));
}
#endif
