# SPDX-License-Identifier: BSD-2-Clause

# Built, not installed.
noinst_PROGRAMS += %D%/echo
%C%_echo_SOURCES = %D%/echo.c
%C%_echo_LDADD   = lib/libevring.la $(EV_LIBS)
