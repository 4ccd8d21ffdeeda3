/* SPDX-License-Identifier: BSD-3-Clause */
/* Functions go in and out, by a monitor that answers, refuses, waits or goes away. */
#include "window_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qmp_rig.h"
#include "vvu/plugger.h"

#define PLUGS 3u

struct rig {
	struct vh_reactor *r;
	struct fake_qmp qmp;
	struct vh_plugger *p;
	struct vh_plug plug[PLUGS];
	unsigned n_news; /* answers that came */
	char error[512]; /* of the last one; "" */
};

static void tell(void *arg, struct vh_plug *plug, const char *error)
{
	struct rig *rig = arg;

	(void)plug;
	rig->n_news++;
	snprintf(rig->error, sizeof(rig->error), "%s", error ? error : "");
}

static const struct vh_plugger_ops ops = {.plugged = tell, .unplugged = tell};

static void rig_make(struct rig *rig, unsigned n_ports, const char *port)
{
	char *path = rig_path("qmp");

	memset(rig, 0, sizeof(*rig));
	rig->r = fake_reactor();
	fake_start(&rig->qmp, rig->r, path, n_ports);
	assert_int_equal(
		vh_plugger_create(rig->r, path, port, "test", &ops, rig, &rig->p), 0);
	for (unsigned i = 0; i < PLUGS; i++) {
		snprintf(rig->plug[i].id, sizeof(rig->plug[i].id), "w%u", i);
		snprintf(rig->plug[i].socket, sizeof(rig->plug[i].socket), "/socket,%u",
			 i);
	}
	free(path);
}

static void rig_free(struct rig *rig)
{
	vh_plugger_destroy(rig->p);
	if (rig->qmp.listener.fd >= 0)
		fake_stop(&rig->qmp);
	vh_reactor_destroy(rig->r);
}

static bool has_news(const void *arg)
{
	return ((const struct rig *)arg)->n_news > 0;
}

static void wait_for_news(struct rig *rig)
{
	fake_until(rig->r, has_news, rig);
	rig->n_news = 0;
}

static void plug(struct rig *rig, unsigned i, const char *error)
{
	vh_plugger_plug(rig->p, &rig->plug[i]);
	assert_int_equal(rig->n_news, 0);
	wait_for_news(rig);
	if (*error)
		assert_non_null(strstr(rig->error, error));
	else
		assert_string_equal(rig->error, "");
	assert_int_equal(rig->plug[i].state, *error ? VH_PLUG_OUT : VH_PLUG_IN);
}

static void unplug(struct rig *rig, unsigned i)
{
	vh_plugger_unplug(rig->p, &rig->plug[i]);
	wait_for_news(rig);
	assert_string_equal(rig->error, "");
	assert_int_equal(rig->plug[i].state, VH_PLUG_OUT);
}

/* ---- In and out ---- */

static void a_function_goes_in_and_out(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, NULL);
	for (unsigned i = 0; i < 3; i++) {
		plug(&rig, 0, "");
		assert_string_equal(rig.qmp.used_by[0], "w0");
		assert_string_equal(rig.qmp.socket, "/socket,0");
		unplug(&rig, 0);
		assert_string_equal(rig.qmp.used_by[0], "");
	}
	assert_int_equal(rig.qmp.n_connections, 1);
	rig_free(&rig);
}

static void nobody_is_bothered_before_there_is_something_to_do(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, NULL);
	fake_settle(rig.r);
	assert_int_equal(rig.qmp.n_connections, 0);
	rig_free(&rig);
}

static void each_port_is_tried_until_one_is_free(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 3, NULL);
	strcpy(rig.qmp.used_by[0], "nic");
	plug(&rig, 0, "");
	plug(&rig, 1, "");
	plug(&rig, 2, "slot 0 function 0 is in use");
	assert_string_equal(rig.qmp.used_by[1], "w0");
	assert_string_equal(rig.qmp.used_by[2], "w1");
	rig_free(&rig);
}

static void only_the_port_that_is_named_is_tried(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 3, "rp1");
	plug(&rig, 0, "");
	assert_string_equal(rig.qmp.used_by[1], "w0");
	plug(&rig, 1, "is in use");
	assert_int_equal(rig.qmp.n_adds, 2);
	unplug(&rig, 0);
	plug(&rig, 1, "");
	assert_string_equal(rig.qmp.used_by[1], "w1");
	rig_free(&rig);
}

static void a_guest_without_ports_is_told_what_it_lacks(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 0, NULL);
	plug(&rig, 0, "pcie-root-port,id=ID");
	rig_free(&rig);
}

static void what_qemu_says_is_passed_on(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, NULL);
	rig.qmp.refuses = "vfio-user: no such luck";
	plug(&rig, 0, "vfio-user: no such luck");
	rig.qmp.refuses = NULL;
	plug(&rig, 0, "");
	rig_free(&rig);
}

/* ---- Guests that take their time ---- */

static void a_port_that_is_given_back_is_taken_by_who_waits(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, NULL);
	plug(&rig, 0, "");
	rig.qmp.keeps = true;
	vh_plugger_unplug(rig.p, &rig.plug[0]);
	vh_plugger_plug(rig.p, &rig.plug[1]);
	fake_settle(rig.r);
	assert_int_equal(rig.n_news, 0);
	assert_int_equal(rig.plug[0].state, VH_PLUG_LEAVING);
	fake_give_back(&rig.qmp, 0);
	fake_settle(rig.r);
	assert_int_equal(rig.n_news, 2);
	assert_int_equal(rig.plug[0].state, VH_PLUG_OUT);
	assert_int_equal(rig.plug[1].state, VH_PLUG_IN);
	rig_free(&rig);
}

static void who_waits_too_long_is_told_so(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, NULL);
	plug(&rig, 0, "");
	rig.qmp.keeps = true;
	vh_plugger_unplug(rig.p, &rig.plug[0]);
	fake_settle(rig.r);
	vh_plugger_set_time_out(rig.p, 1000000);
	plug(&rig, 1, "has not given back");
	/* The other one is still expected. */
	fake_give_back(&rig.qmp, 0);
	wait_for_news(&rig);
	assert_int_equal(rig.plug[0].state, VH_PLUG_OUT);
	rig_free(&rig);
}

static void an_event_may_outrun_the_reply(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, NULL);
	rig.qmp.event_first = true;
	plug(&rig, 0, "");
	unplug(&rig, 0);
	plug(&rig, 1, "");
	rig_free(&rig);
}

static void what_left_by_itself_is_out_when_it_is_asked_for(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, NULL);
	plug(&rig, 0, "");
	fake_give_back(&rig.qmp, 0);
	fake_settle(rig.r);
	assert_int_equal(rig.n_news, 0);
	unplug(&rig, 0);
	rig_free(&rig);
}

/* ---- Monitors that do not answer ---- */

static void a_monitor_that_is_not_there_is_named(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, NULL);
	fake_stop(&rig.qmp);
	plug(&rig, 0, "-qmp unix:PATH,server=on,wait=off");
	assert_non_null(strstr(rig.error, rig.qmp.path));
	rig_free(&rig);
}

static void a_monitor_that_says_nothing_is_given_up(void **state)
{
	struct rig rig;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		rig_make(&rig, 1, NULL);
		rig.qmp.no_greeting = i == 0;
		rig.qmp.no_answers = true;
		vh_plugger_set_time_out(rig.p, 1000000);
		plug(&rig, 0, "no answer in time");
		rig.qmp.no_greeting = rig.qmp.no_answers = false;
		vh_plugger_set_time_out(rig.p, 10000000000);
		plug(&rig, 0, "");
		assert_int_equal(rig.qmp.n_connections, 2);
		rig_free(&rig);
	}
}

static void a_monitor_that_goes_away_is_asked_again(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, NULL);
	plug(&rig, 0, "");
	rig.qmp.keeps = true;
	vh_plugger_unplug(rig.p, &rig.plug[0]);
	fake_settle(rig.r);
	assert_int_equal(rig.qmp.n_asks, 1);
	fake_hang_up(&rig.qmp);
	fake_settle(rig.r);
	assert_int_equal(rig.qmp.n_asks, 2);
	fake_give_back(&rig.qmp, 0);
	wait_for_news(&rig);
	assert_int_equal(rig.plug[0].state, VH_PLUG_OUT);
	rig_free(&rig);
}

static void a_function_that_cannot_be_asked_for_stays_in(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, NULL);
	plug(&rig, 0, "");
	fake_stop(&rig.qmp);
	vh_plugger_unplug(rig.p, &rig.plug[0]);
	wait_for_news(&rig);
	assert_non_null(strstr(rig.error, rig.qmp.path));
	assert_int_equal(rig.plug[0].state, VH_PLUG_IN);
	rig_free(&rig);
}

static void nonsense_ends_the_connection_and_nothing_else(void **state)
{
	static const char *const words[] = {
		"[}",	 "null ",
		"hello", "{\"return\": {}, \"id\": 1e9}{\"error\": 1, \"id\": 2} ]",
		"}",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct rig rig;

		rig_make(&rig, 1, NULL);
		rig.qmp.says = words[i];
		vh_plugger_plug(rig.p, &rig.plug[0]);
		wait_for_news(&rig);
		assert_string_not_equal(rig.error, "");
		rig.qmp.says = NULL;
		plug(&rig, 0, "");
		rig_free(&rig);
	}
}

static void a_reply_without_sense_is_an_error(void **state)
{
	static const char *const words[] = {
		"{\"return\": 5, \"id\": 2}",
		"{\"return\": [5, null, {\"name\": 3}], \"id\": 2}",
		"{\"error\": {}, \"id\": 2}",
		"{\"error\": null, \"id\": 2}",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct rig rig;

		rig_make(&rig, 1, NULL);
		rig.qmp.says = words[i];
		vh_plugger_plug(rig.p, &rig.plug[0]);
		wait_for_news(&rig);
		assert_string_not_equal(rig.error, "");
		rig_free(&rig);
	}
}

static void words_of_no_meaning_are_passed_over(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, NULL);
	rig.qmp.no_answers = true;
	vh_plugger_plug(rig.p, &rig.plug[0]);
	fake_settle(rig.r);
	fake_send(&rig.qmp,
		  "[1] 2.5 \"x\" true {} {\"event\": 4} {\"event\": \"STOP\"} "
		  "{\"return\": {}} {\"return\": {}, \"id\": \"2\"} "
		  "{\"event\": \"DEVICE_DELETED\", \"data\": {\"path\": \"x\"}} "
		  "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": 7}} "
		  "{\"error\": {\"desc\": \"at last\"}, \"id\": 2}");
	wait_for_news(&rig);
	assert_string_equal(rig.error, "at last");
	rig_free(&rig);
}

static void a_value_without_an_end_is_cut_off(void **state)
{
	static char much[65536];
	struct rig rig;

	(void)state;
	memset(much, ' ', sizeof(much) - 1);
	rig_make(&rig, 1, NULL);
	rig.qmp.no_answers = true;
	vh_plugger_plug(rig.p, &rig.plug[0]);
	fake_settle(rig.r);
	fake_send(&rig.qmp, "{\"return\": \"");
	for (unsigned i = 0; i < 65 && !rig.n_news; i++) {
		fake_send(&rig.qmp, much);
		fake_settle(rig.r);
	}
	assert_int_equal(rig.n_news, 1);
	assert_non_null(strstr(rig.error, "not QMP"));
	rig_free(&rig);
}

/* ---- Owners that change their mind ---- */

static void nothing_is_heard_of_what_is_forgotten(void **state)
{
	struct rig rig;

	(void)state;
	rig_make(&rig, 2, NULL);
	vh_plugger_plug(rig.p, &rig.plug[0]);
	vh_plugger_plug(rig.p, &rig.plug[1]);
	vh_plugger_forget(rig.p, &rig.plug[1]); /* in the queue */
	rig.qmp.no_answers = true;
	fake_settle(rig.r);
	vh_plugger_forget(rig.p, &rig.plug[0]); /* the job */
	rig.qmp.no_answers = false;
	fake_settle(rig.r);
	assert_int_equal(rig.n_news, 0);
	plug(&rig, 2, "");
	rig.qmp.keeps = true;
	vh_plugger_unplug(rig.p, &rig.plug[2]);
	fake_settle(rig.r);
	vh_plugger_forget(rig.p, &rig.plug[2]); /* on its way out */
	fake_give_back(&rig.qmp, 0);
	fake_settle(rig.r);
	assert_int_equal(rig.n_news, 0);
	rig_free(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_function_goes_in_and_out),
		cmocka_unit_test(nobody_is_bothered_before_there_is_something_to_do),
		cmocka_unit_test(each_port_is_tried_until_one_is_free),
		cmocka_unit_test(only_the_port_that_is_named_is_tried),
		cmocka_unit_test(a_guest_without_ports_is_told_what_it_lacks),
		cmocka_unit_test(what_qemu_says_is_passed_on),
		cmocka_unit_test(a_port_that_is_given_back_is_taken_by_who_waits),
		cmocka_unit_test(who_waits_too_long_is_told_so),
		cmocka_unit_test(an_event_may_outrun_the_reply),
		cmocka_unit_test(what_left_by_itself_is_out_when_it_is_asked_for),
		cmocka_unit_test(a_monitor_that_is_not_there_is_named),
		cmocka_unit_test(a_monitor_that_says_nothing_is_given_up),
		cmocka_unit_test(a_monitor_that_goes_away_is_asked_again),
		cmocka_unit_test(a_function_that_cannot_be_asked_for_stays_in),
		cmocka_unit_test(nonsense_ends_the_connection_and_nothing_else),
		cmocka_unit_test(a_reply_without_sense_is_an_error),
		cmocka_unit_test(words_of_no_meaning_are_passed_over),
		cmocka_unit_test(a_value_without_an_end_is_cut_off),
		cmocka_unit_test(nothing_is_heard_of_what_is_forgotten),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
