/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the kernel's workers may run, to which io_uring gives what has to wait. */
#include "store/image.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>

#define LEN 4096

/* Is it a worker of the kernel's: its name, and the CPUs that it may use. */
static bool is_worker(const char *tid, cpu_set_t *cpus)
{
	char path[300], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%s/comm", tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		name[0] = 0;
	fclose(f);
	return !strncmp(name, "iou-wrk", 7) &&
	       !sched_getaffinity((pid_t)atoi(tid), sizeof(*cpus), cpus);
}

/* How many there are, and how many of them may use @cpu. */
static unsigned count_workers(int cpu, unsigned *n_there)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	cpu_set_t cpus;
	unsigned n = 0;

	*n_there = 0;
	while (dir && (entry = readdir(dir)))
		if (is_worker(entry->d_name, &cpus)) {
			n++;
			*n_there += CPU_ISSET(cpu, &cpus) != 0;
		}
	if (dir)
		closedir(dir);
	return n;
}

struct pinned {
	const struct image *image;
	int cpu;
	unsigned n_workers, n_there;
};

/* On tmpfs io_uring needs a worker for whatever it does. */
static void *write_pinned(void *arg)
{
	struct pinned *p = arg;
	char data[LEN] = "data";
	struct rig rig;
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET(p->cpu, &only);
	assert_int_equal(sched_setaffinity(0, sizeof(only), &only), 0);
	rig_open(&rig, p->image->word, "aio=uring", "register=off");
	assert_int_equal(do_op(&rig, VH_STORE_WRITE, 0, data, LEN), 0);
	p->n_workers = count_workers(p->cpu, &p->n_there);
	rig_close(&rig);
	return NULL;
}

static void workers_keep_off_the_cpu_of_a_pinned_thread(void **state)
{
	struct pinned p = {.cpu = sched_getcpu()};
	struct image image;
	pthread_t thread;
	cpu_set_t all;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	if (CPU_COUNT(&all) < 2)
		skip();
	image_new(&image, IN_MEMORY, LEN);
	p.image = &image;
	assert_int_equal(pthread_create(&thread, NULL, write_pinned, &p), 0);
	pthread_join(thread, NULL);
	image_delete(&image);
	if (!p.n_workers)
		skip(); /* a kernel that needs none */
	assert_int_equal(p.n_there, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_keep_off_the_cpu_of_a_pinned_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
