/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * names.h - the names of errors.
 */
#ifndef EVR_TOOL_NAMES_H
#define EVR_TOOL_NAMES_H

/*
 * "EPERM"; error may have either sign.  One without a name here is named by its
 * number, until the next call.
 */
const char *error_name(int error);

#endif
