/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main() of a fuzz target without a fuzzer: runs it once on each file, and on
 * each file of each folder, that is named.  A folder without files is a mistake.
 */
#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

static void run(const char *path, size_t size)
{
	FILE *f = fopen(path, "rb");
	/* Just as large as the input, so that a sanitizer sees a read behind it. */
	uint8_t *data = malloc(size);

	if (!f || (size && !data) || fread(data, 1, size, f) != size) {
		perror(path);
		exit(1);
	}
	fclose(f);
	/* If it dies, this line says where. */
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

static void run_folder(const char *path, unsigned *n)
{
	DIR *d = opendir(path);

	if (!d) {
		perror(path);
		exit(1);
	}
	for (const struct dirent *e; (e = readdir(d));) {
		char file[4096];
		struct stat st;

		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
			run(file, st.st_size);
			(*n)++;
		}
	}
	closedir(d);
}

int main(int argc, char **argv)
{
	unsigned n = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) == 0 && S_ISREG(st.st_mode)) {
			run(argv[i], st.st_size);
			n++;
		} else {
			run_folder(argv[i], &n);
		}
	}
	fprintf(stderr, "%u inputs\n", n);
	return n == 0;
}
