/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.h - what kind of program this is: can anything be loaded into it?
 */
#ifndef EVR_PROGRAM_H
#define EVR_PROGRAM_H

#include <stddef.h>

/*
 * The file that execvp() would execute, or NULL with errno as it would set it.
 * To be freed.
 */
char *evr_program_find(const char *name);

/*
 * Why the dynamic linker will not load our library into it; NULL if it will, or
 * if that cannot be known.
 */
const char *evr_program_refuses(const char *path);

#endif
