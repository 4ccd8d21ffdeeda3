/* SPDX-License-Identifier: BSD-3-Clause */
/* The words of vhost vvu: see vvu.h. */
#include <string.h>

#include "vvu.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct personality *const personalities[] = {
	&personality_vvu,
	&personality_vhost_pci,
	&personality_shm,
};

static int wrong(const char *what, const char *value)
{
	return usage_error(&verb_vvu, value ? "%s, not \"%s\"" : "%s", what, value);
}

/* ---- One of several words ---- */

static const char *const profiles[] = {"modern", "bar2", "crosvm", NULL};
static const char *const accepts[] = {"early", "ready", NULL};
static const char *const doorbells[] = {"trap", "poll", NULL};

_Static_assert(N(profiles) == VH_VVU_PROFILES + 1, "a profile has a name");

static bool find_word(const char *const *words, const char *value, unsigned *choice)
{
	for (unsigned i = 0; value && words[i]; i++) {
		if (!strcmp(words[i], value)) {
			*choice = i;
			return true;
		}
	}
	return false;
}

static bool find_personality(struct vvu *v, const char *value)
{
	for (size_t i = 0; value && i < N(personalities); i++) {
		if (!strcmp(personalities[i]->name, value)) {
			v->personality = personalities[i];
			return true;
		}
	}
	return false;
}

/* ---- Options ---- */

static bool set_text(const char **to, const char *value)
{
	*to = value;
	return value && *value;
}

static bool set_pci(struct vvu *v, const char *value)
{
	return set_text(&v->pci, value);
}

static bool set_front(struct vvu *v, const char *value)
{
	return set_text(&v->front, value);
}

static bool set_memory(struct vvu *v, const char *value)
{
	return set_text(&v->memory, value) && !strncmp(value, "file:", 5) && value[5];
}

static bool set_window(struct vvu *v, const char *value)
{
	static const char hotplug[] = "hotplug:";
	const size_t len = sizeof(hotplug) - 1;

	return set_text(&v->window, value) &&
	       (!strcmp(value, "static") ||
		(!strncmp(value, hotplug, len) && value[len]));
}

static bool set_profile(struct vvu *v, const char *value)
{
	return find_word(profiles, value, &v->profile);
}

static bool set_accept(struct vvu *v, const char *value)
{
	return find_word(accepts, value, &v->ready);
}

static bool set_doorbell(struct vvu *v, const char *value)
{
	return find_word(doorbells, value, &v->poll);
}

static bool set_bar_size(struct vvu *v, const char *value)
{
	return value && parse_size(value, &v->bar_size) && v->bar_size >= 4096 &&
	       !(v->bar_size & (v->bar_size - 1));
}

static const struct {
	const char *name;
	bool (*set)(struct vvu *v, const char *value);
	const char *takes;
} options[] = {
	{"--pci", set_pci, "--pci takes vfio-user:PATH"},
	{"--front", set_front, "--front takes the front-end's address, like unix:PATH"},
	{"--memory", set_memory, "--memory takes file:PATH[,size=SIZE]"},
	{"--window", set_window, "--window is static or hotplug:QMP-SOCKET"},
	{"--personality", find_personality,
	 "--personality is vvu, vhost-pci or virtio-shm"},
	{"--profile", set_profile, "--profile is modern, bar2 or crosvm"},
	{"--accept", set_accept, "--accept is early or ready"},
	{"--doorbell", set_doorbell, "--doorbell is trap or poll"},
	{"--bar-size", set_bar_size, "--bar-size takes a power of two, like 16G"},
};

static int read_option(struct vvu *v, int argc, char **argv, int *i)
{
	for (size_t k = 0; k < N(options); k++) {
		const char *value;

		if (!option_with_value(argc, argv, i, options[k].name, &value))
			continue;
		return options[k].set(v, value) ? EXIT_OK
						: wrong(options[k].takes, value);
	}
	return usage_error(&verb_vvu, "there is no option \"%s\"", argv[*i]);
}

/* ---- All of them together ---- */

/* The scheme of --pci hangs on the personality, which may come behind it. */
static int check_pci(struct vvu *v)
{
	const struct personality *p = v->personality;
	const size_t len = strlen(p->scheme);

	if (!v->pci)
		return usage_error(&verb_vvu, "--pci %s is missing", p->form);
	if (strncmp(v->pci, p->scheme, len) != 0 || !v->pci[len])
		return usage_error(&verb_vvu,
				   "--personality %s: --pci takes %s, not \"%s\"",
				   p->name, p->form, v->pci);
	v->pci += len;
	return EXIT_OK;
}

static int check_words(struct vvu *v)
{
	if (!v->front)
		return wrong("--front ADDRESS is missing", NULL);
	if (v->run.n_cores > 1)
		return wrong("--cores takes one CPU: there is one thread", NULL);
	if (v->memory && v->window && strcmp(v->window, "static") != 0)
		return usage_error(&verb_vvu,
				   "--memory %s is a static window, --window %s another "
				   "one: give one of them",
				   v->memory, v->window);
	if (v->personality != &personality_vvu && (v->profile || v->poll))
		return usage_error(&verb_vvu, "%s is for --personality vvu",
				   v->poll ? "--doorbell poll" : "--profile");
	if (v->personality->own_window && (v->memory || v->window))
		return usage_error(&verb_vvu,
				   "--personality %s needs no --memory and no --window: "
				   "memory is shown to the guest when it is known",
				   v->personality->name);
	return EXIT_OK;
}

int vvu_read_words(struct vvu *v, int argc, char **argv)
{
	int code = EXIT_OK;

	v->personality = &personality_vvu;
	for (int i = 0; i < argc && code == EXIT_OK; i++)
		code = read_option(v, argc, argv, &i);
	if (code == EXIT_OK)
		code = check_pci(v);
	return code == EXIT_OK ? check_words(v) : code;
}
