/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a file or a block device can, asked when it is opened: on the control thread, and
 * blocking.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "store/file.h"

#define SECTOR 512

/* The kind of file, and how it was asked for. */
struct probe {
	char tag[32];
	struct vh_file *f;
	const struct vh_store_params *p;
	bool readonly;
	struct stat st;
};

/* ---- Opening ---- */

static int cannot_open(const struct probe *b, int err)
{
	const char *advice = "";

	if (!b->readonly && (err == -EROFS || err == -EACCES || err == -EPERM))
		advice = "; readonly=on would do with reading";
	else if (err == -ENOENT)
		advice = "; make it: truncate -s 16G PATH";
	vh_log(b, VH_LOG_ERROR, "%s: %s%s", b->f->path, vh_strerror(err), advice);
	return err;
}

static int open_path(struct probe *b)
{
	const int flags = (b->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK |
			  O_NOCTTY;

	if (!b->p->no_direct)
		b->f->fd = open(b->f->path, flags | O_DIRECT);
	b->f->direct = b->f->fd >= 0;
	if (b->f->fd < 0)
		b->f->fd = open(b->f->path, flags);
	if (b->f->fd < 0 || fstat(b->f->fd, &b->st))
		return cannot_open(b, -errno);
	b->f->is_device = S_ISBLK(b->st.st_mode);
	if (b->f->is_device || S_ISREG(b->st.st_mode))
		return 0;
	vh_log(b, VH_LOG_ERROR, "%s: neither a file nor a block device", b->f->path);
	return -EINVAL;
}

/* ---- One writer at a time ---- */

#define LOCK_WAIT_MS 10000
#define LOCK_LOOK_MS 5
#define LOCK_SAY_MS  500

/* 0, or the errno of the last try. */
static int try_lock(const struct probe *b)
{
	struct flock l = {.l_type = b->readonly ? F_RDLCK : F_WRLCK,
			  .l_whence = SEEK_SET};

	return fcntl(b->f->fd, F_OFD_SETLK, &l) ? errno : 0;
}

/*
 * The lock belongs to the open file, and goes with the last user of that: which may be a
 * request that a killed process left in the kernel.  It has to be waited for, or it would
 * overwrite what we write.  So the lock is not only there to keep others out.
 *
 * It covers all bytes, so it meets the locks of QEMU, which are on some.
 */
static int lock(struct probe *b)
{
	const struct timespec look = {.tv_nsec = LOCK_LOOK_MS * 1000000};

	if (b->p->no_lock)
		return 0;
	errno = try_lock(b);
	for (unsigned ms = 0; errno == EAGAIN && ms < LOCK_WAIT_MS; ms += LOCK_LOOK_MS) {
		if (ms == LOCK_SAY_MS)
			vh_log(b, VH_LOG_INFO,
			       "%s: waiting up to %u s for the last one who used it",
			       b->f->path, LOCK_WAIT_MS / 1000);
		nanosleep(&look, NULL);
		errno = try_lock(b);
	}
	if (!errno)
		return 0;
	if (errno != EAGAIN && errno != EACCES) {
		vh_log(b, VH_LOG_WARN,
		       "%s: no lock: %s; see that nobody else writes to it", b->f->path,
		       vh_strerror(-errno));
		return 0;
	}
	vh_log(b, VH_LOG_ERROR,
	       "%s: another program uses it (`lslocks` or `fuser %s` say which): end "
	       "that, or%s say lock=off when you know that it does no harm",
	       b->f->path, b->f->path,
	       b->readonly ? "" : " open both with readonly=on, or");
	return -EBUSY;
}

/* ---- Block devices ---- */

/* A number of sysfs: @name of a device, or of the disk when it is a partition. */
static bool read_sysfs(const struct probe *b, const char *name, const char *format,
		       unsigned *x, unsigned *y)
{
	static const char *const up[] = {"", "../"};

	for (unsigned i = 0; i < 2; i++) {
		char path[128];
		FILE *f;
		int n;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s%s",
			 major(b->st.st_rdev), minor(b->st.st_rdev), up[i], name);
		f = fopen(path, "re");
		if (!f)
			continue;
		n = fscanf(f, format, x, y);
		fclose(f);
		return n >= 1;
	}
	return false;
}

/* eMMC tells its wear in the terms that virtio took over from it. */
static void probe_wear(const struct probe *b, struct vh_store_info *info)
{
	unsigned a, z = 0, eol;

	if (!read_sysfs(b, "device/life_time", "%x %x", &a, &z) ||
	    !read_sysfs(b, "device/pre_eol_info", "%x", &eol, NULL))
		return;
	info->has_lifetime = true;
	info->lifetime_a = (uint16_t)a;
	info->lifetime_b = (uint16_t)z;
	info->pre_eol = (uint16_t)eol;
}

static void probe_discard(const struct probe *b, struct vh_store_info *info)
{
	unsigned max = 0, unit = 0;

	info->discard = read_sysfs(b, "queue/discard_max_bytes", "%u", &max, NULL) && max;
	if (info->discard &&
	    read_sysfs(b, "queue/discard_granularity", "%u", &unit, NULL))
		info->discard_unit = unit;
}

static int probe_device(const struct probe *b, struct vh_store_info *info)
{
	int block = SECTOR;
	unsigned physical = SECTOR, optimal = 0;

	if (ioctl(b->f->fd, BLKSSZGET, &block) || ioctl(b->f->fd, BLKPBSZGET, &physical))
		return cannot_open(b, -errno);
	ioctl(b->f->fd, BLKIOOPT, &optimal);
	info->block_size = (uint32_t)block;
	info->physical_block = physical;
	info->optimal_io = optimal;
	probe_discard(b, info);
	probe_wear(b, info);
	return 0;
}

/* ---- Files ---- */

static void probe_regular(const struct probe *b, struct vh_store_info *info)
{
	const uint64_t block = (uint64_t)b->st.st_blksize;
	struct statfs fs;

	b->f->is_memory = !fstatfs(b->f->fd, &fs) && fs.f_type == TMPFS_MAGIC;
	info->block_size = info->physical_block = info->discard_unit = SECTOR;
	if (vh_is_power_of_two(block) && block >= SECTOR && block <= 65536)
		info->physical_block = info->discard_unit = (uint32_t)block;
	info->discard = true;
}

/* ---- O_DIRECT ---- */

static bool ask_statx(struct vh_file *f)
{
#ifdef STATX_DIOALIGN
	struct statx sx;

	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) ||
	    !(sx.stx_mask & STATX_DIOALIGN))
		return false;
	f->mem_align = sx.stx_dio_mem_align;
	f->off_align = sx.stx_dio_offset_align;
	return true;
#else
	(void)f;
	return false;
#endif
}

/* The smallest piece that can be read: what an older kernel has for an answer. */
static uint32_t try_reading(int fd)
{
	uint32_t align = 0;
	void *page;

	if (posix_memalign(&page, 4096, 4096))
		return 0;
	for (uint32_t n = SECTOR; !align && n <= 4096; n *= 2)
		if (pread(fd, page, n, 0) >= 0)
			align = n;
	free(page);
	return align;
}

static void ask_alignment(struct vh_file *f)
{
	if (!ask_statx(f))
		f->mem_align = f->off_align = try_reading(f->fd);
	/* posix_memalign() wants no less. */
	if (f->mem_align && f->mem_align < sizeof(void *))
		f->mem_align = sizeof(void *);
}

static bool direct_is_possible(const struct probe *b, uint32_t block_size)
{
	struct vh_file *f = b->f;

	if (!f->direct) {
		vh_log(b, VH_LOG_INFO,
		       "%s: through the page cache: its file system has no direct I/O",
		       f->path);
		return false;
	}
	ask_alignment(f);
	if (f->mem_align && f->off_align && f->off_align <= block_size)
		return true;
	vh_log(b, VH_LOG_INFO, "%s: through the page cache: direct I/O %s", f->path,
	       f->off_align ? "needs larger blocks (block-size=4096, if the guest's "
			      "partitions were made with it)"
			    : "is not possible there");
	return false;
}

/* O_NONBLOCK, which only kept open() from waiting, would make io_uring give up early. */
static int choose_direct(const struct probe *b, const struct vh_store_info *info)
{
	const uint32_t asked = b->p->block_size;
	const uint32_t block = asked > info->block_size ? asked : info->block_size;
	int flags = fcntl(b->f->fd, F_GETFL) & ~(O_NONBLOCK | O_DIRECT);

	/* tmpfs takes O_DIRECT, with its rules, and goes through the page cache all the
	 * same. */
	b->f->direct = !b->p->no_direct && !b->f->is_memory &&
		       direct_is_possible(b, block);
	if (b->f->direct)
		flags |= O_DIRECT;
	return fcntl(b->f->fd, F_SETFL, flags) ? cannot_open(b, -errno) : 0;
}

/* ---- All of it ---- */

int vh_file_size(const struct vh_file *f, uint64_t *bytes)
{
	struct stat st;

	if (f->is_device)
		return ioctl(f->fd, BLKGETSIZE64, bytes) ? -errno : 0;
	if (fstat(f->fd, &st))
		return -errno;
	*bytes = (uint64_t)st.st_size;
	return 0;
}

static int probe_size(const struct probe *b, struct vh_store_info *info)
{
	const uint32_t asked = b->p->block_size;
	const uint32_t block = asked > info->block_size ? asked : info->block_size;
	int err = vh_file_size(b->f, &info->capacity);

	if (err)
		return cannot_open(b, err);
	if (info->capacity < block) {
		vh_log(b, VH_LOG_ERROR,
		       "%s: holds not even one block of %u bytes; make it larger: "
		       "truncate -s 16G PATH",
		       b->f->path, block);
		return -EINVAL;
	}
	if (info->capacity % block)
		vh_log(b, VH_LOG_WARN,
		       "%s: the last %" PRIu64 " bytes are no whole block and not used",
		       b->f->path, info->capacity % block);
	return 0;
}

int vh_file_probe(struct vh_file *f, const struct vh_store_params *p, const char *tag)
{
	struct probe b = {.f = f, .p = p, .readonly = p->readonly};
	struct vh_store_info *info = &f->store.info;
	int err;

	snprintf(b.tag, sizeof(b.tag), "%s", tag);
	err = open_path(&b);
	if (!err)
		err = lock(&b);
	if (!err && f->is_device)
		err = probe_device(&b, info);
	else if (!err)
		probe_regular(&b, info);
	if (!err)
		err = probe_size(&b, info);
	if (!err)
		err = choose_direct(&b, info);
	info->readonly = p->readonly;
	info->write_zeroes = true;
	return err;
}
