/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - of the programs that are a suite for Check.
 */
#include "config.h"

#include "harness.h"

#include <stdlib.h>

int main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int nr_failed;

	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
