/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sleep and wake at a mailbox: two posters push and write the eventfd if the taker is
 * armed; the taker drains, arms, looks once more and sleeps.
 *
 * Pushing is one atomic operation on the list, but the flag may be read before it is
 * visible unless there is a full fence between; the taker's flag waits in a store buffer
 * likewise.  Without either fence (-DNO_TAKER_FENCE, -DNO_POSTER_FENCE) a taker must be
 * found that sleeps for ever.
 */
#define POSTERS 2

byte posted;                   /* in the list, visible to all                        */
bool pending[POSTERS];         /* pushed, but not visible yet                        */
byte drained;
bool armed, armed_store;       /* the flag, and a store of true that is under way    */
chan eventfd = [POSTERS] of { bit };

active proctype memory()
{
end:
	do
	:: atomic { pending[0] -> posted++; pending[0] = false }
	:: atomic { pending[1] -> posted++; pending[1] = false }
	:: atomic { armed_store -> armed = true; armed_store = false }
	od
}

active [POSTERS] proctype poster()
{
	byte me = _pid - 1;

	pending[me] = true;
#ifndef NO_POSTER_FENCE
	(!pending[me]);
#endif
	/* One of those who find it armed takes the flag and wakes the taker. */
	if
	:: atomic { armed -> armed = false }; eventfd!1
	:: !armed
	fi
}

active proctype taker()
{
	do
	:: drained == POSTERS -> break
	:: drained < posted -> drained = posted
	:: drained < POSTERS && drained == posted ->
		armed_store = true;
#ifndef NO_TAKER_FENCE
		(!armed_store);
#endif
		if
		:: drained < posted -> skip
		:: else -> eventfd?1
		fi;
		(!armed_store);
		armed = false;
		do
		:: nempty(eventfd) -> eventfd?1
		:: empty(eventfd) -> break
		od
	od
}
