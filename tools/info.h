/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * info.h - `evring info': what this machine gives a loop, and what a process
 * under `evring run' makes of it.
 */
#ifndef EVR_TOOL_INFO_H
#define EVR_TOOL_INFO_H

/* argv[0] is "info".  Returns the exit status. */
int evring_info(int argc, char **argv);

#endif
