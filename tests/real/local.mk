# SPDX-License-Identifier: BSD-2-Clause

# Programs from packages, on libev's epoll and under evring run.
real_scripts = \
	%D%/gevent.sh \
	%D%/hitch.sh \
	%D%/nghttp2.sh \
	%D%/shadowsocks.sh \
	%D%/sniproxy.sh \
	%D%/verto.sh
EXTRA_DIST += $(real_scripts) \
	%D%/backend.py \
	%D%/common.sh \
	%D%/gevent-program.py \
	%D%/http.sh \
	%D%/verto-program.c
TESTS += $(real_scripts)
