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
 * 5: every order of these steps, mistakes included: a file closed while it is
 * watched, another opened in its place, and nobody says so.  What is reported
 * then is for libev to say.
 */

enum { MAX_STEPS = 5, MAX_OPEN = 3 * (MAX_STEPS + 1) };

struct variant {
	bool is_dupped; /* files live on when their number is closed */
	bool old_is_ready, fresh_are_ready;
};

static const struct variant variants[] = {
	{ false, true, false },
	{ false, false, true },
	{ true, true, false },
	{ true, false, true },
};

/* Which steps make sense next. */
struct position {
	bool is_open, is_active;
	bool was_active;  /* when libev last looked */
	bool is_set;	  /* by ev_io_set() since then */
	bool is_replaced; /* since then */
	char last;
};

/*
 * Not after a mistake: of a closed number that libev would add, because it
 * asserts; of a file that lives on, because what becomes of it depends on the
 * turn in which libev finds out and makes a new set.
 */
static bool may_turn(const struct position *at, bool is_dupped)
{
	bool will_look = at->is_set || !at->was_active;

	if (!at->is_active)
		return true;
	if (is_dupped)
		return at->is_open && (will_look || !at->is_replaced);
	return at->is_open || !will_look;
}

static bool is_possible(char step, const struct position *at, bool is_dupped)
{
	switch (step) {
	case 's':
		return at->is_active;
	case 'c':
		return at->is_open;
	case 'o':
		return at->last != 'o';
	case 't':
		return at->last != 't' && may_turn(at, is_dupped);
	default:
		return !at->is_active;
	}
}

static struct position after(char step, struct position at)
{
	at.last = step;
	switch (step) {
	case 'c':
	case 'o':
		at.is_open = step == 'o';
		at.is_replaced = true;
		break;
	case 't':
		at.was_active = at.is_active;
		at.is_set = false;
		at.is_replaced = false;
		break;
	default:
		at.is_active = step != 's';
		at.is_set |= step == 'S';
	}
	return at;
}

static struct {
	struct ev_loop *oracle;
	const struct variant *variant;
	char steps[MAX_STEPS + 2];
	long nr;
} tried;

static struct pair open_file(bool is_ready)
{
	struct pair pair = open_pair();

	if (is_ready)
		put(pair.theirs);
	if (tried.variant->is_dupped)
		keep(dup(pair.ours));
	return pair;
}

/* The number may be free, but is not for an end of the new pair. */
static struct pair put_in_place(int fd, struct pair last)
{
	struct pair pair;

	check_int(dup2(last.theirs, keep(fd)), ==, fd);
	pair = open_file(tried.variant->fresh_are_ready);
	check_int(dup2(pair.ours, fd), ==, fd);
	discard(pair.ours);
	return pair;
}

static void note_step(struct log *log, struct watch *w)
{
	note(log, "%d", w->nr);
	w->nr = 0;
}

static void discard_from(int first)
{
	int fd;

	for (fd = first; fd < first + MAX_OPEN; fd++)
		if (scene.kept[fd])
			discard(fd);
}

static void play_order(struct ev_loop *loop, struct log *log)
{
	struct ev_loop *ours = scene.loop;
	struct pair last;
	struct watch w;
	const char *step;
	int first;

	scene.loop = loop;
	last = open_file(tried.variant->old_is_ready);
	first = last.ours;
	watch(&w, first, EV_READ);
	turn();
	for (step = tried.steps; *step; step++) {
		if (*step == 'o')
			last = put_in_place(first, last);
		else
			take_step(*step, &w, -1);
		note_step(log, &w);
	}
	if (scene.kept[first]) {
		put(last.theirs);
		turns(2);
		note_step(log, &w);
	}
	stop(&w);
	discard_from(first);
	turn();
	note_step(log, &w);
	scene.loop = ours;
}

static void try_order(void)
{
	struct log want = { .size = 0 }, got = { .size = 0 };

	play_order(tried.oracle, &want);
	play_order(scene.loop, &got);
	tried.nr++;
	if (strcmp(got.text, want.text))
		scene_fail(__FILE__, __LINE__,
			   "%s, files %s: got %s, the oracle %s", tried.steps,
			   tried.variant->is_dupped ? "live on" : "go",
			   got.text, want.text);
}

/* All that begin with the first nr of tried.steps. */
static void try_orders(int nr, struct position at)
{
	const char *step;
	/* A fault may have evring make a new set at any time. */
	bool is_dupped = tried.variant->is_dupped || is_faulty;

	if (nr == MAX_STEPS) {
		if (may_turn(&at, is_dupped))
			try_order();
		return;
	}
	for (step = "scoSrt"; *step; step++)
		if (is_possible(*step, &at, is_dupped)) {
			tried.steps[nr] = *step;
			try_orders(nr + 1, after(*step, at));
		}
}

START_TEST(every_order_of_steps_ends_as_on_the_oracle)
{
	const struct position start = { .is_open = true,
					.is_active = true,
					.was_active = true };

	open_scene(_i);
	settle();
	memset(&tried, 0, sizeof(tried));
	tried.oracle = open_oracle();
	tried.variant = &variants[_i / nr_runnable];
	try_orders(0, start);

	check_int(tried.nr, >, 100);
	ev_loop_destroy(tried.oracle);
	close_scene();
}
END_TEST

/* Two files that the set knows by one number are ready, and nobody wants that
   number: the first is of the last generation, the second of an older one. */
START_TEST(two_files_of_one_number_do_not_hold_a_turn_up)
{
	struct pair a, b, c;
	struct watch w;
	int fd;

	open_scene(_i);
	a = open_pair();
	b = open_pair();
	c = open_pair();
	fd = keep(dup(a.ours));
	watch(&w, fd, EV_READ);
	settle();
	take_steps("so", &w, b.ours);
	take_steps("St", &w, -1);
	take_steps("so", &w, c.ours);
	put(b.theirs);
	put(a.theirs);
	turns(3);
	take_step('S', &w, -1);
	check_is_fresh(&w, c.theirs);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_reuse(void)
{
	add_scenario("reuse", two_numbers_may_be_swapped);
	add_scenario("reuse", two_files_of_one_number_do_not_hold_a_turn_up);
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
	add_rows("reuse", every_order_of_steps_ends_as_on_the_oracle,
		 ARRAY_SIZE(variants));
}
