/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-type.c - media types, by the ends of files' names.
 *
 * No charset is told: what a file is in is not known here, and a wrong one
 * would outweigh what the file itself says.
 */
#include "http-type.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct type {
	const char *extension, *name;
};

/* In the order of extensions. */
static const struct type types[] = {
	{ "7z", "application/x-7z-compressed" },
	{ "aac", "audio/aac" },
	{ "atom", "application/atom+xml" },
	{ "avif", "image/avif" },
	{ "bmp", "image/bmp" },
	{ "bz2", "application/x-bzip2" },
	{ "c", "text/plain" },
	{ "css", "text/css" },
	{ "csv", "text/csv" },
	{ "epub", "application/epub+zip" },
	{ "gif", "image/gif" },
	{ "gz", "application/gzip" },
	{ "h", "text/plain" },
	{ "htm", "text/html" },
	{ "html", "text/html" },
	{ "ico", "image/vnd.microsoft.icon" },
	{ "ics", "text/calendar" },
	{ "jar", "application/java-archive" },
	{ "jpeg", "image/jpeg" },
	{ "jpg", "image/jpeg" },
	{ "js", "text/javascript" },
	{ "json", "application/json" },
	{ "jsonld", "application/ld+json" },
	{ "md", "text/markdown" },
	{ "mjs", "text/javascript" },
	{ "mov", "video/quicktime" },
	{ "mp3", "audio/mpeg" },
	{ "mp4", "video/mp4" },
	{ "mpeg", "video/mpeg" },
	{ "oga", "audio/ogg" },
	{ "ogg", "audio/ogg" },
	{ "ogv", "video/ogg" },
	{ "opus", "audio/ogg" },
	{ "otf", "font/otf" },
	{ "pdf", "application/pdf" },
	{ "png", "image/png" },
	{ "ps", "application/postscript" },
	{ "rss", "application/rss+xml" },
	{ "rtf", "application/rtf" },
	{ "svg", "image/svg+xml" },
	{ "tar", "application/x-tar" },
	{ "tif", "image/tiff" },
	{ "tiff", "image/tiff" },
	{ "ttf", "font/ttf" },
	{ "txt", "text/plain" },
	{ "wasm", "application/wasm" },
	{ "wav", "audio/wav" },
	{ "weba", "audio/webm" },
	{ "webm", "video/webm" },
	{ "webmanifest", "application/manifest+json" },
	{ "webp", "image/webp" },
	{ "woff", "font/woff" },
	{ "woff2", "font/woff2" },
	{ "xhtml", "application/xhtml+xml" },
	{ "xml", "application/xml" },
	{ "xz", "application/x-xz" },
	{ "zip", "application/zip" },
	{ "zst", "application/zstd" },
};

static int compare(const void *extension, const void *type)
{
	return strcasecmp(extension, ((const struct type *)type)->extension);
}

const char *http_type(const char *path)
{
	const char *name = strrchr(path, '/'), *dot;
	const struct type *type = NULL;

	name = name ? name + 1 : path;
	dot = strrchr(name, '.');
	if (dot && dot != name)
		type = bsearch(dot + 1, types, sizeof(types) / sizeof(types[0]),
			       sizeof(types[0]), compare);
	return type ? type->name : "application/octet-stream";
}
