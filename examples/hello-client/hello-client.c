/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drive somebody's device: ask an entropy device for 16 bytes and print them.
 *
 *   cc hello-client.c -o hello-client $(pkg-config --cflags --libs libvhost)
 *   ./hello-client unix:/tmp/hello.sock
 *
 * where `vhost serve rng unix:/tmp/hello.sock`, or examples/hello-device, is at the
 * other end.
 */
#include <stdio.h>
#include <sys/uio.h>

#include <vhost/vhost.h>

#define LEN 16

/* The bytes that the device wrote, or -1. */
static int ask(struct vh_client *client, unsigned char *buffer)
{
	const struct iovec iov = {.iov_base = buffer, .iov_len = LEN};
	struct vh_client_queue *q = vh_client_queue(client, 0);
	uint32_t len;

	/* One buffer for the device to write: none to read, one to write. */
	if (vh_client_add(q, &iov, 0, 1, buffer) < 0)
		return -1;
	vh_client_kick(q);
	while (!vh_client_get(q, &len))
		if (vh_client_wait(q, 5000) != 1)
			return -1;
	return (int)len;
}

int main(int argc, char **argv)
{
	const struct vh_client_params params = {
		.size = sizeof(params),
		.address = argc == 2 ? argv[1] : NULL,
		.features = 1ull << 32, /* VIRTIO_F_VERSION_1 */
		.memory = 4096,
	};
	struct vh_client *client;
	unsigned char *buffer;
	int n = -1;

	if (argc != 2) {
		fprintf(stderr, "usage: hello-client ADDRESS\n");
		return 2;
	}
	if (vh_client_create(&params, &client) < 0)
		return 1;
	buffer = vh_client_alloc(client, LEN, 64);
	if (vh_client_connect(client) == 0 && vh_client_start(client, 1, 16) == 0)
		n = ask(client, buffer);
	for (int i = 0; i < n; i++)
		printf("%02x%c", buffer[i], i + 1 < n ? ' ' : '\n');
	vh_client_destroy(client);
	return n < 0;
}
