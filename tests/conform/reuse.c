/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/reuse.c - line 5: a descriptor's number means another file.
 */
#include "config.h"

#include "scene.h"

/*
 * 5: a descriptor's number means another file; steps as in scene.h
 */

struct reuse {
	const char *steps;
	bool is_dupped; /* the old file lives on, and epoll goes on with it */
};

/* clang-format off */
static const struct reuse reuses[] = {
	{ "scoS",    false }, { "scoS",    true },
	{ "csoS",    false }, { "csoS",    true },
	{ "cosS",    false }, { "cosS",    true },
	{ "osS",     false }, { "osS",     true }, /* dup2 closes */
	{ "soS",     false }, { "soS",     true },
	{ "sScosS",  false }, { "sScosS",  true },
	{ "scoSosS", false }, { "scoSosS", true }, /* and again */
};

/* With turns in between: not in a callback. */
static const struct reuse slow_reuses[] = {
	{ "stcoS",   false }, { "stcoS",   true },
	{ "sctoS",   false }, { "sctoS",   true },
	{ "scotS",   false }, { "scotS",   true },
	{ "stctotS", false }, { "stctotS", true },
	{ "ctosS",   false }, { "ctosS",   true },
	{ "tscoS",   false }, { "tscoS",   true },
	{ "scoStsS", false }, { "scoStsS", true },
};
/* clang-format on */

static void reuse_number(const struct reuse *reuse, open_fn *open_new)
{
	struct pair old = open_pair(), fresh = open_new();
	struct watch w;

	if (reuse->is_dupped)
		keep(dup(old.ours));
	watch(&w, old.ours, EV_READ);
	settle();
	put_char(old.theirs, 'o');
	take_steps(reuse->steps, &w, fresh.ours);
	check_is_fresh(&w, fresh.theirs);
}

START_TEST(a_reused_number_reports_the_new_file_only)
{
	open_scene(_i);
	reuse_number(&reuses[_i / nr_runnable], open_pair);
	close_scene();
}
END_TEST

START_TEST(a_number_reused_over_several_turns_reports_the_new_file_only)
{
	open_scene(_i);
	reuse_number(&slow_reuses[_i / nr_runnable], open_pair);
	close_scene();
}
END_TEST

START_TEST(a_reused_number_may_be_another_kind_of_file)
{
	open_scene(_i);
	reuse_number(&slow_reuses[_i / nr_runnable], open_pipe);
	close_scene();
}
END_TEST

static struct {
	const char *steps;
	int fresh;
} in_callback;

static void take_steps_in_callback(struct watch *w)
{
	const char *steps = in_callback.steps;

	in_callback.steps = "";
	take_steps(steps, w, in_callback.fresh);
}

START_TEST(a_number_may_be_reused_within_its_callback)
{
	const struct reuse *reuse = &reuses[_i / nr_runnable];
	struct pair old, fresh;
	struct watch w;

	open_scene(_i);
	old = open_pair();
	fresh = open_pair();
	if (reuse->is_dupped)
		keep(dup(old.ours));
	watch_then(&w, old.ours, EV_READ, take_steps_in_callback);
	in_callback.steps = reuse->steps;
	in_callback.fresh = fresh.ours;
	settle();
	put_char(old.theirs, 'o');
	turn();
	check_is_fresh(&w, fresh.theirs);
	close_scene();
}
END_TEST

START_TEST(two_numbers_may_be_swapped)
{
	struct pair a, b;
	struct watch wa, wb;
	int i, spare;

	open_scene(_i);
	a = open_pair();
	b = open_pair();
	watch(&wa, a.ours, EV_READ);
	watch(&wb, b.ours, EV_READ);
	settle();
	for (i = 0; i < 4; i++) {
		stop(&wa);
		stop(&wb);
		spare = keep(dup(a.ours));
		dup2(b.ours, a.ours);
		dup2(spare, b.ours);
		discard(spare);
		take_step('S', &wa, -1);
		take_step('S', &wb, -1);
		check_quiet(&wa);
		put(i % 2 ? a.theirs : b.theirs);
		wb.nr = 0;
		check_turn(&wa, EV_READ);
		check_int(wb.nr, ==, 0);
		take(wa.io.fd);
	}
	close_scene();
}
END_TEST

START_TEST(a_file_kept_alive_elsewhere_does_not_keep_the_loop_awake)
{
	unsigned iterations;
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	keep(dup(pair.ours));
	watch(&w, pair.ours, EV_READ);
	settle();
	stop(&w);
	discard(pair.ours);
	put(pair.theirs);
	iterations = ev_iteration(scene.loop);
	nap(0.03);
	check_int(ev_iteration(scene.loop) - iterations, <=, 20);
	check_int(w.nr, ==, 0);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_reuse(void)
{
	add_scenario("reuse", two_numbers_may_be_swapped);
	add_scenario("reuse",
		     a_file_kept_alive_elsewhere_does_not_keep_the_loop_awake);
	add_rows("reuse", a_reused_number_reports_the_new_file_only,
		 ARRAY_SIZE(reuses));
	add_rows("reuse",
		 a_number_reused_over_several_turns_reports_the_new_file_only,
		 ARRAY_SIZE(slow_reuses));
	add_rows("reuse", a_reused_number_may_be_another_kind_of_file,
		 ARRAY_SIZE(slow_reuses));
	add_rows("reuse", a_number_may_be_reused_within_its_callback,
		 ARRAY_SIZE(reuses));
}
