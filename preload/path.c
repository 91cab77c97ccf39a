/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path.c - reading and writing LD_PRELOAD.
 */
#include "config.h"

#include "path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLE   "LD_PRELOAD"
#define SEPARATORS " :"

bool evr_path_is_possible(const char *path)
{
	return *path && !strpbrk(path, SEPARATORS);
}

/* The next path of *list, which is moved behind it.  Size 0: there is none. */
static const char *next_path(const char **list, size_t *ret_size)
{
	const char *path = *list + strspn(*list, SEPARATORS);

	*ret_size = strcspn(path, SEPARATORS);
	*list = path + *ret_size;
	return path;
}

static bool is_ours(const char *path, size_t size)
{
	static const char name[] = EVR_PRELOAD;
	size_t length = sizeof(name) - 1;

	return size >= length && !memcmp(path + size - length, name, length) &&
	       (size == length || path[size - length - 1] == '/');
}

static bool has_path(const char *list, const char *wanted)
{
	const char *path;
	size_t size;

	while (path = next_path(&list, &size), size)
		if (size == strlen(wanted) && !memcmp(path, wanted, size))
			return true;
	return false;
}

int evr_path_add(const char *path)
{
	const char *old = getenv(VARIABLE);
	char *both;
	int r;

	if (!old || !*old)
		return setenv(VARIABLE, path, 1) < 0 ? -errno : 0;
	if (has_path(old, path))
		return 0;
	if (asprintf(&both, "%s:%s", old, path) < 0)
		return -ENOMEM;
	r = setenv(VARIABLE, both, 1) < 0 ? -errno : 0;
	free(both);
	return r;
}

void evr_path_remove_us(void)
{
	const char *path, *list = getenv(VARIABLE);
	char *rest, *end;
	size_t size;

	rest = end = list ? malloc(strlen(list) + 2) : NULL;
	if (!rest)
		return;
	while (path = next_path(&list, &size), size)
		if (!is_ours(path, size))
			end += sprintf(end, ":%.*s", (int)size, path);
	*end = '\0';
	if (*rest)
		setenv(VARIABLE, rest + 1, 1);
	else
		unsetenv(VARIABLE);
	free(rest);
}
