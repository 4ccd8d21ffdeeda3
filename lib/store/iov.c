/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See iov.h.  A guest may write to the pieces while they are copied: whoever does that
 * gets what it asked for.
 */
#include "store/iov.h"

#include <string.h>

#include "base/barrier.h"

/* TSan must not look: a guest has no locks. */
static VH_NO_TSAN void copy(void *to, const void *from, size_t len)
{
#ifdef VH_TSAN
	for (size_t i = 0; i < len; i++)
		((volatile char *)to)[i] = ((const volatile char *)from)[i];
#else
	memcpy(to, from, len);
#endif
}

/* Where the byte @skip is: the piece, and *@at in it. */
static unsigned find(const struct iovec *iov, unsigned n, uint64_t skip, size_t *at)
{
	unsigned i = 0;

	while (i < n && skip >= iov[i].iov_len)
		skip -= iov[i++].iov_len;
	*at = (size_t)skip;
	return i;
}

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

void vh_iov_from_buf(const struct iovec *iov, unsigned n, uint64_t skip, const void *buf,
		     size_t len)
{
	const char *from = buf;
	size_t at;

	for (unsigned i = find(iov, n, skip, &at); i < n && len; i++, at = 0) {
		const size_t part = min(len, iov[i].iov_len - at);

		copy((char *)iov[i].iov_base + at, from, part);
		from += part;
		len -= part;
	}
}

void vh_iov_to_buf(const struct iovec *iov, unsigned n, uint64_t skip, void *buf,
		   size_t len)
{
	char *to = buf;
	size_t at;

	for (unsigned i = find(iov, n, skip, &at); i < n && len; i++, at = 0) {
		const size_t part = min(len, iov[i].iov_len - at);

		copy(to, (const char *)iov[i].iov_base + at, part);
		to += part;
		len -= part;
	}
}

unsigned vh_iov_after(const struct iovec *iov, unsigned n, uint64_t skip,
		      struct iovec *out)
{
	unsigned n_out = 0;
	size_t at;

	for (unsigned i = find(iov, n, skip, &at); i < n; i++, at = 0)
		out[n_out++] = (struct iovec){
			.iov_base = (char *)iov[i].iov_base + at,
			.iov_len = iov[i].iov_len - at,
		};
	return n_out;
}
