/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost demo: two guests exchange frames through a switch, all over real
 * vhost-user sockets, with nothing but this binary.
 */
#include <string.h>

#include "base/barrier.h"
#include "cli.h"
#include "demo_stage.h"
#include "demo_table.h"
#include "reactor/reactor.h"

#define TICKS_PER_SECOND 10
#define TICK_NS		 (1000000000ull / TICKS_PER_SECOND)
#define MAX_SECONDS	 86400

struct demo {
	struct demo_stage stage;
	struct demo_table table;
	struct vh_timer tick;
	unsigned ticks, seconds, elapsed;
	bool json, stopped;
};

static void a_second_has_passed(struct demo *d)
{
	d->elapsed++;
	if (!d->json)
		demo_table_rows(&d->table, d->stage.shared, d->elapsed,
				demo_stage_drops(&d->stage));
}

static void on_tick(struct vh_timer *t)
{
	struct demo *d = vh_container_of(t, struct demo, tick);
	struct demo_stage *s = &d->stage;

	demo_stage_reap(s);
	if (!d->stopped && ++d->ticks % TICKS_PER_SECOND == 0)
		a_second_has_passed(d);
	d->stopped = d->stopped || d->elapsed >= d->seconds || s->failed;
	vh_store_relaxed(&s->shared->stop, d->stopped);
	if (s->n_running)
		vh_timer_arm(s->run.reactor[0], t, TICK_NS);
	else
		vh_server_stop(s->run.server);
}

static int play(struct demo *d)
{
	demo_stage_begin(&d->stage);
	if (!d->json)
		demo_table_head();
	vh_timer_init(&d->tick, on_tick);
	vh_timer_arm(d->stage.run.reactor[0], &d->tick, TICK_NS);
	return run_loop(&d->stage.run);
}

static int report(const struct demo *d)
{
	struct guest_stats sum;
	const bool ok = !demo_sum(d->stage.shared, &sum) && !d->stage.failed &&
			sum.rx_frames && sum.rng_bytes;

	if (d->json)
		demo_summary_print_json(&sum, d->elapsed, ok);
	else
		demo_summary_print(&sum, d->elapsed);
	return ok ? EXIT_OK : EXIT_FAILED;
}

static int run_demo(struct demo *d)
{
	int err = demo_stage_open(&d->stage);

	if (!err)
		err = play(d);
	demo_stage_close(&d->stage);
	return err ? EXIT_FAILED : report(d);
}

static int demo(int argc, char **argv)
{
	struct demo d = {.stage.run.verb = &verb_demo, .seconds = 5};
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
	.usage = "vhost demo [--seconds N] [--json]",
	.help = "  --seconds N  how long; 5\n"
		"  --json       the summary only, for machines\n",
};
