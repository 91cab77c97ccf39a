/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flight.c - the operations of a loop, from start to last event.
 *
 * libev merges what it is told about one watcher; an operation is to hear of
 * each completion, in order.  So libev is not told about operations.  It is
 * told about lanes, one per priority: a lane's callback hands out one
 * completion, and has libev call it again while there are more.  What happens
 * between two completions (other priorities, ev_break, the invoke callback) is
 * decided by libev as if there were a watcher for each.
 *
 * What to know:
 *
 * a) The callback of an operation may do anything: free the operation, start
 *    it again, detach the loop.  Nothing of ours is touched after it.
 * b) An operation that ended is linked nowhere, but active until its last event
 *    is handed out: the loop must not end before.
 *
 * Invariants:
 *
 * (1) For each operation that the kernel has, or that is parked, a record is
 *     kept for its last completion: nr_unused is at least nr_ops.
 * (2) The lane's watcher is pending exactly while the lane has records.
 */
#include "config.h"

#include "flight.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_RECORDS = 64 };

/* evring_op.lane: 1 and the number of its lane, and this for one that the
   kernel does not have; 0: neither. */
enum { PARKED = 1 << 16 };

struct evr_record {
	struct evring_op *op; /* the caller's until the last was handed out */
	int res;
	unsigned flags;
	bool is_last;
	int next; /* in the lane, or unused */
};

/* Users know ev_set_priority(), ev_is_active() and their like. */
#define SAME_PLACE(member)                                                     \
	static_assert(offsetof(struct evring_op, member) ==                    \
			      offsetof(ev_watcher, member),                    \
		      #member " is where libev's macros expect it")
SAME_PLACE(active);
SAME_PLACE(pending);
SAME_PLACE(priority);
SAME_PLACE(data);
SAME_PLACE(cb);

/*
 * records
 */

static void put_unused(struct evr_flight *flight, int i)
{
	flight->records[i].next = flight->unused;
	flight->unused = i;
	flight->nr_unused++;
}

static int take_unused(struct evr_flight *flight)
{
	int i = flight->unused;

	assert(i >= 0);
	flight->unused = flight->records[i].next;
	flight->nr_unused--;
	return i;
}

static bool grow(struct evr_flight *flight)
{
	int i, nr = flight->nr_records ? flight->nr_records * 2 : FIRST_RECORDS;
	struct evr_record *records;

	records = realloc(flight->records, (size_t)nr * sizeof(*records));
	if (!records)
		return false;
	flight->records = records;
	for (i = flight->nr_records; i < nr; i++)
		put_unused(flight, i);
	flight->nr_records = nr;
	return true;
}

unsigned evr_flight_reserve(struct evr_flight *flight, unsigned nr)
{
	while (evr_unlikely(flight->nr_unused < flight->nr_ops + nr) &&
	       grow(flight))
		;
	return flight->nr_unused - flight->nr_ops;
}

/*
 * lanes
 */

/* From start to last event the same, or the last could come first. */
static struct evr_lane *lane_of(struct evr_flight *flight,
				const struct evring_op *op)
{
	return &flight->lanes[(op->lane & ~PARKED) - 1];
}

static void feed_lane(struct evr_flight *flight, struct evr_lane *lane)
{
	flight->host.layout->feed_event(flight->host.loop, &lane->watcher,
					EV_CUSTOM);
}

static void append_record(struct evr_flight *flight, struct evr_lane *lane,
			  int i)
{
	flight->records[i].next = -1;
	if (lane->first < 0) {
		lane->first = i;
		feed_lane(flight, lane);
	} else {
		flight->records[lane->last].next = i;
	}
	lane->last = i;
	flight->nr_used++;
}

static struct evr_record take_record(struct evr_flight *flight,
				     struct evr_lane *lane)
{
	struct evr_record record = flight->records[lane->first];

	put_unused(flight, lane->first);
	lane->first = record.next;
	flight->nr_used--;
	return record;
}

/* The event.  After it nothing of ours may be there any more (trap a). */
static void hand_out(struct evr_flight *flight, const struct evr_record *record)
{
	struct ev_loop *loop = flight->host.loop;
	struct evring_op *op = record->op;

	op->res = record->res;
	op->flags = record->flags;
	if (record->is_last) {
		op->active = 0;
		flight->host.layout->unref(loop);
	}
	op->cb(loop, op, EV_CUSTOM);
}

static void lane_invoked(struct ev_loop *loop, ev_watcher *w, int revents)
{
	struct evr_flight *flight = w->data;
	struct evr_lane *lane = (struct evr_lane *)(void *)w;
	struct evr_record record;

	(void)loop;
	(void)revents;
	record = take_record(flight, lane);
	if (lane->first >= 0)
		feed_lane(flight, lane);
	hand_out(flight, &record);
}

/* A callback may run the loop, which hands out the rest. */
void evr_flight_invoke(struct evr_flight *flight)
{
	struct evr_lane *lane;
	int i;

	for (i = EVR_NR_LANES; i--;) {
		lane = &flight->lanes[i];
		while (lane->first >= 0) {
			flight->host.layout->clear_pending(flight->host.loop,
							   &lane->watcher);
			lane_invoked(flight->host.loop, &lane->watcher,
				     EV_CUSTOM);
		}
	}
}

/*
 * operations
 */

static struct evring_op **list_of(struct evr_flight *flight,
				  const struct evring_op *op)
{
	return op->lane & PARKED ? &flight->parked : &flight->ops;
}

static void link_op(struct evr_flight *flight, struct evring_op *op, int parked)
{
	struct evring_op **list;

	op->active = 1;
	op->lane = parked | (1 + evr_clamp(op->priority, EV_MINPRI, EV_MAXPRI) -
			     EV_MINPRI);
	list = list_of(flight, op);
	op->prev = NULL;
	op->next = *list;
	if (op->next)
		op->next->prev = op;
	*list = op;
	flight->nr_ops++;
	flight->host.layout->ref(flight->host.loop);
}

void evr_flight_start(struct evr_flight *flight, struct evring_op *op)
{
	link_op(flight, op, 0);
}

void evr_flight_park(struct evr_flight *flight, struct evring_op *op)
{
	link_op(flight, op, PARKED);
}

bool evr_flight_has(const struct evring_op *op)
{
	return op->lane && !(op->lane & PARKED);
}

bool evr_flight_is_parked(const struct evring_op *op)
{
	return op->lane & PARKED;
}

static void unlink_op(struct evr_flight *flight, struct evring_op *op)
{
	if (op->next)
		op->next->prev = op->prev;
	if (op->prev)
		op->prev->next = op->next;
	else
		*list_of(flight, op) = op->next;
	flight->nr_ops--;
	op->lane = 0;
}

void evr_flight_complete(struct evr_flight *flight, struct evring_op *op,
			 int res, unsigned flags, bool is_last)
{
	struct evr_lane *lane = lane_of(flight, op);
	int i = take_unused(flight);

	flight->records[i].op = op;
	flight->records[i].res = res;
	flight->records[i].flags = flags;
	flight->records[i].is_last = is_last;
	if (is_last)
		unlink_op(flight, op);
	append_record(flight, lane, i);
}

void evr_flight_wake(struct evr_flight *flight, struct evring_op *op, int res)
{
	evr_flight_complete(flight, op, res, 0, true);
}

void evr_flight_cancel(struct evr_flight *flight)
{
	while (flight->ops)
		evr_flight_complete(flight, flight->ops, -ECANCELED, 0, true);
	while (flight->parked)
		evr_flight_wake(flight, flight->parked, -ECANCELED);
}

/*
 * life
 */

void evr_flight_init(struct evr_flight *flight, const struct evr_host *host)
{
	const struct evring_layout *layout = host->layout;
	int i;

	flight->host = *host;
	flight->unused = -1;
	for (i = 0; i < EVR_NR_LANES; i++) {
		ev_init(&flight->lanes[i].watcher, lane_invoked);
		ev_set_priority(&flight->lanes[i].watcher,
				evr_clamp(i + EV_MINPRI, layout->min_priority,
					  layout->max_priority));
		flight->lanes[i].watcher.data = flight;
		flight->lanes[i].first = -1;
	}
}

void evr_flight_exit(struct evr_flight *flight)
{
	assert(!flight->ops && !flight->parked && !flight->nr_used);
	free(flight->records);
}
