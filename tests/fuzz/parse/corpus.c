/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * corpus.c - the target of a fuzzer as a test: every input of its corpus, whole
 * and cut off at each byte.
 *
 *   NAME.t [FILE...]
 *
 * Without arguments the inputs are in tests/fuzz/corpus/NAME below top_srcdir.
 * The output is TAP, a line for each input.
 */
#include "config.h"

#include <dirent.h>
#include <limits.h>

#include "target.h"

enum { INPUT_SIZE = 1 << 20, MOST_CUTS = 4096 };

static int nr_inputs;

static uint8_t *read_file(const char *path, size_t *ret_size)
{
	uint8_t *data = malloc(INPUT_SIZE);
	FILE *file = fopen(path, "re");

	fuzz_require(data && file);
	*ret_size = fread(data, 1, INPUT_SIZE, file);
	fuzz_require(!ferror(file));
	fclose(file);
	return data;
}

/* In memory of just its size, so that the sanitizers see what is behind it. */
static void try_input(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	fuzz_require(copy);
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void try_file(const char *path)
{
	size_t size, cut;
	uint8_t *data = read_file(path, &size);

	for (cut = 0; cut < size && cut < MOST_CUTS; cut++)
		try_input(data, cut);
	try_input(data, size);
	free(data);
	printf("ok %d - %s\n", ++nr_inputs, strrchr(path, '/') + 1);
	fflush(stdout);
}

static void try_folder(const char *folder)
{
	struct dirent **entries;
	char path[2 * PATH_MAX];
	int i, nr = scandir(folder, &entries, NULL, alphasort);

	for (i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder,
			 entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			try_file(path);
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
}

int main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir");
	char folder[PATH_MAX];
	int i;

	snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s",
		 top ? top : ".", fuzz_target);
	if (argc == 1)
		try_folder(folder);
	for (i = 1; i < argc; i++)
		try_file(argv[i]);
	if (!nr_inputs)
		printf("not ok 1 - there is no input in %s\n", folder);
	printf("1..%d\n", nr_inputs ? nr_inputs : 1);
	return nr_inputs ? EXIT_SUCCESS : EXIT_FAILURE;
}
