/* SPDX-License-Identifier: BSD-3-Clause */
/* See demo_table.h. */
#include "demo_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>
#include <json-c/json.h>

#include "base/barrier.h"

/* ---- While it runs ---- */

void demo_table_head(void)
{
	printf("%4s  %-7s %10s %12s %10s %8s %9s %9s\n", "TIME", "GUEST", "FRAMES/s",
	       "MB/s", "FRAMES", "DROPS", "P50 us", "P99 us");
}

static void print_guest(struct demo_table *t, const struct demo_shared *shared,
			unsigned i, unsigned elapsed, uint64_t drops)
{
	const struct guest_stats *s = &shared->guest[i];
	struct guest_stats *last = &t->last[i];
	uint64_t frames = vh_load_relaxed(&s->rx_frames),
		 bytes = vh_load_relaxed(&s->rx_bytes);

	printf("%3us  %-7u %10" PRIu64 " %12.1f %10" PRIu64 " %8" PRIu64 " %9.1f %9.1f\n",
	       elapsed, i + 1, frames - last->rx_frames,
	       (double)(bytes - last->rx_bytes) / 1e6, frames, drops,
	       latency_percentile(s, 50), latency_percentile(s, 99));
	last->rx_frames = frames;
	last->rx_bytes = bytes;
}

void demo_table_rows(struct demo_table *t, const struct demo_shared *shared,
		     unsigned elapsed, uint64_t drops)
{
	if (isatty(STDOUT_FILENO) && t->begun)
		printf("\033[%dA", N_GUESTS);
	t->begun = true;
	for (unsigned i = 0; i < N_GUESTS; i++)
		print_guest(t, shared, i, elapsed, drops);
	fflush(stdout);
}

/* ---- The end ---- */

uint64_t demo_sum(const struct demo_shared *shared, struct guest_stats *sum)
{
	*sum = (struct guest_stats){0};
	for (unsigned i = 0; i < N_GUESTS; i++) {
		const struct guest_stats *s = &shared->guest[i];

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

void demo_summary_print(const struct guest_stats *s, unsigned seconds)
{
	printf("\n%" PRIu64 " frames, %.1f MB in %u s; damaged %" PRIu64
	       ", duplicated %" PRIu64 ", reordered %" PRIu64 ", lost %" PRIu64
	       "; %" PRIu64 " random bytes from the rng device\n",
	       s->rx_frames, (double)s->rx_bytes / 1e6, seconds, s->damaged,
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

void demo_summary_print_json(const struct guest_stats *s, unsigned seconds, bool ok)
{
	struct json_object *o = json_object_new_object();
	const struct {
		const char *key;
		uint64_t n;
	} row[] = {{"schema", 1},
		   {"seconds", seconds},
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
