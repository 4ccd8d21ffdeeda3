/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The only file that spells a memory order.  Elsewhere, the call says in a
 * comment what must be seen before what.
 *
 * Guest words are written by another address space at any time.  They are read
 * once, through vh_guest_read*(): a plain load that the compiler can neither
 * repeat nor tear, and that TSan does not look at.  TSan does not model fences
 * either; under it vh_fence_full() becomes a read-modify-write that it knows.
 */
#ifndef VH_BASE_BARRIER_H
#define VH_BASE_BARRIER_H

#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define VH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VH_TSAN 1
#endif
#endif

#ifdef VH_TSAN
#define VH_NO_TSAN __attribute__((no_sanitize("thread"), noinline))
#else
#define VH_NO_TSAN inline __attribute__((always_inline))
#endif

/* ---- Words shared with a peer (ring indices, flags, descriptors) ---- */

static VH_NO_TSAN __attribute__((unused)) uint8_t vh_guest_read8(const void *p)
{
	return *(const volatile uint8_t *)p;
}

static VH_NO_TSAN __attribute__((unused)) uint16_t vh_guest_read16(const void *p)
{
	return *(const volatile uint16_t *)p;
}

static VH_NO_TSAN __attribute__((unused)) uint32_t vh_guest_read32(const void *p)
{
	return *(const volatile uint32_t *)p;
}

static VH_NO_TSAN __attribute__((unused)) uint64_t vh_guest_read64(const void *p)
{
	return *(const volatile uint64_t *)p;
}

static VH_NO_TSAN __attribute__((unused)) void vh_guest_write8(void *p, uint8_t v)
{
	*(volatile uint8_t *)p = v;
}

static VH_NO_TSAN __attribute__((unused)) void vh_guest_write16(void *p, uint16_t v)
{
	*(volatile uint16_t *)p = v;
}

static VH_NO_TSAN __attribute__((unused)) void vh_guest_write32(void *p, uint32_t v)
{
	*(volatile uint32_t *)p = v;
}

static VH_NO_TSAN __attribute__((unused)) void vh_guest_write64(void *p, uint64_t v)
{
	*(volatile uint64_t *)p = v;
}

/* Everything read later was written by the peer before it wrote *@p. */
static inline uint16_t vh_guest_read16_acquire(const void *p)
{
	return __atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE);
}

/* A peer that sees @v in *@p sees all that we wrote before. */
static inline void vh_guest_write16_release(void *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, v, __ATOMIC_RELEASE);
}

/* ---- Fences ---- */

/*
 * What stands before is visible to everybody before anything behind is read:
 * the store-load order that each side of a sleep/wake handshake needs.
 */
static inline void vh_fence_full(void)
{
#ifdef VH_TSAN
	static uint32_t everybody;

	__atomic_fetch_add(&everybody, 1, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

static inline void vh_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* ---- Between our own threads ---- */

#define vh_load_relaxed(p)	  __atomic_load_n((p), __ATOMIC_RELAXED)
#define vh_store_relaxed(p, v)	  __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define vh_load_acquire(p)	  __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define vh_store_release(p, v)	  __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define vh_exchange(p, v)	  __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define vh_fetch_add(p, v)	  __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define vh_fetch_or_release(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELEASE)

/*
 * *@p becomes @v if it is *@expected, else *@expected becomes *@p; true when it
 * was stored.  It may fail for no reason.  Who sees @v sees all written before.
 */
#define vh_compare_exchange_release(p, expected, v)                            \
	__atomic_compare_exchange_n((p), (expected), (v), 1, __ATOMIC_RELEASE, \
				    __ATOMIC_RELAXED)

/* Set *@p to 1 if it was 0; false if somebody holds it.  Pairs with vh_unlock(). */
static inline int vh_try_lock(uint32_t *p)
{
	return !__atomic_load_n(p, __ATOMIC_RELAXED) &&
	       !__atomic_exchange_n(p, 1, __ATOMIC_ACQUIRE);
}

static inline void vh_unlock(uint32_t *p)
{
	__atomic_store_n(p, 0, __ATOMIC_RELEASE);
}

/* A counter with one writer and any number of readers. */
static inline void vh_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n,
			 __ATOMIC_RELAXED);
}

#endif
