# SPDX-License-Identifier: BSD-2-Clause
# What packages are made with.  By name, because packages are built in debian/.

EXTRA_DIST += %D%/evring.rpmlintrc %D%/evring.spec %D%/in-copy \
	debian/README.source \
	debian/changelog \
	debian/control \
	debian/copyright \
	debian/evring.docs \
	debian/evring.install \
	debian/evring.lintian-overrides \
	debian/evring.manpages \
	debian/libevring-dev.docs \
	debian/libevring-dev.install \
	debian/libevring-dev.lintian-overrides \
	debian/libevring-dev.manpages \
	debian/libevring0.install \
	debian/libevring0.lintian-overrides \
	debian/libevring0.symbols \
	debian/not-installed \
	debian/rules \
	debian/source/format \
	debian/source/lintian-overrides \
	debian/tests/control \
	debian/tests/program \
	debian/tests/tool
