/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * told.c - evring_stats() tells what became of a loop whose ring failed.
 *
 * The fault comes when the ring has worked for some turns: in the next ones, or
 * when another thread takes the loop over and so needs a new ring.
 */
#include "config.h"

#include "../conform/scene.h"
#include "inject.h"

enum { NR_ROUNDS = 5 };

static const struct fault *the_fault;

struct round {
	struct watch *watch, *other;
	int theirs;
};

/* An event in each, changes of the set, a wait. */
static void *play_rounds(void *arg)
{
	struct round *round = arg;
	int i;

	for (i = 0; i < NR_ROUNDS; i++) {
		put(round->theirs);
		check_turn(round->watch, EV_READ);
		take(round->watch->io.fd);
		check_quiet(round->watch);
		change_events(round->watch, EV_READ);
		change_events(round->other, EV_READ);
	}
	return NULL;
}

static void play_elsewhere(struct round *round)
{
	pthread_t thread;

	check_int(pthread_create(&thread, NULL, play_rounds, round), ==, 0);
	check_int(pthread_join(thread, NULL), ==, 0);
}

static bool needs_new_ring(enum site site)
{
	return site != ENTER && site != WAIT && site != REAP && site != SUBMIT;
}

static void check_told(const struct evring_stats *before, unsigned nr_moves)
{
	struct evring_stats after = stats();
	uint64_t rebuilds = after.ring_rebuilds - before->ring_rebuilds;

	check_int(after.rings_lost, ==, the_fault->becomes == LOST);
	check_int(evring_tier(scene.loop) == EVRING_TIER_NONE, ==,
		  the_fault->becomes == LOST);
	if (the_fault->becomes == UNHURT)
		check_int(after.handed_over, ==, before->handed_over);
	if (the_fault->becomes == HANDED_OVER)
		check_int(after.handed_over, >, before->handed_over);
	if (the_fault->becomes == REBUILT)
		check_int(rebuilds, ==, nr_moves + 1);
	else if (the_fault->becomes != LOST)
		check_int(rebuilds, ==, nr_moves);
}

START_TEST(stats_tell_what_became_of_the_ring)
{
	bool moves = needs_new_ring(the_fault->site);
	struct evring_stats before;
	struct round round;
	struct pair pair;
	struct watch w, v;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	watch(&v, pair.theirs, EV_READ);
	settle();
	round = (struct round){ &w, &v, pair.theirs };
	play_rounds(&round);
	before = stats();
	inject(the_fault, 2 - moves);
	if (moves)
		play_elsewhere(&round);
	else
		play_rounds(&round);
	check_int(stop_injecting(), >, 0);
	check_told(&before, moves);
	play_rounds(&round);
	if (the_fault->becomes == LOST)
		check_int(evring_attach(scene.loop, &scene.mode->config), ==,
			  0);
	play_rounds(&round);
	check_int(evring_detach(scene.loop), ==, 0);
	play_rounds(&round);
	close_scene();
}
END_TEST

struct scenario tell(const struct fault *fault)
{
	the_fault = fault;
	return (struct scenario){ "told", stats_tell_what_became_of_the_ring,
				  1 };
}
