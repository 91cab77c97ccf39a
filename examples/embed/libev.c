/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libev.c - libev as this program has it, made known to evring.
 *
 * What libev is to have and what not is said in the Makefile, because ev.h and
 * evring-all.c want to know it, too.
 */
#include "ev.c"
#include "evring-embed.h"
