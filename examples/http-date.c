/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-date.c - dates as HTTP has them.
 *
 * Names of days and months are English, whatever the locale is: hence no
 * strftime() and no strptime().
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* timegm */
#endif

#include "http-date.h"

#include <stdio.h>
#include <string.h>

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static char *put_number(char *at, int number, int nr_digits)
{
	int i;

	for (i = nr_digits; i--; number /= 10)
		at[i] = (char)('0' + number % 10);
	return at + nr_digits;
}

static char *put_name(char *at, const char *names, int index)
{
	memcpy(at, names + 3 * index, 3);
	return at + 3;
}

static char *put_clock(char *at, const struct tm *tm)
{
	at = put_number(at, tm->tm_hour, 2);
	*at++ = ':';
	at = put_number(at, tm->tm_min, 2);
	*at++ = ':';
	return put_number(at, tm->tm_sec, 2);
}

/* Years before 0 and after 9999 have no form. */
static void split_time(time_t time, struct tm *ret_tm)
{
	if (!gmtime_r(&time, ret_tm) || ret_tm->tm_year < -1900 ||
	    ret_tm->tm_year > 8099) {
		time = 0;
		gmtime_r(&time, ret_tm);
	}
}

static char *put_date(char *at, const struct tm *tm, char separator)
{
	at = put_number(at, tm->tm_mday, 2);
	*at++ = separator;
	at = put_name(at, months, tm->tm_mon);
	*at++ = separator;
	return put_number(at, tm->tm_year + 1900, 4);
}

void http_date_format(time_t time, char text[HTTP_DATE_SIZE])
{
	struct tm tm;
	char *at;

	split_time(time, &tm);
	at = put_name(text, days, tm.tm_wday);
	*at++ = ',';
	*at++ = ' ';
	at = put_date(at, &tm, ' ');
	*at++ = ' ';
	at = put_clock(at, &tm);
	memcpy(at, " GMT", sizeof(" GMT"));
}

void log_date_format(time_t time, char text[LOG_DATE_SIZE])
{
	struct tm tm;
	char *at;

	split_time(time, &tm);
	at = put_date(text, &tm, '/');
	*at++ = ':';
	at = put_clock(at, &tm);
	memcpy(at, " +0000", sizeof(" +0000"));
}

static int find_month(const char name[4])
{
	int i;

	for (i = 0; i < 12; i++)
		if (!memcmp(months + 3 * i, name, 3))
			return i;
	return -1;
}

static bool is_date(const struct tm *tm)
{
	return tm->tm_mon >= 0 && tm->tm_mday >= 1 && tm->tm_mday <= 31 &&
	       tm->tm_hour >= 0 && tm->tm_hour <= 23 && tm->tm_min >= 0 &&
	       tm->tm_min <= 59 && tm->tm_sec >= 0 && tm->tm_sec <= 60;
}

/* Two digits are of the century that makes it at most 50 years ahead. */
static int full_year(int year)
{
	struct tm now;

	split_time(time(NULL), &now);
	year += (now.tm_year + 1900) / 100 * 100;
	return year > now.tm_year + 1900 + 50 ? year - 100 : year;
}

bool http_date_parse(const char *text, time_t *ret_time)
{
	char month[4] = "";
	struct tm tm = { 0 };
	int year = 0, end = 0;

	if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n",
		   &tm.tm_mday, month, &year, &tm.tm_hour, &tm.tm_min,
		   &tm.tm_sec, &end) == 6 &&
	    end && !text[end])
		;
	else if (sscanf(text,
			"%*9[a-z A-Z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n",
			&tm.tm_mday, month, &year, &tm.tm_hour, &tm.tm_min,
			&tm.tm_sec, &end) == 6 &&
		 end && !text[end])
		year = full_year(year);
	else if (sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n",
			month, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec,
			&year, &end) != 6 ||
		 !end || text[end])
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = strlen(month) == 3 ? find_month(month) : -1;
	if (!is_date(&tm))
		return false;
	*ret_time = timegm(&tm);
	return true;
}
