/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of connectors share: a folder for sockets, a log that can be
 * asked, and a peer that speaks bytes, not through the library's own encoder.
 */
#ifndef VH_TESTS_CONN_RIG_H
#define VH_TESTS_CONN_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "conn/connector.h"
#include "conn/stream.h"

/* ---- Set-up of each test: an empty log, a new folder, the fds counted ---- */

struct rig {
	char dir[32];
	char path[64];	  /* a socket in that folder            */
	char address[80]; /* "unix:" and the path               */
	int n_fds;	  /* open before the test              */
};

int rig_setup(void **state);
/* Fails when an fd is left, or when a file is left in the folder. */
int rig_teardown(void **state);

#define RIG_TEST(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)

int rig_count_fds(void);
bool rig_path_exists(const struct rig *rig);

/* ---- The log ---- */

void rig_log_clear(void);
/* How many lines have @text in them. */
unsigned rig_logged(const char *text);

/* ---- A connector, driven by its poll fd ---- */

struct vh_connector *rig_open(const char *address, enum vh_role role);
/* The rig's address with these options behind it. */
struct vh_connector *rig_open_with(const struct rig *rig, const char *options,
				   enum vh_role role);
/* "fd:N" of one end of a socket pair; *@peer is the other. */
struct vh_connector *rig_open_pair(enum vh_role role, int *peer);
/* Waits for the next news; a minute without any is a failure. */
enum vh_news rig_next(struct vh_connector *c, struct vh_msg *m);
/* The next news must be this; a message is closed. */
void rig_expect(struct vh_connector *c, enum vh_news news);
/* A message of this number must come; it is closed. */
void rig_expect_message(struct vh_connector *c, uint32_t id);
/* No news, and the poll fd does not wake anybody for nothing. */
void rig_expect_quiet(struct vh_connector *c);

/* ---- A peer of bytes ---- */

int peer_connect(const char *path);
int peer_listen(const char *path);
void peer_pair(int pair[2]);
/* The very same bytes in one sendmsg(), with @n_fds fds. */
void peer_send_bytes(int fd, const void *bytes, size_t len, const int *fds,
		     unsigned n_fds);
void peer_send(int fd, uint32_t id, uint32_t flags, const void *payload, uint32_t size,
	       const int *fds, unsigned n_fds);
/* One message without fds and payload. */
void peer_ask(int fd, uint32_t id);
/* Reads a message completely: the number of its payload bytes; -1 at the end. */
int peer_read(int fd, uint32_t *id, uint32_t *flags, void *payload, size_t size, int *fds,
	      unsigned *n_fds);
/* True when the other side has hung up: waits for it. */
bool peer_is_closed(int fd);

struct vh_msg rig_message(enum vh_channel channel, uint32_t id);

/* A stream that serves the main channel, and its peer. */
struct rig_link {
	struct vh_stream s;
	int peer;
};

void rig_link_open(struct rig_link *l);
/* @l->peer may be closed already: -1. */
void rig_link_close(struct rig_link *l);

/* ---- Memory ---- */

/* A memfd of @len bytes. */
int rig_memfd(uint64_t len);
/* SET_MEM_TABLE of @r, with duplicates of @fds. */
struct vh_msg rig_table(const struct vh_wire_region *r, unsigned n, const int *fds);
uint8_t rig_byte_at(int fd, uint64_t offset);
/* How many mappings of such memfds there are. */
unsigned rig_count_memfd_maps(void);

#endif
