/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the connector of an address and passes calls on to it.  A new scheme is
 * one row of the table here and one file beside this one.  Control thread.
 */
#include "conn/connector.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conn/address.h"
#include "conn/schemes.h"

static const struct vh_connector_ops *const schemes[] = {
	&vh_unix_connector, &vh_fd_connector,	    &vh_loop_connector,
	&vh_vvu_connector,  &vh_vhostpci_connector,
};

#define N_SCHEMES (sizeof(schemes) / sizeof(schemes[0]))

static const struct vh_connector_ops *find_scheme(const char *text, size_t len)
{
	for (size_t i = 0; i < N_SCHEMES; i++)
		if (strlen(schemes[i]->scheme) == len &&
		    !strncmp(schemes[i]->scheme, text, len))
			return schemes[i];
	return NULL;
}

static void complain(const char *tag, const char *address)
{
	char list[128];
	size_t len = 0;

	for (size_t i = 0; i < N_SCHEMES && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len,
					" %s:", schemes[i]->scheme);
	vh_log_line(tag, VH_LOG_ERROR,
		    "address \"%s\" does not start with a known scheme; there are%s",
		    address, list);
}

int vh_connector_open(const char *address, enum vh_role role, const char *tag,
		      struct vh_connector **c)
{
	const char *colon = strchr(address, ':');
	const struct vh_connector_ops *ops;
	char **parts;
	int err;

	*c = NULL;
	ops = colon ? find_scheme(address, (size_t)(colon - address)) : NULL;
	if (!ops) {
		complain(tag, address);
		return -EINVAL;
	}
	err = vh_options_split(colon + 1, &parts);
	if (err < 0)
		return err;
	err = ops->open(parts[0], parts + 1, role, tag, c);
	vh_options_free(parts);
	return err;
}

void vh_connector_close(struct vh_connector *c)
{
	if (c)
		c->ops->close(c);
}

int vh_connector_poll_fd(const struct vh_connector *c)
{
	return c->ops->poll_fd(c);
}

void vh_connector_disconnect(struct vh_connector *c)
{
	c->ops->disconnect(c);
}

void vh_connector_hold(struct vh_connector *c, bool on)
{
	c->ops->hold(c, on);
}

int vh_connector_recv(struct vh_connector *c, struct vh_msg *m, enum vh_news *news)
{
	return c->ops->recv(c, m, news);
}

int vh_connector_send(struct vh_connector *c, struct vh_msg *m)
{
	return c->ops->send(c, m);
}

const void *vh_connector_bytes(const struct vh_connector *c, enum vh_channel channel,
			       size_t *len)
{
	*len = 0;
	return c->ops->bytes ? c->ops->bytes(c, channel, len) : NULL;
}

int vh_connector_send_bytes(struct vh_connector *c, enum vh_channel channel,
			    const void *bytes, size_t len)
{
	return c->ops->send_bytes ? c->ops->send_bytes(c, channel, bytes, len)
				  : -EOPNOTSUPP;
}

void vh_connector_expect(struct vh_connector *c, const struct vh_expect *e)
{
	c->ops->expect(c, e);
}

int vh_connector_set_channel(struct vh_connector *c, int fd)
{
	return c->ops->set_channel(c, fd);
}

int vh_connector_map(struct vh_connector *c, const struct vh_wire_region *r, unsigned n,
		     struct vh_msg *m, const struct vh_map *old,
		     struct vh_mapping **mapping, bool *changed)
{
	return c->ops->map(c, r, n, m, old, mapping, changed);
}

int vh_connector_map_area(struct vh_connector *c, struct vh_msg *m,
			  struct vh_mapping **mapping)
{
	return c->ops->map_area(c, m, mapping);
}

int vh_connector_make_area(struct vh_connector *c, uint64_t size, struct vh_msg *m)
{
	return c->ops->make_area(c, size, m);
}

int vh_connector_signal(struct vh_connector *c, struct vh_msg *m, struct vh_signal **s)
{
	return c->ops->signal(c, m, s);
}
