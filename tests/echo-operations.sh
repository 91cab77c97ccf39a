#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# echo-operations.sh - what echo.sh asks of the daemon, asked of the one that is
# made of operations.

ECHO_STYLE=operations exec "${0%/*}/echo.sh"
