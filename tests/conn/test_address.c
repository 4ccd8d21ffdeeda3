/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses: splitting, joining, options, schemes. */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn/address.h"

/* @text must fall into exactly the parts that follow, up to NULL. */
static void expect_split(const char *text, ...)
{
	const char *want;
	char **parts;
	va_list args;
	unsigned i = 0;

	assert_int_equal(vh_options_split(text, &parts), 0);
	va_start(args, text);
	while ((want = va_arg(args, const char *)))
		assert_string_equal(parts[i++], want);
	va_end(args);
	assert_null(parts[i]);
	vh_options_free(parts);
}

static void commas_separate_and_double_commas_are_literal(void **state)
{
	(void)state;
	expect_split("", "", NULL);
	expect_split("a", "a", NULL);
	expect_split("a,b=1", "a", "b=1", NULL);
	expect_split("a,,b,c", "a,b", "c", NULL);
	expect_split("a,,,b", "a,", "b", NULL);
	expect_split(",,", ",", NULL);
	expect_split(",", "", "", NULL);
	expect_split("a,", "a", "", NULL);
	expect_split(",,,,,", ",,", "", NULL);
}

static void what_was_split_joins_to_the_same_text(void **state)
{
	static const char *const texts[] = {
		"",	 "a",  "a,b=1", "a,,b,c",
		"a,,,b", ",,", ",",	"x=unix:/a,,b,queues=4,trunk=1:2"};

	(void)state;
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char **parts, *text;

		assert_int_equal(vh_options_split(texts[i], &parts), 0);
		assert_int_equal(vh_options_join(parts, &text), 0);
		assert_string_equal(text, texts[i]);
		free(text);
		vh_options_free(parts);
	}
}

static void an_option_gives_its_value(void **state)
{
	char *options[] = {"mode=0660", "name=", NULL};
	const char *mode = NULL, *name = NULL, *other = NULL;
	const struct vh_option known[] = {{"mode", "OCTAL", &mode},
					  {"name", "TEXT", &name},
					  {"mod", "TEXT", &other},
					  {NULL, NULL, NULL}};

	(void)state;
	assert_int_equal(vh_options_read("test", "x", options, known), 0);
	assert_string_equal(mode, "0660");
	assert_string_equal(name, "");
	assert_null(other);
}

static void expect_bad_option(char *first, char *second, const char *in_log)
{
	char *options[] = {first, second, NULL};
	const char *mode = NULL, *server = NULL;
	const struct vh_option known[] = {{"server", "on|off", &server},
					  {"mode", "OCTAL", &mode},
					  {NULL, NULL, NULL}};

	rig_log_clear();
	assert_int_equal(vh_options_read("test", "x", options, known), -EINVAL);
	assert_int_equal(rig_logged(in_log), 1);
}

static void a_bad_option_is_named_with_those_that_exist(void **state)
{
	(void)state;
	expect_bad_option("sever=on", NULL, "no option \"sever\"");
	expect_bad_option("sever=on", NULL, "it has server=on|off, mode=OCTAL");
	expect_bad_option("", NULL, "no option \"\"");
	expect_bad_option("mod=1", NULL, "no option \"mod\"");
	expect_bad_option("modes=1", NULL, "no option \"modes\"");
	expect_bad_option("mode", NULL, "want mode=OCTAL");
	expect_bad_option("mode=1", "mode=2", "once");
}

static void where_no_options_exist_that_is_said(void **state)
{
	char *options[] = {"poll=on", NULL};
	const struct vh_option none[] = {{.name = NULL}};

	(void)state;
	rig_log_clear();
	assert_int_equal(vh_options_read("test", "x", options, none), -EINVAL);
	assert_int_equal(rig_logged("no option \"poll\"; it has none"), 1);
}

static void only_on_and_off_are_on_and_off(void **state)
{
	bool on = true;

	(void)state;
	assert_int_equal(vh_option_on_off("test", "server", NULL, &on), 0);
	assert_true(on);
	assert_int_equal(vh_option_on_off("test", "server", "off", &on), 0);
	assert_false(on);
	assert_int_equal(vh_option_on_off("test", "server", "on", &on), 0);
	assert_true(on);
	assert_int_equal(vh_option_on_off("test", "server", "yes", &on), -EINVAL);
	assert_int_equal(rig_logged("server=yes"), 1);
}

static void expect_bad_address(const char *address, int err, const char *in_log)
{
	struct vh_connector *c;

	rig_log_clear();
	assert_int_equal(vh_connector_open(address, VH_ROLE_BACKEND, "test", &c), err);
	assert_null(c);
	assert_int_equal(rig_logged(in_log), 1);
}

static void a_bad_address_is_refused_and_named(void **state)
{
	(void)state;
	expect_bad_address("tcp:1.2.3.4", -EINVAL, "\"tcp:1.2.3.4\"");
	expect_bad_address("tcp:1.2.3.4", -EINVAL, "there are unix: fd: loop:");
	expect_bad_address("/run/socket", -EINVAL, "\"/run/socket\"");
	expect_bad_address("", -EINVAL, "known scheme");
	expect_bad_address(":", -EINVAL, "known scheme");
	expect_bad_address("unixx:/a", -EINVAL, "known scheme");
	expect_bad_address("unix:", -EINVAL, "path \"\"");
	expect_bad_address("unix:/tmp/a,colour=red", -EINVAL, "no option \"colour\"");
	expect_bad_address("unix:/tmp/a,server=maybe", -EINVAL, "server=maybe");
	expect_bad_address("unix:/tmp/a,mode=9", -EINVAL, "mode=9");
	expect_bad_address("unix:/tmp/a,mode=", -EINVAL, "mode=");
	expect_bad_address("unix:/tmp/a,mode=1777", -EINVAL, "mode=1777");
	expect_bad_address("unix:/tmp/a,mode=-1", -EINVAL, "mode=-1");
	expect_bad_address("unix:/tmp/a,group=no-such-group", -EINVAL, "no-such-group");
	expect_bad_address("unix:/tmp/a,server=off,mode=600", -EINVAL, "server=on");
	expect_bad_address("fd:3,server=on", -EINVAL, "no option \"server\"");
	expect_bad_address("fd:", -EINVAL, "fd:");
	expect_bad_address("fd:-1", -EINVAL, "fd:-1");
	expect_bad_address("fd:3x", -EINVAL, "fd:3x");
	expect_bad_address("fd:99999999999999999999", -EINVAL, "fd:999");
	expect_bad_address("fd:987654", -EBADF, "fd:987654");
	expect_bad_address("loop:a,any-memory=perhaps", -EINVAL, "any-memory=perhaps");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(commas_separate_and_double_commas_are_literal),
		RIG_TEST(what_was_split_joins_to_the_same_text),
		RIG_TEST(an_option_gives_its_value),
		RIG_TEST(a_bad_option_is_named_with_those_that_exist),
		RIG_TEST(where_no_options_exist_that_is_said),
		RIG_TEST(only_on_and_off_are_on_and_off),
		RIG_TEST(a_bad_address_is_refused_and_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
