/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watches that nothing of a guest's memory gets lost while the guest migrates.
 *
 *	witness watch MEGABYTES		on the guest that migrates
 *	witness send ADDRESS RATE	on its peer: RATE datagrams a second, until killed
 *
 * Watching has two halves, each a thread.
 *
 * The memory half writes a buffer all the time, and before it writes a page it checks
 * that the page still holds what the previous sweep wrote. A page that the guest's
 * processor dirtied and that was not sent again shows up here.
 *
 * The network half checks datagrams whose contents follow from their number. Their data
 * are pages that only the switch writes, so only the switch's dirty log can tell that
 * they changed: a datagram is so long that Linux, when it receives into single pages
 * (without mergeable buffers), finds no room to put something of its own behind it. It
 * needs an MTU of 4100 at both ends. To make all that matter, the half reads nothing as
 * long as the file /tmp/hold exists: the socket's queue then fills with pages that arrive
 * before and during the migration and are looked at after it. The sender turns UDP
 * checksums off: a kernel that drops a damaged datagram would hide what we want to see.
 * Lost datagrams are no fault.
 *
 * Ten times a second the findings are written to /tmp/witness as KEY=VALUE lines.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	WORDS_PER_PAGE = PAGE / sizeof(uint64_t),
	PORT = 9000,
	DATAGRAM = 4000,
	WORDS_PER_DATAGRAM = DATAGRAM / sizeof(uint64_t),
	QUEUE_BYTES = 32 << 20,
};

static struct {
	atomic_ullong sweeps, pages_damaged;
	atomic_ullong received, damaged, disordered, last;
} found;

/* A word that follows from two numbers, and differs when either of them does. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = a * 0x9e3779b97f4a7c15u + b * 0xd1b54a32d192ed03u + 1;

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9u;
	return x ^ x >> 32;
}

static void write_page(uint64_t *page, uint64_t number, uint64_t sweep)
{
	for (uint64_t i = 0; i < WORDS_PER_PAGE; i++)
		page[i] = mix(sweep * WORDS_PER_PAGE + i, number);
}

static bool page_holds(const uint64_t *page, uint64_t number, uint64_t sweep)
{
	uint64_t differences = 0;

	for (uint64_t i = 0; i < WORDS_PER_PAGE; i++)
		differences |= page[i] ^ mix(sweep * WORDS_PER_PAGE + i, number);
	return differences == 0;
}

static void *watch_memory(void *megabytes)
{
	const uint64_t n_pages = (uint64_t)(uintptr_t)megabytes * (1 << 20) / PAGE;
	uint64_t *memory = mmap(NULL, n_pages * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED) {
		perror("witness: memory");
		exit(1);
	}
	for (uint64_t sweep = 0;; sweep++) {
		for (uint64_t n = 0; n < n_pages; n++) {
			uint64_t *page = memory + n * WORDS_PER_PAGE;

			if (sweep > 0 && !page_holds(page, n, sweep - 1))
				found.pages_damaged++;
			write_page(page, n, sweep);
		}
		found.sweeps = sweep;
	}
	return NULL;
}

static void fill_datagram(uint64_t *words, uint64_t number)
{
	words[0] = number;
	for (uint64_t i = 1; i < WORDS_PER_DATAGRAM; i++)
		words[i] = mix(number, i);
}

static void check_datagram(const uint64_t *words, size_t len)
{
	uint64_t wanted[WORDS_PER_DATAGRAM];

	fill_datagram(wanted, words[0]);
	found.received++;
	if (len != DATAGRAM || memcmp(words, wanted, DATAGRAM) != 0) {
		found.damaged++;
		return;
	}
	if (words[0] <= found.last)
		found.disordered++;
	found.last = words[0];
}

static int open_socket(void)
{
	const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);
	const int bytes = QUEUE_BYTES;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0) {
		perror("witness: socket");
		exit(1);
	}
	return fd;
}

static void *watch_network(void *unused)
{
	const int fd = open_socket();
	uint64_t words[WORDS_PER_DATAGRAM];

	(void)unused;
	for (;;) {
		while (access("/tmp/hold", F_OK) == 0)
			usleep(20000);
		memset(words, 0, sizeof(words));
		const ssize_t n = recv(fd, words, sizeof(words), 0);

		if (n >= 0)
			check_datagram(words, (size_t)n);
	}
	return NULL;
}

static void report(void)
{
	FILE *f = fopen("/tmp/witness.new", "w");

	if (!f)
		return;
	fprintf(f, "sweeps=%llu\n", found.sweeps);
	fprintf(f, "pages_damaged=%llu\n", found.pages_damaged);
	fprintf(f, "received=%llu\ndamaged=%llu\ndisordered=%llu\nlast=%llu\n",
		found.received, found.damaged, found.disordered, found.last);
	fclose(f);
	rename("/tmp/witness.new", "/tmp/witness");
}

static int watch(unsigned long megabytes)
{
	pthread_t memory, network;

	if (pthread_create(&memory, NULL, watch_memory, (void *)megabytes) ||
	    pthread_create(&network, NULL, watch_network, NULL))
		return 1;
	for (;;) {
		report();
		usleep(100000);
	}
}

static int send_for_ever(const char *address, long rate)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	const struct timespec pause = {.tv_nsec = 1000000000L / rate - 1};
	uint64_t words[WORDS_PER_DATAGRAM];
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);
	const int yes = 1;

	if (inet_aton(address, &to.sin_addr) == 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &yes, sizeof(yes)) < 0)
		return 1;
	for (uint64_t number = 1;; number++) {
		fill_datagram(words, number);
		sendto(fd, words, sizeof(words), 0, (struct sockaddr *)&to, sizeof(to));
		nanosleep(&pause, NULL);
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "watch") == 0)
		return watch(strtoul(argv[2], NULL, 10));
	if (argc == 4 && strcmp(argv[1], "send") == 0 && atol(argv[3]) > 0)
		return send_for_ever(argv[2], atol(argv[3]));
	fprintf(stderr, "usage: witness watch MEGABYTES | send ADDRESS RATE\n");
	return 2;
}
