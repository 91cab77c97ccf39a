#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes ./configure out of configure.ac. Needs autoconf, automake, libtool and
# pkg-config (scripts/install-deps).
set -eu
cd "$(dirname "$0")"
exec autoreconf --install --force
