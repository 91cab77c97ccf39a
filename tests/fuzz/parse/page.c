/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parse/page.c - what `evring info PID' reads of another process: a page that
 * may be anything.
 *
 * The page of this process is made right, and then bytes of the input take the
 * place of its own: each of three bytes, two of them where (times 2), one what.
 */
#include "config.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#include "../../../preload/page.h"
#include "../../../tools/process.h"

const char fuzz_target[] = "page";

static const struct evr_page *right_page(void)
{
	static struct evr_page page = {
		.magic = EVR_PAGE_MAGIC,
		.size = sizeof(page),
		.nr_slots = EVR_PAGE_SLOTS,
		.nr_made = 3,
		.nr_ended = 1,
		.slots = {
			{ .state = EVR_SLOT_ATTACHED, .backend = 4, .tier = 2,
			  .is_default = 1 },
			{ .state = EVR_SLOT_REFUSED, .backend = 4,
			  .error = -12 },
		},
	};

	page.pid = getpid();
	strncpy(page.version, evring_version(), sizeof(page.version) - 1);
	return &page;
}

/* A memfd of the name that readers look for, as long as this process lives. */
static int page_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create(EVR_PAGE_NAME, MFD_CLOEXEC);
	fuzz_require(fd >= 0);
	return fd;
}

/* Cut short where the input says so by what is left over of it. */
static void write_page(const uint8_t *data, size_t size)
{
	static struct evr_page page;
	size_t i, at, length = sizeof(page);

	page = *right_page();
	for (i = 0; i + 3 <= size; i += 3) {
		at = (data[i] << 8 | data[i + 1]) * 2u;
		((unsigned char *)&page)[at % sizeof(page)] = data[i + 2];
	}
	if (size % 3 == 2)
		length = (data[i] << 8 | data[i + 1]) * 2u % sizeof(page);
	fuzz_require(ftruncate(page_fd(), 0) == 0);
	fuzz_require(pwrite(page_fd(), &page, length, 0) == (ssize_t)length);
}

static int report(bool json, bool quiet)
{
	static FILE *nowhere;
	FILE *out = stdout;
	int status;

	if (!nowhere)
		nowhere = fopen("/dev/null", "we");
	fuzz_require(nowhere);
	stdout = nowhere;
	status = process_report(getpid(), json, quiet);
	stdout = out;
	fuzz_require(status != STATUS_USAGE);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int as_text, as_json;

	write_page(data, size);
	as_text = report(false, size > 0);
	as_json = report(true, size > 0);
	fuzz_require(as_text == as_json);
	fuzz_require(size || as_text == STATUS_YES);
	if (as_text == STATUS_YES)
		fuzz_require(report(false, false) == STATUS_YES);
	return 0;
}
