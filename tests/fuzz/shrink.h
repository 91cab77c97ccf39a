/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shrink.h - make a program that fails short.
 */
#ifndef SHRINK_H
#define SHRINK_H

#include "program.h"

typedef bool still_fails(const struct program *program, void *arg);

/* Take away from program what can go while it still fails. */
void shrink_program(struct program *program, still_fails *test, void *arg);

#endif
