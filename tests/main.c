/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - of the programs that are a suite for Check.
 */
#include "config.h"

#include "harness.h"

#include <stdlib.h>

int main(void)
{
	SRunner *runner;
	int nr_failed;

	/* Check's own is 4 seconds. */
	setenv("CK_DEFAULT_TIMEOUT", "30", 0);
	runner = srunner_create(make_suite());
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
