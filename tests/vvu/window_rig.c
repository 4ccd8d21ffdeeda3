/* SPDX-License-Identifier: BSD-3-Clause */
#include "window_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/memfd.h>

#include <vhost/log.h>

static char folder[] = "/tmp/vhost-window-XXXXXX";
static char lines[1 << 16];

static void keep_line(void *arg, enum vh_log_level level, const char *tag,
		      const char *text)
{
	const size_t len = strlen(lines);

	(void)arg;
	(void)level;
	snprintf(lines + len, sizeof(lines) - len, "%s: %s\n", tag, text);
}

int rig_setup(void **state)
{
	(void)state;
	vh_log_set(VH_LOG_INFO, keep_line, NULL);
	return mkdtemp(folder) ? 0 : -1;
}

int rig_teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

char *rig_path(const char *name)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	return path;
}

unsigned rig_logged(const char *text)
{
	unsigned n = 0;

	for (const char *at = lines; (at = strstr(at, text)); at++)
		n++;
	return n;
}

void rig_forget(void)
{
	lines[0] = '\0';
}

int rig_file(const char *name, uint64_t len)
{
	char *path = name ? rig_path(name) : NULL;
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)
		      : memfd_create("window", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	free(path);
	return fd;
}

uint8_t *rig_map(int fd, uint64_t len)
{
	void *va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(va, MAP_FAILED);
	return va;
}

struct vh_msg rig_table(const struct vh_wire_region *r, unsigned n, const int *fds)
{
	struct vh_msg m;

	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	m.mem.n = m.n_fds = n;
	for (unsigned i = 0; i < n; i++) {
		m.mem.region[i] = r[i];
		m.fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
	}
	return m;
}

int rig_place(struct vh_window *w, const struct vh_wire_region *r, unsigned n,
	      const int *fds, struct vh_window_table *table)
{
	struct vh_msg m = rig_table(r, n, fds);
	int err = w->ops->place(w, &m, table, NULL, NULL);

	assert_int_equal(m.n_fds, n);
	for (unsigned i = 0; i < n; i++)
		assert_true(fcntl(m.fds[i], F_GETFD) >= 0);
	vh_msg_close(&m);
	return err;
}

uint64_t rig_read(struct vh_window *w, uint64_t at, size_t len)
{
	uint64_t value = 0;

	w->ops->read(w, at, &value, len);
	return value;
}

void rig_write(struct vh_window *w, uint64_t at, uint64_t value, size_t len)
{
	w->ops->write(w, at, &value, len);
}

unsigned rig_count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}
