/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.h - `evring run`.
 */
#ifndef EVR_RUN_H
#define EVR_RUN_H

/* argv[0] is "run".  Does not return when the program was executed. */
int evring_run(int argc, char **argv);

#endif
