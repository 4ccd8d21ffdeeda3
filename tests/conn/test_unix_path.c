/* SPDX-License-Identifier: BSD-3-Clause */
/* unix: what happens to the path of a socket that listens. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void expect_open_fails(const struct rig *rig, int err, const char *in_log)
{
	struct vh_connector *c;

	assert_int_equal(vh_connector_open(rig->address, VH_ROLE_BACKEND, "test", &c),
			 err);
	assert_null(c);
	assert_int_equal(rig_logged(in_log), 1);
}

static void a_stale_socket_is_replaced(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *c;
	int peer;

	close(peer_listen(rig->path));
	assert_true(rig_path_exists(rig));
	c = rig_open(rig->address, VH_ROLE_BACKEND);
	assert_int_equal(rig_logged("removed the stale socket"), 1);
	peer = peer_connect(rig->path);
	rig_expect(c, VH_NEWS_UP);
	vh_connector_close(c);
	close(peer);
}

static void a_live_socket_is_left_alone(void **state)
{
	const struct rig *rig = *state;
	int live = peer_listen(rig->path), peer;

	expect_open_fails(rig, -EADDRINUSE, "somebody listens on");
	peer = peer_connect(rig->path);
	close(peer);
	close(live);
	unlink(rig->path);
}

static void a_live_socket_with_a_full_backlog_is_left_alone(void **state)
{
	const struct rig *rig = *state;
	int live = peer_listen(rig->path), peers[3];

	assert_int_equal(listen(live, 1), 0);
	peers[0] = peer_connect(rig->path);
	peers[1] = peer_connect(rig->path);
	expect_open_fails(rig, -EADDRINUSE, "somebody listens on");
	assert_true(rig_path_exists(rig));
	close(peers[0]);
	close(peers[1]);
	close(live);
	unlink(rig->path);
}

static void a_socket_of_another_type_is_left_alone(void **state)
{
	const struct rig *rig = *state;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int live = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, rig->path);
	assert_int_equal(bind(live, (struct sockaddr *)&a, sizeof(a)), 0);
	expect_open_fails(rig, -EADDRINUSE, "somebody listens on");
	assert_true(rig_path_exists(rig));
	close(live);
	unlink(rig->path);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	const struct rig *rig = *state;
	int fd = open(rig->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	close(fd);
	expect_open_fails(rig, -EEXIST, "exists and is not a socket");
	assert_int_equal(unlink(rig->path), 0);
}

static void a_symbolic_link_is_left_alone(void **state)
{
	const struct rig *rig = *state;

	assert_int_equal(symlink("/nowhere", rig->path), 0);
	expect_open_fails(rig, -EEXIST, "exists and is not a socket");
	assert_int_equal(unlink(rig->path), 0);
}

static void a_socket_that_somebody_put_in_our_place_is_left_alone(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_BACKEND);
	int other;

	assert_int_equal(unlink(rig->path), 0);
	other = peer_listen(rig->path);
	vh_connector_close(c);
	close(peer_connect(rig->path));
	close(other);
	unlink(rig->path);
}

static void closing_is_fine_when_the_path_is_gone(void **state)
{
	const struct rig *rig = *state;
	struct vh_connector *c = rig_open(rig->address, VH_ROLE_BACKEND);

	assert_int_equal(unlink(rig->path), 0);
	vh_connector_close(c);
}

static void a_folder_that_is_not_there_is_named(void **state)
{
	struct vh_connector *c;

	(void)state;
	assert_int_equal(
		vh_connector_open("unix:/nowhere/socket", VH_ROLE_BACKEND, "test", &c),
		-ENOENT);
	assert_int_equal(rig_logged("cannot listen on /nowhere/socket: No such file"), 1);
}

static void the_longest_path_works_and_a_longer_one_is_named(void **state)
{
	const struct rig *rig = *state;
	char address[200];
	struct vh_connector *c;
	int len = snprintf(address, sizeof(address), "unix:%s/", rig->dir);

	memset(address + len, 'x', sizeof(address) - len);
	address[5 + 107] = '\0';
	c = rig_open(address, VH_ROLE_BACKEND);
	vh_connector_close(c);
	address[5 + 107] = 'x';
	address[5 + 108] = '\0';
	assert_int_equal(vh_connector_open(address, VH_ROLE_BACKEND, "test", &c),
			 -ENAMETOOLONG);
	assert_int_equal(rig_logged("has 108 bytes, a socket's has 1 to 107"), 1);
	assert_int_equal(vh_connector_open(address, VH_ROLE_FRONTEND, "test", &c),
			 -ENAMETOOLONG);
}

static void a_path_with_a_comma_is_written_with_two(void **state)
{
	const struct rig *rig = *state;
	char address[80], path[80];
	struct vh_connector *c;

	snprintf(address, sizeof(address), "unix:%s/a,,b", rig->dir);
	snprintf(path, sizeof(path), "%s/a,b", rig->dir);
	c = rig_open(address, VH_ROLE_BACKEND);
	close(peer_connect(path));
	vh_connector_close(c);
}

static void mode_is_set_whatever_the_umask(void **state)
{
	static const struct {
		const char *option;
		mode_t mode;
	} cases[] = {{"mode=660", 0660}, {"mode=0600", 0600}, {"mode=777", 0777}};
	const struct rig *rig = *state;

	for (unsigned i = 0; i < 3; i++) {
		struct vh_connector *c =
			rig_open_with(rig, cases[i].option, VH_ROLE_BACKEND);
		struct stat st;

		assert_int_equal(stat(rig->path, &st), 0);
		assert_int_equal(st.st_mode & 07777, cases[i].mode);
		vh_connector_close(c);
	}
}

static void group_is_set(void **state)
{
	const struct rig *rig = *state;
	const struct group *g = getgrgid(getegid());
	struct vh_connector *c;
	struct stat st;
	char option[80];

	if (!g)
		skip();
	snprintf(option, sizeof(option), "group=%s", g->gr_name);
	c = rig_open_with(rig, option, VH_ROLE_BACKEND);
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_gid, g->gr_gid);
	vh_connector_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_stale_socket_is_replaced),
		RIG_TEST(a_live_socket_is_left_alone),
		RIG_TEST(a_live_socket_with_a_full_backlog_is_left_alone),
		RIG_TEST(a_socket_of_another_type_is_left_alone),
		RIG_TEST(a_file_that_is_no_socket_is_left_alone),
		RIG_TEST(a_symbolic_link_is_left_alone),
		RIG_TEST(a_socket_that_somebody_put_in_our_place_is_left_alone),
		RIG_TEST(closing_is_fine_when_the_path_is_gone),
		RIG_TEST(a_folder_that_is_not_there_is_named),
		RIG_TEST(the_longest_path_works_and_a_longer_one_is_named),
		RIG_TEST(a_path_with_a_comma_is_written_with_two),
		RIG_TEST(mode_is_set_whatever_the_umask),
		RIG_TEST(group_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
