/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - the statistics of a program at its end or on a signal.
 */
#ifndef EVR_REPORT_H
#define EVR_REPORT_H

#include "options.h"

/* options is kept. */
void evr_report_init(const struct evr_options *options);

/* The process ends.  Once for each process; a signal handler may do it. */
void evr_report_end(void);

#endif
