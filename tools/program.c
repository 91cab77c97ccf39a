/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.c - what kind of program this is.
 *
 * A program that was linked for the same dynamic linker as we are takes our
 * library.  One that names another linker (of another libc, or for another kind
 * of machine) may not even start with it; one that names none ignores it, and
 * so does one that runs with more rights than its user.
 */
#include "config.h"

#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/*
 * finding
 */

static bool is_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	if (S_ISREG(st.st_mode) && access(path, X_OK) == 0)
		return true;
	errno = EACCES;
	return false;
}

static char *find_in(const char *dirs, const char *name)
{
	char *path = malloc(strlen(dirs) + strlen(name) + 3);
	bool was_refused = false;
	int length;

	if (!path)
		return NULL;
	for (; dirs; dirs = dirs[length] ? dirs + length + 1 : NULL) {
		length = (int)strcspn(dirs, ":");
		sprintf(path, "%.*s/%s", length ? length : 1,
			length ? dirs : ".", name);
		if (is_program(path))
			return path;
		was_refused |= errno == EACCES;
	}
	free(path);
	errno = was_refused ? EACCES : ENOENT;
	return NULL;
}

char *evr_program_find(const char *name)
{
	const char *dirs = getenv("PATH");

	if (strchr(name, '/'))
		return is_program(name) ? strdup(name) : NULL;
	errno = ENOENT;
	return *name ? find_in(dirs ? dirs : "/bin:/usr/bin", name) : NULL;
}

/*
 * rights
 */

static bool gets_rights(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	return (st.st_mode & S_ISUID && st.st_uid != getuid()) ||
	       (st.st_mode & S_ISGID && st.st_mode & S_IXGRP &&
		st.st_gid != getgid()) ||
	       (getuid() != 0 &&
		getxattr(path, "security.capability", NULL, 0) > 0);
}

/*
 * ELF
 */

struct program {
	int fd;
	ElfW(Ehdr) header;
	char linker[PATH_MAX]; /* empty: none */
};

static bool read_at(const struct program *p, void *to, size_t size, off_t at)
{
	return pread(p->fd, to, size, at) == (ssize_t)size;
}

static bool is_elf(const struct program *p)
{
	return !memcmp(p->header.e_ident, ELFMAG, SELFMAG);
}

static bool is_of_our_kind(const struct program *p)
{
	return p->header.e_ident[EI_CLASS] ==
		       (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) &&
	       p->header.e_phentsize == sizeof(ElfW(Phdr));
}

static bool read_linker(struct program *p)
{
	ElfW(Phdr) segment;
	unsigned i;

	for (i = 0; i < p->header.e_phnum; i++) {
		if (!read_at(p, &segment, sizeof(segment),
			     (off_t)(p->header.e_phoff + i * sizeof(segment))))
			return false;
		if (segment.p_type == PT_INTERP)
			return segment.p_filesz < sizeof(p->linker) &&
			       read_at(p, p->linker, segment.p_filesz,
				       (off_t)segment.p_offset);
	}
	return true;
}

static bool open_program(struct program *p, const char *path)
{
	memset(p, 0, sizeof(*p));
	p->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (p->fd < 0)
		return false;
	return read_at(p, &p->header, sizeof(p->header), 0);
}

static void close_program(struct program *p)
{
	if (p->fd >= 0)
		close(p->fd);
}

static const char *refusal_of(struct program *p)
{
	struct program self;
	const char *why = NULL;

	if (!is_of_our_kind(p))
		return "it is for another kind of machine than evring";
	if (!read_linker(p))
		return NULL;
	if (!*p->linker)
		return "it is statically linked";
	if (open_program(&self, "/proc/self/exe") && read_linker(&self) &&
	    strcmp(self.linker, p->linker))
		why = "it is for another dynamic linker (another libc) than "
		      "evring";
	close_program(&self);
	return why;
}

/* The interpreter of a script, in place of the script. */
static bool enter_script(struct program *p)
{
	char line[256], *name;

	memset(line, 0, sizeof(line));
	if (pread(p->fd, line, sizeof(line) - 1, 0) < 3 ||
	    memcmp(line, "#!", 2))
		return false;
	name = line + 2 + strspn(line + 2, " \t");
	name[strcspn(name, " \t\n")] = '\0';
	close_program(p);
	return open_program(p, name);
}

const char *evr_program_refuses(const char *path)
{
	struct program p;
	const char *why = NULL;

	if (gets_rights(path))
		return "it is setuid or setgid, or has capabilities: the "
		       "dynamic linker ignores LD_PRELOAD there";
	(void)open_program(&p, path); /* a script may be short */
	if (p.fd >= 0 && (is_elf(&p) || (enter_script(&p) && is_elf(&p))))
		why = refusal_of(&p);
	close_program(&p);
	return why;
}
