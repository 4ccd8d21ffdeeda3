/* SPDX-License-Identifier: BSD-3-Clause */
/* See rig.h.  One thread, but what it waits for may be another. */
#include "rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <vhost/log.h>

#define PATIENCE_MS 60000

/* ---- The log ---- */

#define MAX_LINES 64

static char lines[MAX_LINES][600];
static unsigned n_lines;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void keep_line(void *arg, enum vh_log_level level, const char *tag,
		      const char *text)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	snprintf(lines[n_lines++ % MAX_LINES], sizeof(lines[0]), "%d %s %s", (int)level,
		 tag, text);
	pthread_mutex_unlock(&lock);
}

void rig_log_clear(void)
{
	pthread_mutex_lock(&lock);
	n_lines = 0;
	memset(lines, 0, sizeof(lines));
	pthread_mutex_unlock(&lock);
}

unsigned rig_logged(const char *text)
{
	unsigned n = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MAX_LINES; i++)
		n += strstr(lines[i], text) != NULL;
	pthread_mutex_unlock(&lock);
	return n;
}

/* ---- Set-up ---- */

int rig_count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	strcpy(rig->dir, "/tmp/vhost-test-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/socket", rig->dir);
	snprintf(rig->address, sizeof(rig->address), "unix:%s", rig->path);
	rig_log_clear();
	vh_log_set(VH_LOG_INFO, keep_line, NULL);
	rig->n_fds = rig_count_fds();
	*state = rig;
	return 0;
}

bool rig_path_exists(const struct rig *rig)
{
	struct stat st;

	return lstat(rig->path, &st) == 0;
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;
	int n_fds = rig_count_fds(), err = rmdir(rig->dir) < 0 ? errno : 0;
	bool clean = n_fds == rig->n_fds && !err;

	if (!clean)
		print_error("%d fds before, %d after; %s: %s\n", rig->n_fds, n_fds,
			    rig->dir, strerror(err));
	free(rig);
	return clean ? 0 : -1;
}

/* ---- A connector ---- */

struct vh_connector *rig_open(const char *address, enum vh_role role)
{
	struct vh_connector *c;

	assert_int_equal(vh_connector_open(address, role, "test", &c), 0);
	return c;
}

struct vh_connector *rig_open_pair(enum vh_role role, int *peer)
{
	struct vh_connector *c;
	char address[16];
	int pair[2];

	peer_pair(pair);
	snprintf(address, sizeof(address), "fd:%d", pair[0]);
	c = rig_open(address, role);
	*peer = pair[1];
	rig_expect(c, VH_NEWS_UP);
	return c;
}

struct vh_connector *rig_open_with(const struct rig *rig, const char *options,
				   enum vh_role role)
{
	char address[160];

	snprintf(address, sizeof(address), "%s,%s", rig->address, options);
	return rig_open(address, role);
}

enum vh_news rig_next(struct vh_connector *c, struct vh_msg *m)
{
	struct pollfd p = {.fd = vh_connector_poll_fd(c), .events = POLLIN};
	enum vh_news news;

	for (;;) {
		assert_int_equal(vh_connector_recv(c, m, &news), 0);
		if (news != VH_NEWS_NOTHING)
			return news;
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	}
}

void rig_expect(struct vh_connector *c, enum vh_news news)
{
	struct vh_msg m;

	assert_int_equal(rig_next(c, &m), news);
	if (news == VH_NEWS_MESSAGE)
		vh_msg_close(&m);
}

void rig_expect_message(struct vh_connector *c, uint32_t id)
{
	struct vh_msg m;

	assert_int_equal(rig_next(c, &m), VH_NEWS_MESSAGE);
	assert_int_equal(m.id, id);
	vh_msg_close(&m);
}

void rig_expect_quiet(struct vh_connector *c)
{
	struct pollfd p = {.fd = vh_connector_poll_fd(c), .events = POLLIN};
	enum vh_news news;
	struct vh_msg m;

	assert_int_equal(vh_connector_recv(c, &m, &news), 0);
	assert_int_equal(news, VH_NEWS_NOTHING);
	assert_int_equal(poll(&p, 1, 0), 0);
}

/* ---- A peer of bytes ---- */

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	assert_true(strlen(path) < sizeof(a.sun_path));
	strcpy(a.sun_path, path);
	return a;
}

int peer_connect(const char *path)
{
	const struct sockaddr_un a = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

int peer_listen(const char *path)
{
	const struct sockaddr_un a = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

void peer_pair(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

void peer_send_bytes(int fd, const void *bytes, size_t len, const int *fds,
		     unsigned n_fds)
{
	char space[CMSG_SPACE(16 * sizeof(int))] = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	assert_true(n_fds <= 16);
	if (n_fds) {
		h.msg_control = space;
		h.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		CMSG_FIRSTHDR(&h)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&h)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&h)->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), fds, n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &h, MSG_NOSIGNAL), len);
}

void peer_send(int fd, uint32_t id, uint32_t flags, const void *payload, uint32_t size,
	       const int *fds, unsigned n_fds)
{
	uint8_t bytes[12 + 8192];
	const uint32_t header[3] = {id, flags, size};

	assert_true(size <= 8192);
	memcpy(bytes, header, sizeof(header));
	if (size)
		memcpy(bytes + sizeof(header), payload, size);
	peer_send_bytes(fd, bytes, sizeof(header) + size, fds, n_fds);
}

void peer_ask(int fd, uint32_t id)
{
	peer_send(fd, id, 1, NULL, 0, NULL, 0);
}

/* False at the end.  *@n_fds, not NULL: room for 8 fds in @fds. */
static bool read_all(int fd, void *buf, size_t len, int *fds, unsigned *n_fds)
{
	size_t done = 0;

	while (done < len) {
		char space[CMSG_SPACE(8 * sizeof(int))];
		struct iovec iov = {.iov_base = (char *)buf + done,
				    .iov_len = len - done};
		struct msghdr h = {.msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = space,
				   .msg_controllen = sizeof(space)};
		struct pollfd p = {.fd = fd, .events = POLLIN};
		struct cmsghdr *c;
		ssize_t n;

		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
		if (n <= 0)
			return false;
		c = CMSG_FIRSTHDR(&h);
		if (c) {
			assert_non_null(n_fds);
			*n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), *n_fds * sizeof(int));
		}
		done += n;
	}
	return true;
}

int peer_read(int fd, uint32_t *id, uint32_t *flags, void *payload, size_t size, int *fds,
	      unsigned *n_fds)
{
	uint32_t header[3];

	if (n_fds)
		*n_fds = 0;
	if (!read_all(fd, header, sizeof(header), fds, n_fds))
		return -1;
	*id = header[0];
	*flags = header[1];
	assert_true(header[2] <= size);
	return read_all(fd, payload, header[2], NULL, NULL) ? (int)header[2] : -1;
}

bool peer_is_closed(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	return recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

struct vh_msg rig_message(enum vh_channel channel, uint32_t id)
{
	struct vh_msg m;

	vh_msg_init(&m, channel, id);
	return m;
}

void rig_link_open(struct rig_link *l)
{
	int pair[2];

	peer_pair(pair);
	vh_stream_init(&l->s, "test", VH_CHANNEL_MAIN, true);
	assert_int_equal(vh_stream_open(&l->s, pair[0]), 0);
	l->peer = pair[1];
}

void rig_link_close(struct rig_link *l)
{
	vh_stream_close(&l->s);
	if (l->peer >= 0)
		close(l->peer);
}

/* ---- Memory ---- */

int rig_memfd(uint64_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	return fd;
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

uint8_t rig_byte_at(int fd, uint64_t offset)
{
	uint8_t b;

	assert_int_equal(pread(fd, &b, 1, (off_t)offset), 1);
	return b;
}

unsigned rig_count_memfd_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "memfd:test") != NULL;
	fclose(f);
	return n;
}
