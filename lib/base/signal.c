/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells.  They are rung here and never listened to: whoever waits for one
 * has the fd in a loop.  Made, counted and freed on the control thread, fired
 * on any.
 */
#include "base/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/cleanup.h"

/*
 * Is @fd an eventfd?  /proc says so by name, without asking its file system.  Where it is
 * not mounted, what is left after fstat() are the kernel's nameless files; an eventfd is
 * the one that refuses a sum of 2^64 - 1, without taking it, while all others that refuse
 * a write refuse every one, and so cannot block us either.
 */
static bool fd_is_eventfd(int fd)
{
	static const char name[] = "anon_inode:[eventfd]";
	const uint64_t never = UINT64_MAX;
	char link[40], target[sizeof(name)];
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target));
	if (n >= 0)
		return n == sizeof(name) - 1 && !memcmp(target, name, sizeof(name) - 1);
	if (fstat(fd, &st) < 0 || st.st_mode & S_IFMT)
		return false;
	return write(fd, &never, sizeof(never)) < 0 && errno == EINVAL;
}

static int fd_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int signal_create(const struct vh_signal *init, struct vh_signal **s)
{
	*s = malloc(sizeof(**s));
	if (!*s)
		return -ENOMEM;
	**s = *init;
	return 0;
}

int vh_signal_from_eventfd(int fd, struct vh_signal **s)
{
	VH_AUTO_FD int owned = fd;
	int err;

	*s = NULL;
	if (!fd_is_eventfd(fd))
		return -EINVAL;
	err = fd_set_nonblocking(fd);
	if (err)
		return err;
	err = signal_create(&(struct vh_signal){.refs = 1, .fd = fd}, s);
	if (!err)
		vh_fd_take(&owned);
	return err;
}

int vh_signal_from_register(volatile void *reg, uint8_t width, uint32_t value,
			    struct vh_signal **s)
{
	*s = NULL;
	if (!reg || (width != 1 && width != 2 && width != 4) || (uintptr_t)reg % width)
		return -EINVAL;
	return signal_create(
		&(struct vh_signal){
			.refs = 1, .fd = -1, .reg = reg, .width = width, .value = value},
		s);
}

int vh_signal_from_counter(volatile uint32_t *counter, struct vh_signal **s)
{
	*s = NULL;
	if (!counter || (uintptr_t)counter % sizeof(*counter))
		return -EINVAL;
	return signal_create(&(struct vh_signal){.refs = 1, .fd = -1, .reg = counter}, s);
}

struct vh_signal *vh_signal_get(struct vh_signal *s)
{
	if (s)
		s->refs++;
	return s;
}

void vh_signal_put(struct vh_signal *s)
{
	if (!s || --s->refs)
		return;
	vh_fd_drop(&s->fd);
	free(s);
}

static void register_write(const struct vh_signal *s)
{
	if (!s->width)
		/* Who sees the count sees what it is about. */
		vh_fetch_add((volatile uint32_t *)s->reg, 1);
	else if (s->width == 1)
		*(volatile uint8_t *)s->reg = (uint8_t)s->value;
	else if (s->width == 2)
		*(volatile uint16_t *)s->reg = (uint16_t)s->value;
	else
		*(volatile uint32_t *)s->reg = s->value;
}

void vh_signal_fire(const struct vh_signal *s)
{
	const uint64_t one = 1;

	if (s->fd < 0)
		register_write(s);
	else if (write(s->fd, &one, sizeof(one)) < 0)
		return; /* EAGAIN: it is pending already; nothing else can be helped here
			 */
}
