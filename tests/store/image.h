/* SPDX-License-Identifier: BSD-3-Clause */
/* A file of a disk, in memory (tmpfs) or on the disk of the build folder. */
#ifndef TESTS_STORE_IMAGE_H
#define TESTS_STORE_IMAGE_H

#include "store/rig.h"

#include <fcntl.h>
#include <sys/stat.h>

struct image {
	char dir[64];
	char path[128];
	char word[160]; /* "file=" and the path */
};

static inline void image_new(struct image *i, const char *folder, off_t len)
{
	int fd;

	snprintf(i->dir, sizeof(i->dir), "%s/vhost-store-XXXXXX", folder);
	assert_non_null(mkdtemp(i->dir));
	snprintf(i->path, sizeof(i->path), "%s/disk.raw", i->dir);
	snprintf(i->word, sizeof(i->word), "file=%s", i->path);
	fd = open(i->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, len), 0);
	close(fd);
}

static inline void image_delete(struct image *i)
{
	unlink(i->path);
	rmdir(i->dir);
}

/* What is in the file, past the store. */
static inline void image_read(const struct image *i, off_t off, void *buf, size_t len)
{
	int fd = open(i->path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, buf, len, off), len);
	close(fd);
}

#define IN_MEMORY "/dev/shm"
#define ON_DISK	  "."

#endif
