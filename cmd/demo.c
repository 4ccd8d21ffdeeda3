/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost demo: two guests exchange frames through a switch, all over real
 * vhost-user sockets, with nothing but this binary.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <json-c/json.h>

#include "base/barrier.h"
#include "cli.h"
#include "demo_guest.h"
#include "dev/rng/rng.h"
#include "reactor/reactor.h"
#include "run.h"
#include "switch/switch.h"

#define SECOND_NS   1000000000ull
#define MAX_SECONDS 86400

struct demo {
	struct run run;
	struct vh_switch *sw;
	struct demo_shared *shared;
	struct guest_stats last[N_GUESTS];
	char dir[64];
	char net[N_GUESTS][96], rng[96]; /* addresses                            */
	pid_t pid[N_GUESTS];
	int go[2]; /* a pipe: guests begin when it closes  */
	struct vh_timer tick;
	unsigned seconds, elapsed, n_running;
	bool json, stopped, failed;
};

/* ---- What is shown ---- */

static uint64_t drops_of(const struct vh_port_stats *s)
{
	return s->drop_full + s->drop_busy + s->drop_vlan + s->drop_invalid +
	       s->drop_flood + s->drop_offload;
}

static void add_drops(void *arg, const struct vh_port_info *info)
{
	*(uint64_t *)arg += drops_of(&info->stats);
}

static uint64_t count_drops(struct demo *d)
{
	uint64_t drops = 0;

	vh_switch_each(d->sw, add_drops, &drops);
	return drops;
}

static void print_head(void)
{
	printf("%4s  %-7s %10s %12s %10s %8s %9s %9s\n", "TIME", "GUEST", "FRAMES/s",
	       "MB/s", "FRAMES", "DROPS", "P50 us", "P99 us");
}

static void print_guest(struct demo *d, unsigned i, uint64_t drops)
{
	const struct guest_stats *s = &d->shared->guest[i];
	struct guest_stats *last = &d->last[i];
	uint64_t frames = vh_load_relaxed(&s->rx_frames),
		 bytes = vh_load_relaxed(&s->rx_bytes);

	printf("%3us  %-7u %10" PRIu64 " %12.1f %10" PRIu64 " %8" PRIu64 " %9.1f %9.1f\n",
	       d->elapsed, i + 1, frames - last->rx_frames,
	       (double)(bytes - last->rx_bytes) / 1e6, frames, drops,
	       latency_percentile(s, 50), latency_percentile(s, 99));
	last->rx_frames = frames;
	last->rx_bytes = bytes;
}

static void print_tick(struct demo *d)
{
	const uint64_t drops = count_drops(d);

	if (d->json)
		return;
	if (isatty(STDOUT_FILENO) && d->elapsed > 1)
		printf("\033[%dA", N_GUESTS);
	for (unsigned i = 0; i < N_GUESTS; i++)
		print_guest(d, i, drops);
	fflush(stdout);
}

/* ---- While it runs: on the control reactor ---- */

static void reap(struct demo *d)
{
	for (unsigned i = 0; i < N_GUESTS; i++) {
		int status;

		if (d->pid[i] <= 0 || waitpid(d->pid[i], &status, WNOHANG) != d->pid[i])
			continue;
		d->pid[i] = 0;
		d->n_running--;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_OK) {
			complain("guest %u ended with status 0x%x", i + 1,
				 (unsigned)status);
			d->failed = true;
		}
	}
}

#define TICKS_PER_SECOND 10

static void on_tick(struct vh_timer *t)
{
	struct demo *d = vh_container_of(t, struct demo, tick);
	static unsigned ticks;

	reap(d);
	if (!d->stopped && ++ticks % TICKS_PER_SECOND == 0) {
		d->elapsed++;
		print_tick(d);
	}
	d->stopped = d->stopped || d->elapsed >= d->seconds || d->failed;
	vh_store_relaxed(&d->shared->stop, d->stopped);
	if (d->n_running)
		vh_timer_arm(d->run.reactor[0], t, SECOND_NS / TICKS_PER_SECOND);
	else
		vh_server_stop(d->run.server);
}

/* ---- Setting up ---- */

static int make_places(struct demo *d)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(d->dir, sizeof(d->dir), "%.40s/vhost-demo-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(d->dir)) {
		complain("cannot make %s: %s", d->dir, strerror(errno));
		return -errno;
	}
	for (unsigned i = 0; i < N_GUESTS; i++)
		snprintf(d->net[i], sizeof(d->net[i]), "unix:%s/guest%u", d->dir, i + 1);
	snprintf(d->rng, sizeof(d->rng), "unix:%s/rng", d->dir);
	d->shared = mmap(NULL, sizeof(*d->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return d->shared == MAP_FAILED ? -errno : 0;
}

/* In the child: wait until the sockets are there, then be a guest. */
static void be_guest(struct demo *d, unsigned i)
{
	char byte;
	ssize_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(d->go[1]);
	do
		n = read(d->go[0], &byte, 1);
	while (n < 0 && errno == EINTR);
	_exit(guest_run(i, d->net[i], i ? NULL : d->rng, d->shared));
}

/* Before there is a thread, a reactor or a socket that a child could inherit. */
static int start_guests(struct demo *d)
{
	if (pipe(d->go) < 0)
		return -errno;
	for (unsigned i = 0; i < N_GUESTS; i++) {
		d->pid[i] = fork();
		if (d->pid[i] < 0)
			return -errno;
		if (!d->pid[i])
			be_guest(d, i);
		d->n_running++;
	}
	close(d->go[0]);
	return 0;
}

static int add_port(struct demo *d, unsigned i)
{
	struct vh_port_params p;
	char text[128];
	int err;

	snprintf(text, sizeof(text), "guest%u=%s", i + 1, d->net[i]);
	err = vh_port_params_parse(&p, text);
	if (!err)
		err = vh_switch_add(d->sw, &p);
	vh_port_params_fini(&p);
	return err;
}

static int start_devices(struct demo *d)
{
	int err = run_start(&d->run);

	if (!err)
		err = vh_switch_create(d->run.server, d->run.reactor, d->run.n_reactors,
				       NULL, &d->sw);
	for (unsigned i = 0; i < N_GUESTS && !err; i++)
		err = add_port(d, i);
	if (!err)
		err = vh_server_add(d->run.server, &vh_rng, NULL, d->rng, NULL, 0, NULL);
	return err;
}

static void clean_up(struct demo *d)
{
	for (unsigned i = 0; i < N_GUESTS; i++) {
		if (d->pid[i] > 0) {
			kill(d->pid[i], SIGKILL);
			waitpid(d->pid[i], NULL, 0);
		}
	}
	run_end_server(&d->run);
	if (d->sw)
		vh_switch_destroy(d->sw);
	run_end(&d->run);
	rmdir(d->dir);
}

/* ---- The end ---- */

static uint64_t sum_up(const struct demo *d, struct guest_stats *sum)
{
	*sum = (struct guest_stats){0};
	for (unsigned i = 0; i < N_GUESTS; i++) {
		const struct guest_stats *s = &d->shared->guest[i];

		sum->rx_frames += s->rx_frames;
		sum->rx_bytes += s->rx_bytes;
		sum->damaged += s->damaged;
		sum->duplicated += s->duplicated;
		sum->reordered += s->reordered;
		sum->lost += s->lost;
		sum->rng_bytes += s->rng_bytes;
	}
	return sum->damaged + sum->duplicated + sum->reordered + sum->lost;
}

static void print_summary(const struct demo *d, const struct guest_stats *s)
{
	printf("\n%" PRIu64 " frames, %.1f MB in %u s; damaged %" PRIu64
	       ", duplicated %" PRIu64 ", reordered %" PRIu64 ", lost %" PRIu64
	       "; %" PRIu64 " random bytes from the rng device\n",
	       s->rx_frames, (double)s->rx_bytes / 1e6, d->elapsed, s->damaged,
	       s->duplicated, s->reordered, s->lost, s->rng_bytes);
	fputs("\nThe same with virtual machines:\n\n"
	      "  vhost switch --port vm1=unix:/tmp/vm1.sock --port "
	      "vm2=unix:/tmp/vm2.sock\n\n"
	      "  qemu-system-x86_64 -m 1G -M q35,memory-backend=mem \\\n"
	      "    -object memory-backend-memfd,id=mem,size=1G,share=on \\\n"
	      "    -chardev socket,id=char0,path=/tmp/vm1.sock,reconnect=1 \\\n"
	      "    -netdev vhost-user,id=net0,chardev=char0 \\\n"
	      "    -device virtio-net-pci,netdev=net0,mac=52:54:00:00:00:01 DISK...\n\n"
	      "QEMU 9.2 and later spell it reconnect-ms=1000. For the second one: "
	      "vm2.sock\n"
	      "and a MAC address of its own.\n",
	      stdout);
}

static void print_json(const struct demo *d, const struct guest_stats *s, bool ok)
{
	struct json_object *o = json_object_new_object();
	const struct {
		const char *key;
		uint64_t n;
	} row[] = {{"schema", 1},
		   {"seconds", d->elapsed},
		   {"frames", s->rx_frames},
		   {"bytes", s->rx_bytes},
		   {"damaged", s->damaged},
		   {"duplicated", s->duplicated},
		   {"reordered", s->reordered},
		   {"lost", s->lost},
		   {"rng_bytes", s->rng_bytes}};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		json_object_object_add(o, row[i].key,
				       json_object_new_int64((int64_t)row[i].n));
	json_object_object_add(o, "ok", json_object_new_boolean(ok));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}

static int report(struct demo *d)
{
	struct guest_stats sum;
	const bool ok = !sum_up(d, &sum) && !d->failed && sum.rx_frames && sum.rng_bytes;

	if (d->json)
		print_json(d, &sum, ok);
	else
		print_summary(d, &sum);
	return ok ? EXIT_OK : EXIT_FAILED;
}

static int run_demo(struct demo *d)
{
	int err = make_places(d);

	if (!err)
		err = start_guests(d);
	if (!err)
		err = start_devices(d);
	if (!err) {
		close(d->go[1]);
		if (!d->json)
			print_head();
		vh_timer_init(&d->tick, on_tick);
		vh_timer_arm(d->run.reactor[0], &d->tick, SECOND_NS / TICKS_PER_SECOND);
		err = run_loop(&d->run);
	}
	clean_up(d);
	return err ? EXIT_FAILED : report(d);
}

static int demo(int argc, char **argv)
{
	struct demo d = {.run = {.verb = &verb_demo}, .seconds = 5};
	const char *value;
	uint64_t n;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--json")) {
			d.json = true;
		} else if (option_with_value(argc, argv, &i, "--seconds", &value)) {
			if (!value || !parse_number(value, 1, MAX_SECONDS, &n))
				return usage_error(&verb_demo,
						   "--seconds takes 1 to %d, not \"%s\"",
						   MAX_SECONDS, value ? value : "");
			d.seconds = (unsigned)n;
		} else {
			return usage_error(&verb_demo, "there is no option \"%s\"",
					   argv[i]);
		}
	}
	return run_demo(&d);
}

const struct verb verb_demo = {
	.name = "demo",
	.run = demo,
	.summary = "two built-in guests exchange frames through a switch",
	.usage = "vhost demo [--seconds N] [--json]\n",
};
