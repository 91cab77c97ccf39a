/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * objects.cc - ev++.h on attached loops: a default and a dynamic loop, io,
 * timer, sig and async as members, and an object that attaches a loop before
 * main.
 *
 * Exits 0; 1 with a reason; 77 if there is no io_uring.
 */
#include <ev++.h>
#include <evring-net.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace
{
void require(bool holds, const char *what)
{
	if (holds)
		return;
	std::printf("not so: %s\n", what);
	std::exit(1);
}

/* Attached as long as it lives. */
class attachment
{
      public:
	explicit attachment(struct ev_loop *loop)
	    : result(evring_attach(loop, nullptr)), loop_(loop)
	{
	}
	~attachment()
	{
		if (result == 0)
			evring_detach(loop_);
	}
	attachment(const attachment &) = delete;
	attachment &operator=(const attachment &) = delete;

	const int result;

      private:
	struct ev_loop *loop_;
};

/* A timer fills a pipe; a byte, a signal and an async are heard of. */
class listener
{
      public:
	explicit listener(ev::loop_ref loop)
	    : loop_(loop), io_(loop), timer_(loop), late_(loop), async_(loop)
	{
		require(pipe(fds_) == 0, "there is a pipe");
		io_.set<listener, &listener::readable>(this);
		io_.start(fds_[0], ev::READ);
		timer_.set<listener, &listener::expired>(this);
		timer_.start(0.002);
		late_.set<listener, &listener::late>(this);
		late_.start(20.);
		async_.set<listener, &listener::woken>(this);
		async_.start();
		async_.send();
	}
	~listener()
	{
		close(fds_[0]);
		close(fds_[1]);
	}
	listener(const listener &) = delete;
	listener &operator=(const listener &) = delete;

      private:
	void readable(ev::io &w, int revents)
	{
		char byte;

		require(revents == ev::READ && read(w.fd, &byte, 1) == 1,
			"the pipe has a byte");
		hear();
	}
	void expired()
	{
		require(write(fds_[1], "x", 1) == 1, "the pipe takes a byte");
		hear();
	}
	void woken()
	{
		hear();
	}
	void late()
	{
		require(false, "all is heard of within 20 seconds");
	}
	void hear()
	{
		if (++nr_heard_ == 3)
			loop_.break_loop(ev::ONE);
	}

	ev::loop_ref loop_;
	ev::io io_;
	ev::timer timer_, late_;
	ev::async async_;
	int fds_[2];
	int nr_heard_ = 0;
};

void on_signal(ev::sig &w, int)
{
	w.loop.break_loop(ev::ONE);
}

void try_signal(ev::loop_ref loop)
{
	ev::sig signal(loop);

	signal.set<on_signal>();
	signal.start(SIGUSR1);
	raise(SIGUSR1);
	loop.run();
}

void try_loop(ev::loop_ref loop)
{
	struct evring_stats stats;
	listener all(loop);

	loop.run();
	require(evring_stats(loop, &stats) == 0 && stats.events == 1,
		"the event came by the ring");
}

/* Before main: as early as a program can. */
ev::dynamic_loop early_loop(EVFLAG_AUTO | EVBACKEND_EPOLL);
attachment early(early_loop);
} // namespace

int main()
{
	ev::default_loop main_loop(EVBACKEND_EPOLL);
	ev::dynamic_loop other(EVBACKEND_EPOLL);
	attachment main_ring(main_loop), other_ring(other);

	if (main_ring.result == -ENOSYS || main_ring.result == -EPERM)
		return 77;
	require(main_ring.result == 0, "the default loop is attached");
	require(other_ring.result == 0, "a dynamic loop is attached");
	require(early.result == 0, "so is one made before main");
	try_loop(main_loop);
	try_signal(main_loop);
	try_loop(other);
	try_loop(early_loop);
	return 0;
}
