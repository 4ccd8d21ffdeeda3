/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost vvu: hands the back-end side of a vhost-user connection to a guest, as a PCI
 * function of its VMM.
 */
#include "vvu.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "cli.h"
#include "control.h"

/* ---- The personality vvu ---- */

static int open_vvu(struct vvu *v)
{
	const struct vh_vvu_pci_params p = {
		.pci = v->pci,
		.front = v->front,
		.tag = "vvu0",
		.profile = (enum vh_vvu_profile_id)v->profile,
		.accept_early = !v->ready,
		.poll_doorbells = v->poll,
		.window = v->mapped,
		.area = v->area,
	};
	struct vh_vvu_pci_params with_uuid = p;
	struct vh_vvu_pci *device;
	int err;

	memcpy(with_uuid.uuid, v->uuid, sizeof(v->uuid));
	err = vh_vvu_pci_open(v->run.reactor[0], &with_uuid, &device);
	v->device = device;
	return err;
}

static void close_vvu(struct vvu *v)
{
	vh_vvu_pci_close(v->device);
}

void vvu_add_count(struct json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)n));
}

void vvu_add_traffic(struct json_object *o, const struct vh_relay_stats *relay,
		     const struct vh_vfu_stats *vfu)
{
	vvu_add_count(o, "sessions", relay->sessions);
	vvu_add_count(o, "to_driver", relay->to_driver);
	vvu_add_count(o, "to_frontend", relay->to_frontend);
	vvu_add_count(o, "kicks", relay->kicks);
	vvu_add_count(o, "doorbells", relay->doorbells);
	vvu_add_count(o, "faults", relay->faults + vfu->faults);
	vvu_add_count(o, "vmm_clients", vfu->clients);
	vvu_add_count(o, "vmm_messages", vfu->messages);
	vvu_add_count(o, "vmm_reads", vfu->reads);
	vvu_add_count(o, "vmm_writes", vfu->writes);
	vvu_add_count(o, "interrupts", vfu->interrupts);
}

static void stat_vvu(const struct vvu *v, struct json_object *o)
{
	struct vh_vvu_pci_stats s;

	vh_vvu_pci_read_stats(v->device, &s);
	json_object_object_add(o, "driver", json_object_new_boolean(s.driver_ok));
	json_object_object_add(o, "session",
			       json_object_new_boolean(s.status == 3 && s.driver_ok));
	vvu_add_count(o, "status", s.status);
	vvu_add_count(o, "broken", s.broken);
	vvu_add_traffic(o, &s.relay, &s.vfu);
}

const struct personality personality_vvu = {
	.name = "vvu",
	.scheme = "vfio-user:",
	.form = "vfio-user:PATH",
	.open = open_vvu,
	.close = close_vvu,
	.stat = stat_vvu,
};

/* ---- Its control socket ---- */

void vvu_commands(void *arg, struct control_call *call, int argc, char **argv)
{
	const struct vvu *v = arg;
	struct json_object *answer, *list, *o;

	if (argc != 1 || strcmp(argv[0], "stat") != 0) {
		control_fail(call, "there is: stat");
		return;
	}
	answer = json_object_new_object();
	list = json_object_new_array();
	o = json_object_new_object();
	json_object_object_add(o, "name", json_object_new_string("vvu0"));
	json_object_object_add(o, "personality",
			       json_object_new_string(v->personality->name));
	json_object_object_add(o, "front", json_object_new_string(v->front));
	v->personality->stat(v, o);
	json_object_array_add(list, o);
	json_object_object_add(answer, "relays", list);
	control_succeed(call, answer);
}

/* ---- The verb ---- */

static int make_window(struct vvu *v)
{
	const struct vh_window_wish wish = {
		.memory = v->memory,
		.window = v->window,
		.uuid = v->uuid,
		.bar_size = v->bar_size,
		.tag = "vvu0/window",
	};
	int err = vh_window_open(v->run.reactor[0], &wish, &v->mapped);

	return err ? err : vh_area_create("vvu0/area", &v->area);
}

static int open_all(struct vvu *v, struct control **control)
{
	int err = v->personality->own_window ? 0 : make_window(v);

	if (!err)
		err = v->personality->open(v);
	if (!err && v->run.control)
		err = control_open(&v->run, vvu_commands, v, control);
	return err;
}

static int run_vvu(struct vvu *v)
{
	struct control *control = NULL;
	int code;

	if (getrandom(v->uuid, sizeof(v->uuid), 0) != sizeof(v->uuid))
		return EXIT_FAILED;
	code = exit_code_of_words(open_all(v, &control));
	if (code == EXIT_OK)
		code = exit_code_of(run_loop(&v->run));
	control_close(control);
	if (v->device)
		v->personality->close(v);
	vh_window_destroy(v->mapped);
	vh_area_destroy(v->area);
	return code;
}

static int vvu_verb(int argc, char **argv)
{
	struct vvu v = {.run = {.verb = &verb_vvu, .alone = true}};
	int code;

	argc = run_take_options(&v.run, argc, argv);
	if (argc < 0)
		return EXIT_USAGE;
	code = vvu_read_words(&v, argc, argv);
	if (code != EXIT_OK)
		return code;
	if (run_start(&v.run) < 0)
		return EXIT_FAILED;
	code = run_vvu(&v);
	run_end(&v.run);
	return code;
}

const struct verb verb_vvu = {
	.name = "vvu",
	.run = vvu_verb,
	.summary = "let a guest serve devices to another one",
	.usage =
		"vhost vvu --pci ADDRESS --front ADDRESS [--memory "
		"file:PATH[,size=SIZE]]\n"
		"                 [--window static|hotplug:QMP-SOCKET] [--personality "
		"vvu|vhost-pci|virtio-shm]\n"
		"                 [--profile modern|bar2|crosvm] [--accept early|ready]\n"
		"                 [--doorbell trap|poll] [--bar-size SIZE] [RUN]",
	.help = "  --pci vfio-user:PATH        where the VMM of the guest that serves "
		"finds its device\n"
		"  --front unix:PATH           where the VMM of the other guest finds "
		"its "
		"back-end\n"
		"  --memory file:PATH          the other guest's memory; with ,size=SIZE "
		"it "
		"is made\n"
		"  --window static|hotplug:QMP-SOCKET\n"
		"                              that memory, or a function plugged in for "
		"it\n"
		"  --personality vvu|vhost-pci|virtio-shm\n"
		"                              which device the guest sees\n"
		"  --profile modern|bar2|crosvm\n"
		"                              which drivers of vvu its registers are "
		"for\n"
		"  --accept early|ready        the other guest at once, or when a driver "
		"is "
		"there\n"
		"  --doorbell trap|poll        calls by register, or by memory, which "
		"costs "
		"a CPU\n"
		"  --bar-size SIZE             how much memory the other guest may have; "
		"16G\n\n" RUN_HELP,
};
