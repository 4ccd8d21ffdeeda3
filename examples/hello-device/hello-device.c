/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device of your own: an entropy device that is not very random.  It fills
 * every buffer that the guest gives it with the same greeting.
 *
 *   cc hello-device.c -o hello-device $(pkg-config --cflags --libs libvhost)
 *   ./hello-device unix:/tmp/hello.sock
 *
 * and, for a VM to use it (QEMU 7.2 and later):
 *
 *   qemu-system-x86_64 ... -chardev socket,id=c0,path=/tmp/hello.sock \
 *       -device vhost-user-rng-pci,chardev=c0
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <linux/virtio_ids.h>

#include <vhost/vhost.h>

static const char greeting[] = "Hello, virtio!\n";

static void hello_process(struct vh_queue *q)
{
	struct vh_chain *c;

	while ((c = vh_queue_next(q))) {
		size_t room = vh_chain_writable(c), done = 0;

		while (done < room) {
			size_t n = room - done < sizeof(greeting) - 1
					   ? room - done
					   : sizeof(greeting) - 1;

			vh_chain_write(c, greeting, n);
			done += n;
		}
		vh_chain_complete(c, done);
	}
}

static const struct vh_device_ops hello = {
	.size = sizeof(hello),
	.name = "hello",
	.virtio_id = VIRTIO_ID_RNG,
	.queues = 1,
	.process = hello_process,
};

static struct vh_server *server;

static void stop(int signo)
{
	(void)signo;
	vh_server_stop(server);
}

int main(int argc, char **argv)
{
	const struct vh_reactor_params params = {
		.size = sizeof(params), .name = "hello", .cpu = -1};
	struct vh_reactor *reactor;

	if (argc != 2) {
		fprintf(stderr, "usage: hello-device ADDRESS\n");
		return 2;
	}
	if (vh_reactor_create(&params, &reactor) < 0 ||
	    vh_server_create(&reactor, 1, &server) < 0)
		return 1;
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	if (vh_server_add(server, &hello, NULL, argv[1], NULL, 0, NULL) < 0 ||
	    vh_server_run(server) < 0)
		return 1;
	vh_server_destroy(server);
	vh_reactor_destroy(reactor);
	return 0;
}
