/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sleep and wake at a ring: the device asks for a kick, looks once more and sleeps; the
 * driver makes a buffer available and kicks if the device asked.
 *
 * Each side's store waits in a store buffer until the memory system takes it, any time
 * later; a full fence waits for that.  A lost wake-up is a device that sleeps for ever:
 * an invalid end state.  Without either fence (-DNO_DEVICE_FENCE, -DNO_DRIVER_FENCE)
 * there must be one.
 */
#define ROUNDS 2

byte avail, taken;             /* the ring: buffers, in memory, and those processed   */
byte avail_store;              /* the driver's store buffer: value, or 0 for empty    */
bool want, want_store, want_value; /* the flag, and the device's store buffer         */
chan kick = [ROUNDS] of { bit };   /* an eventfd: what was written stays              */

/* The memory system. */
active proctype memory()
{
end:
	do
	:: atomic { avail_store -> avail = avail_store; avail_store = 0 }
	:: atomic { want_store -> want = want_value; want_store = false }
	od
}

active proctype driver()
{
	byte n = 0;

	do
	:: n < ROUNDS ->
		n++;
		(avail_store == 0);
		avail_store = n;
#ifndef NO_DRIVER_FENCE
		(avail_store == 0);
#endif
		if
		:: want -> kick!1
		:: else
		fi
	:: n == ROUNDS -> break
	od
}

active proctype device()
{
	do
	:: taken == ROUNDS -> break
	:: taken < avail -> taken = avail
	:: taken < ROUNDS && taken == avail ->
		(!want_store);
		want_value = true; want_store = true;
#ifndef NO_DEVICE_FENCE
		(!want_store);
#endif
		if
		:: taken < avail -> skip  /* more came meanwhile: go on */
		:: else -> kick?1
		fi;
		(!want_store);
		want_value = false; want_store = true
	od
}
