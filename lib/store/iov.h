/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes between a flat buffer and the pieces of a request.  Any thread. */
#ifndef VH_STORE_IOV_H
#define VH_STORE_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * Copy @len bytes, beginning @skip bytes into the pieces.  They hold as many, or else
 * less is copied.
 */
void vh_iov_from_buf(const struct iovec *iov, unsigned n, uint64_t skip, const void *buf,
		     size_t len);
void vh_iov_to_buf(const struct iovec *iov, unsigned n, uint64_t skip, void *buf,
		   size_t len);

/*
 * The pieces that hold what comes @skip bytes in, written to @out, which has room for
 * @n: how many.
 */
unsigned vh_iov_after(const struct iovec *iov, unsigned n, uint64_t skip,
		      struct iovec *out);

#endif
