/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * veth.h - a pair of network interfaces whose packets come through NAPI, as
 * those of a NIC do, in network namespaces of their own.
 */
#ifndef EVR_TEST_VETH_H
#define EVR_TEST_VETH_H

/* Why there can be none here; NULL if there can. */
const char *no_veth(void);

/*
 * Make it; this process is at its near end from here on.  Returns 0 or -errno.
 * Once in a process: Check forks for each test.
 */
int veth_init(void);

/* A TCP connection over it: fds[0] is near, fds[1] far.  Returns 0 or -errno.
 */
int veth_connect(int fds[2]);

/* How many packets the kernel took from the near end in busy polling. */
long veth_nr_polled(void);

#endif
