/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * evring.c - the tool: evring(1).
 */
#include "config.h"

#include <evring.h>
#include <stdio.h>
#include <string.h>

#include "info.h"
#include "run.h"

static int print_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("evring %s\n", evring_version());
	return 0;
}

static int print_usage(int argc, char **argv);

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *what;
} commands[] = {
	{ "run", evring_run, "run a program of libev's on io_uring" },
	{ "info", evring_info, "what this machine gives, or a process has" },
	{ "--version", print_version, NULL },
	{ "--help", print_usage, NULL },
};

enum { NR_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void write_usage(FILE *to)
{
	int i;

	fputs("Usage: evring COMMAND [OPTION...]\n\n", to);
	for (i = 0; i < NR_COMMANDS; i++)
		if (commands[i].what)
			fprintf(to, "  evring %-5s %s\n", commands[i].name,
				commands[i].what);
	fputs("\nevring COMMAND --help says more; so does evring(1).\n", to);
}

static int print_usage(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	write_usage(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	int i;

	for (i = 0; argc > 1 && i < NR_COMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].main(argc - 1, argv + 1);
	if (argc > 1)
		fprintf(stderr, "evring: there is no command %s\n", argv[1]);
	write_usage(stderr);
	return 2;
}
