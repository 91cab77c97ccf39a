#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The proxy between clients and servers that misbehave.

Client and server are both in this process, so a case knows what one side sent
and what the other got.  PROXY is the command to test, ./examples/proxy unless
set; MIB is how much the transfers move.  One line per promise; status 1 if one
is broken.  Arguments are the cases to run, all without any.
"""

import hashlib
import os
import random
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

PROXY = shlex.split(os.environ.get("PROXY", "./examples/proxy"))
MIB = int(os.environ.get("MIB", "64"))
PATIENCE = float(os.environ.get("PATIENCE", "60"))
VALGRIND = "valgrind" in PROXY[0]
# Slow, and with much memory of its own.
INSTRUMENTED = (VALGRIND or "-fsanitize" in os.environ.get("SAN_FLAGS", ""))

failed = 0


def check(what, holds):
    global failed
    print("%s - %s" % ("ok" if holds else "not ok", what), flush=True)
    if not holds:
        failed = 1


def within(seconds, question):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if question():
            return True
        time.sleep(0.02)
    return False


class Proxy:
    """A running proxy; none of them outlives this program."""

    all = []

    def __init__(self, *options, to, listen="127.0.0.1:0"):
        targets = [word for at in to for word in ("--to", at)]
        if VALGRIND:  # runs no thread while one is in io_uring_enter
            options += ("--workers", "1")
        self.process = subprocess.Popen(
            [*PROXY, "--listen", listen, *targets, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        Proxy.all.append(self.process)
        self.errors = []
        self.reader = threading.Thread(target=self.read_errors, daemon=True)
        self.reader.start()
        self.at = None
        for line in self.process.stdout:
            if line.startswith("listening tcp "):
                self.at = line.split()[2]
            if line.startswith("ready "):
                break
        self.fds_at_start = self.nr_fds()

    def read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.rstrip("\n"))

    def connect(self, receive_size=None):
        host, port = self.at.rsplit(":", 1)
        v6 = host.startswith("[")
        s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
        s.settimeout(PATIENCE)
        if receive_size:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_size)
        s.connect((host.strip("[]"), int(port)))
        return s

    def stats(self):
        before = self.errors.count("stats: end")
        self.process.send_signal(signal.SIGUSR1)
        within(PATIENCE,
               lambda: self.errors.count("stats: end") > before)
        return self.last_stats()

    def last_stats(self):
        pairs = [line.split(": ", 1) for line in self.errors if ": " in line]
        return {p[0]: p[1] for p in pairs}

    def stat(self, name):
        return int(self.stats().get(name, "-1"))

    def is_empty(self):
        return self.nr_fds() == self.fds_at_start

    def nr_fds(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def rss(self):
        with open("/proc/%d/status" % self.process.pid) as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        return 0

    def ended(self):
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.reader.join()
        return status

    def stop(self):
        self.process.terminate()
        if VALGRIND:  # hears of signals when the kernel returns
            within(PATIENCE, lambda: is_refused(self))
        status = self.ended()
        if status:
            check("the proxy ends with status 0, not %d" % status, False)
            for line in self.errors[-40:]:
                print("# stderr:", line)
        return status == 0


def address(s):
    host, port = s.getsockname()[:2]
    return ("[%s]:%d" if ":" in host else "%s:%d") % (host, port)


def listener(host="127.0.0.1", backlog=1024):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.settimeout(PATIENCE)
    s.bind((host, 0))
    s.listen(backlog)
    return s


def accept(server):
    s, _ = server.accept()
    s.settimeout(PATIENCE)
    return s


def a_pair(proxy, server, **options):
    client = proxy.connect(**options)
    return client, accept(server)


def refusing():
    """An address where nobody listens, and its socket."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s, address(s)


class Silent:
    """A listener whose queue is full: it answers no connect."""

    def __init__(self):
        self.socket = listener(backlog=0)
        self.at = address(self.socket)
        self.fill = []
        while not self.fill or self.is_connected(self.fill[-1]):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(self.socket.getsockname())
            self.fill.append(s)

    @staticmethod
    def is_connected(s):
        poll = select.poll()
        poll.register(s, select.POLLOUT)
        return bool(poll.poll(200))

    def empty(self):
        for s in self.fill:
            s.close()

    def close(self):
        self.empty()
        self.socket.close()


def read_all(s, size=65536):
    """All bytes until the end of the stream; raises what ended it else."""
    data = bytearray()
    while True:
        part = s.recv(size)
        if not part:
            return bytes(data)
        data += part


def read_exactly(s, size):
    data = b""
    while len(data) < size:
        part = s.recv(size - len(data))
        if not part:
            raise ConnectionError("an end after %d" % len(data))
        data += part
    return data


def how_it_ends(s):
    try:
        return "end after %d" % len(read_all(s))
    except ConnectionResetError:
        return "reset"
    except OSError as error:
        return str(error)


def how_it_begins(proxy):
    try:
        return how_it_ends(proxy.connect())
    except ConnectionResetError:  # before connect() had returned
        return "reset"


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


#
# Data
#

BLOCK = random.Random(5).randbytes(1 << 20)


def pour(s, nr_mib, sums, name, end=True):
    digest = hashlib.sha1()
    for i in range(nr_mib):
        part = BLOCK[i % 997:] + BLOCK[:i % 997]
        digest.update(part)
        s.sendall(part)
    if end:
        s.shutdown(socket.SHUT_WR)
    sums[name] = digest.digest()


def drain(s, sums, name, pause=0.0):
    digest = hashlib.sha1()
    while True:
        part = s.recv(1 << 18)
        if not part:
            break
        digest.update(part)
        if pause:
            time.sleep(pause)
    sums[name] = digest.digest()


def both_ways():
    server = listener()
    proxy = Proxy("--stats", to=[address(server)])
    client, peer = a_pair(proxy, server)
    sums = {}
    threads = [in_thread(pour, client, MIB, sums, "up"),
               in_thread(pour, peer, MIB, sums, "down"),
               in_thread(drain, peer, sums, "up got"),
               in_thread(drain, client, sums, "down got")]
    for thread in threads:
        thread.join(10 * PATIENCE)
    check("%d MiB arrive as they were sent" % MIB,
          sums.get("up") == sums.get("up got", 0))
    check("and %d MiB the other way, at the same time" % MIB,
          sums.get("down") == sums.get("down got", 0))
    check("the connections are gone then", within(PATIENCE, proxy.is_empty))
    client.close()
    peer.close()
    check("SIGTERM ends it with status 0", proxy.stop())
    stats = proxy.last_stats()
    check("the statistics have every byte",
          int(stats["bytes_to_servers"]) == MIB << 20 and
          int(stats["bytes_to_clients"]) == MIB << 20)
    check("and what became of the session", VALGRIND or
          (stats["sessions"], stats["sessions_broken_off"]) == ("1", "0"))


def versions():
    for listen, host in (("[::1]:0", "127.0.0.1"), ("127.0.0.1:0", "::1"),
                         ("[::1]:0", "::1")):
        try:
            server = listener(host)
        except OSError as error:
            print("# left out: %s: %s" % (host, error))
            continue
        proxy = Proxy(to=[address(server)], listen=listen)
        client, peer = a_pair(proxy, server)
        client.sendall(b"six")
        client.shutdown(socket.SHUT_WR)
        check("%s to %s" % (proxy.at, address(server)),
              read_all(peer) == b"six")
        client.close()
        peer.close()
        proxy.stop()


def pieces():
    """One byte at a time, and answers in between."""
    server = listener()
    proxy = Proxy("--buffers", "16", "--stats", to=[address(server)])
    client, peer = a_pair(proxy, server)
    good = 0
    for i in range(256):
        client.sendall(bytes([i]))
        peer.sendall(peer.recv(1))
        good += client.recv(1) == bytes([i])
    check("bytes one at a time go to and fro", good == 256)
    client.close()
    peer.close()
    proxy.stop()
    check("without a copy, in few buffers",
          proxy.last_stats()["buffers_copied"] == "0")


#
# Ends
#

def half_close():
    server = listener()
    proxy = Proxy(to=[address(server)])
    for first, name in ((0, "client"), (1, "server")):
        pair = a_pair(proxy, server)
        one, two = pair[first], pair[1 - first]
        one.sendall(BLOCK[:100000])
        one.shutdown(socket.SHUT_WR)
        check("the %s's end comes behind its bytes" % name,
              read_all(two) == BLOCK[:100000])
        time.sleep(0.2)
        two.sendall(BLOCK)
        part = read_exactly(one, len(BLOCK))
        one.settimeout(0.3)
        try:
            one.recv(1)
            ended = True
        except OSError:
            ended = False
        check("the other way is open still", part == BLOCK and not ended)
        one.settimeout(PATIENCE)
        two.shutdown(socket.SHUT_WR)
        check("until it is ended, too", read_all(one) == b"")
        check("and all is closed", within(PATIENCE, proxy.is_empty))
        one.close()
        two.close()
    proxy.stop()


def no_bytes():
    server = listener()
    proxy = Proxy(to=[address(server)])
    client, peer = a_pair(proxy, server)
    client.close()
    check("an end without a byte is passed on", read_all(peer) == b"")
    peer.close()
    check("and all is closed", within(PATIENCE, proxy.is_empty))
    proxy.stop()


def resets():
    server = listener()
    proxy = Proxy(to=[address(server)])
    for first, name in ((0, "client"), (1, "server")):
        pair = a_pair(proxy, server)
        reset(pair[first])
        check("a reset by the %s is passed on" % name,
              how_it_ends(pair[1 - first]) == "reset")
        check("and all is closed", within(PATIENCE, proxy.is_empty))
        pair[1 - first].close()

        pair = a_pair(proxy, server)
        one, two = pair[first], pair[1 - first]
        thread = in_thread(pour_until_error, one)
        two.recv(1 << 20)
        reset(two)
        thread.join(PATIENCE)
        check("also to a %s in the middle of sending" % name,
              not thread.is_alive() and within(PATIENCE, proxy.is_empty))
        one.close()

        pair = a_pair(proxy, server)
        one, two = pair[first], pair[1 - first]
        one.sendall(BLOCK[:50000])
        part = read_exactly(two, 50000)
        reset(one)
        check("also behind bytes, and is not taken for an end",
              part == BLOCK[:50000] and how_it_ends(two) == "reset")
        two.close()

        pair = a_pair(proxy, server)
        one, two = pair[first], pair[1 - first]
        one.shutdown(socket.SHUT_WR)
        read_all(two)
        reset(two)
        check("also from who got the end of the %s's stream" % name,
              how_it_ends(one) == "reset")
        check("and all is closed then", within(PATIENCE, proxy.is_empty))
        one.close()
    check("SIGTERM ends it with status 0", proxy.stop())


def pour_until_error(s):
    try:
        while True:
            s.sendall(BLOCK)
    except OSError:
        pass


#
# Servers
#

def serve_names(server, name):
    while True:
        try:
            s, _ = server.accept()
            s.sendall(name)
            s.close()
        except OSError:
            return


def in_turn():
    servers = [listener(), listener()]
    nobody, closed = refusing()
    for i, server in enumerate(servers):
        in_thread(serve_names, server, b"AB"[i:i + 1])
    proxy = Proxy("--workers", "1",
                  to=[address(servers[0]), closed, address(servers[1])])
    got = [read_all(proxy.connect()) for _ in range(30)]
    check("a server that refuses is passed over", b"" not in got)
    check("the others take turns",
          got.count(b"A") == 10 and got.count(b"B") == 20)
    check("refused connects are counted", proxy.stat("connects_failed") == 10)
    proxy.stop()

    proxy = Proxy(to=[closed])
    check("a client is reset when no server can be had",
          how_it_begins(proxy) == "reset")
    check("and all is closed", within(PATIENCE, proxy.is_empty) and
          proxy.stat("sessions_given_up") == 1)
    proxy.stop()
    nobody.close()


def silence():
    silent = Silent()
    proxy = Proxy("--connect-timeout", "0.5", to=[silent.at])
    start = time.monotonic()
    client = proxy.connect()
    check("a server that does not answer is given up",
          how_it_ends(client) == "reset")
    check("after --connect-timeout", time.monotonic() - start > 0.45 and
          proxy.stat("connects_timed_out") == 1)
    client.close()
    proxy.stop()

    server = listener()
    in_thread(serve_names, server, b"A")
    proxy = Proxy("--connect-timeout", "0.5",
                  to=[silent.at, address(server)])
    check("and the next is asked", read_all(proxy.connect()) == b"A")
    proxy.stop()

    proxy = Proxy("--connect-timeout", "60", "--grace", "0.2", to=[silent.at])
    clients = [proxy.connect() for _ in range(20)]
    check("20 clients wait", within(
        PATIENCE, lambda: proxy.stat("connections_now") == 40))
    for client in clients:
        reset(client)
    check("who is gone is not waited for", within(10, proxy.is_empty) and
          proxy.stat("connections_now") == 0)
    client = proxy.connect()
    within(PATIENCE, lambda: proxy.stat("connections_now") == 2)
    check("nor does a connect that is under way hold up the end",
          proxy.stop())
    check("and the client is told", how_it_ends(client) == "reset")
    client.close()

    proxy = Proxy("--connect-timeout", "60", "--buffer-size", "1024",
                  to=[silent.at])
    client = proxy.connect()
    client.sendall(BLOCK[:5000])
    client.shutdown(socket.SHUT_WR)
    within(PATIENCE, lambda: proxy.stat("connections_now") == 2)
    time.sleep(0.1)
    filled = {s.getsockname() for s in silent.fill}
    silent.empty()
    while True:
        peer, name = silent.socket.accept()
        if name not in filled:
            break
        peer.close()
    peer.settimeout(PATIENCE)
    check("what came before there was a server gets there, with its end",
          read_all(peer) == BLOCK[:5000])
    peer.sendall(b"answer")
    peer.close()
    check("and is answered", read_all(client) == b"answer")
    client.close()
    proxy.stop()
    silent.close()


def early_flood():
    silent = Silent()
    proxy = Proxy("--connect-timeout", "3", "--buffer", "65536",
                  to=[silent.at])
    client = proxy.connect()
    thread = in_thread(pour_until_error, client)
    check("who sends before there is a server is paused", within(
        PATIENCE, lambda: proxy.stat("pauses") == 1))
    check("and reset when there is none", within(PATIENCE, proxy.is_empty))
    thread.join(PATIENCE)
    check("which it sees", not thread.is_alive())
    client.close()
    proxy.stop()
    silent.close()


#
# Backpressure
#

def slow_readers():
    """Many who do not read; few buffers; somebody else wants something."""
    server = listener()
    proxy = Proxy("--workers", "1", "--buffer", "65536", "--buffers", "64",
                  "--buffer-size", "8192", to=[address(server)])
    first = proxy.rss()
    pairs = [a_pair(proxy, server, receive_size=8192) for _ in range(40)]
    for _, peer in pairs:
        in_thread(pour_until_error, peer)
    check("40 who do not read are paused", within(
        PATIENCE, lambda: proxy.stat("pauses") >= 40))
    client, peer = a_pair(proxy, server)
    client.sendall(b"question")
    check("meanwhile others are served", peer.recv(100) == b"question")
    peer.sendall(b"answer")
    check("and answered", client.recv(100) == b"answer")
    more = proxy.rss() - first
    limit = 40 * 2 * 65536 / 1048576 + 16
    print("# %.1f MiB more than at the start" % more)
    check("memory is bounded", more < limit or INSTRUMENTED)
    stats = proxy.stats()
    held = int(stats["tcp_bytes_in"]) - int(stats["tcp_bytes_out"])
    print("# %d bytes held, %s buffers copied" % (held,
                                                  stats["buffers_copied"]))
    check("by what --buffer says", held <= 40 * (65536 + 64 * 8192))
    for slow, other in pairs:
        reset(slow)
        other.close()
    client.close()
    peer.close()
    check("and all is closed", within(PATIENCE, proxy.is_empty))
    check("SIGTERM ends it with status 0", proxy.stop())


def slow_reader_gets_all():
    for first, name in ((0, "client"), (1, "server")):
        server = listener()
        proxy = Proxy("--buffer", "32768", "--buffers", "16",
                      "--buffer-size", "4096", to=[address(server)])
        pair = a_pair(proxy, server, receive_size=16384)
        sums = {}
        fast = in_thread(pour, pair[1 - first],
                         1 if INSTRUMENTED else 4, sums, "sent")
        time.sleep(0.5)
        slow = in_thread(drain, pair[first], sums, "got", 0.001)
        pair[first].shutdown(socket.SHUT_WR)
        fast.join(PATIENCE)
        slow.join(PATIENCE)
        check("a %s that reads slowly gets all" % name,
              sums.get("sent") == sums.get("got", 0))
        check("and all is closed", within(PATIENCE, proxy.is_empty))
        for s in pair:
            s.close()
        check("SIGTERM ends it with status 0", proxy.stop())


#
# Many
#

def echo_one(server):
    try:
        s = accept(server)
    except OSError:
        return
    try:
        while True:
            part = s.recv(65536)
            if not part:
                break
            s.sendall(part)
        s.close()
    except OSError:
        pass


def many():
    nr = 100 if INSTRUMENTED else 500
    server = listener()
    proxy = Proxy("--workers", "2", "--max-connections", "2000", to=[address(server)])
    for _ in range(nr):
        in_thread(echo_one, server)
    clients = [proxy.connect() for _ in range(nr)]
    for i, client in enumerate(clients):
        client.sendall(b"%d" % i)
    good = 0
    for i, client in enumerate(clients):
        client.shutdown(socket.SHUT_WR)
        good += read_all(client) == b"%d" % i
        client.close()
    check("%d at once get what is theirs" % nr, good == nr)
    check("no descriptor is left", within(PATIENCE, proxy.is_empty))
    check("SIGTERM ends it with status 0", proxy.stop())


def behave(rng, s, log):
    """Send, read, pause, end or reset at random; log what was seen."""
    s.settimeout(0.02)
    sent = got = 0
    is_open = True
    try:
        for _ in range(rng.randrange(1, 40)):
            what = rng.randrange(100)
            if what < 45 and is_open:
                size = rng.choice((1, 100, 5000, 70000, 300000))
                part = stream_of(log["seed"], sent, size)
                try:
                    sent += s.send(part)
                except socket.timeout:
                    pass
            elif what < 85:
                try:
                    part = s.recv(rng.choice((1, 1000, 65536)))
                except socket.timeout:
                    continue
                log["good"] &= part == stream_of(log["peer"], got, len(part))
                got += len(part)
                if not part:
                    log["ended"] = got
            elif what < 92:
                time.sleep(rng.random() * 0.03)
            elif what < 96:
                s.shutdown(socket.SHUT_WR)
                is_open = False
                log["sent"] = sent
            elif what < 98:
                reset(s)
                return
        if is_open:
            s.shutdown(socket.SHUT_WR)
            log["sent"] = sent
        s.settimeout(PATIENCE)
        while "ended" not in log:
            part = s.recv(65536)
            log["good"] &= part == stream_of(log["peer"], got, len(part))
            got += len(part)
            if not part:
                log["ended"] = got
    except OSError as error:
        log["error"] = error
        log["late"] = isinstance(error, socket.timeout)
    s.close()


def stream_of(seed, offset, size):
    start = (offset + seed * 7919) % len(BLOCK)
    return (BLOCK[start:start + size] + BLOCK)[:size]


def whim(proxy, server, seed, results):
    rng = random.Random(seed)
    try:
        with server.lock:
            client, peer = a_pair(proxy, server)
    except OSError as error:
        results.append("%d: %s" % (seed, error))
        return
    up = {"seed": 2 * seed, "peer": 2 * seed + 1, "good": True}
    down = {"seed": 2 * seed + 1, "peer": 2 * seed, "good": True}
    other = in_thread(behave, random.Random(rng.random()), peer, down)
    behave(rng, client, up)
    other.join(2 * PATIENCE)
    for one, two in ((up, down), (down, up)):
        if not one["good"]:
            results.append("%d: wrong bytes" % seed)
        if one.get("late") or other.is_alive():
            results.append("%d: never ended" % seed)
        if "ended" in one and one["ended"] != two.get("sent"):
            results.append("%d: an end after %d of %s" % (
                seed, one["ended"], two.get("sent")))


class Locked(socket.socket):
    lock = threading.Lock()


def whims():
    """The same with kernels that have less."""
    for features in (None, "recv-bundle", "multishot-recv", "pbuf-ring",
                     "multishot-accept", "region", "epoll-wait"):
        whims_without(features)


def whims_without(features):
    nr = 20 if VALGRIND else int(os.environ.get("WHIMS", "100"))
    seed = int(os.environ.get("SEED", "1"))
    mode = ["--disable", features] if features else []
    name = " without " + features if features else ""
    server = Locked()
    server.settimeout(PATIENCE)
    server.bind(("127.0.0.1", 0))
    server.listen(64)
    proxy = Proxy("--buffer", "40000", "--buffers", "16", "--buffer-size",
                  "4096", "--workers", "2", *mode, to=[address(server)])
    results = []
    for start in range(0, nr, 20):
        threads = [in_thread(whim, proxy, server, seed + start + i, results)
                   for i in range(20)]
        for thread in threads:
            thread.join(4 * PATIENCE)
    for line in results[:10]:
        print("# seed %s" % line)
    check("whatever %d pairs do, no byte is wrong, no end is early%s" % (
        nr, name), not results)
    check("no descriptor is left", within(PATIENCE, proxy.is_empty))
    check("SIGTERM ends it with status 0", proxy.stop())


#
# Time, and the daemon's end
#

def idle():
    server = listener()
    proxy = Proxy("--idle", "3", to=[address(server)])
    client, peer = a_pair(proxy, server)
    busy = a_pair(proxy, server)
    start = time.monotonic()
    alive = 0
    for _ in range(50):
        busy[0].sendall(b"x")
        alive += busy[1].recv(1) == b"x"
        time.sleep(0.1)
    check("an idle connection is cut", how_it_ends(client) == "reset" and
          how_it_ends(peer) == "reset")
    check("one that is used in one direction is not", alive == 50)
    check("a cut is counted",
          proxy.stat("connections_timed_out") in (1, 2))
    check("after --idle", time.monotonic() - start > 2.9)
    for s in (client, peer, *busy):
        s.close()
    within(PATIENCE, proxy.is_empty)
    pair = a_pair(proxy, server)
    threads = [in_thread(pour_until_error, s) for s in pair]
    check("two who do not read each other are idle",
          within(PATIENCE, proxy.is_empty))
    for thread in threads:
        thread.join(PATIENCE)
    for s in pair:
        s.close()
    proxy.stop()


def idle_is_not_slow():
    """One side waits for the other, which reads slowly."""
    server = listener()
    proxy = Proxy("--idle", "3", to=[address(server)])
    for first, name in ((0, "client"), (1, "server")):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        pair = a_pair(proxy, server, receive_size=16384)
        fast, slow = pair[first], pair[1 - first]
        thread = in_thread(pour_until_error, fast)
        try:
            for _ in range(120):
                read_exactly(slow, 8192)
                time.sleep(0.05)
            ended = None
        except OSError as error:
            ended = error
        check("a %s that waits for the other is not idle" % name, not ended)
        reset(slow)
        thread.join(PATIENCE)
        fast.close()
    check("nor counted as one", proxy.stat("connections_timed_out") == 0)
    check("SIGTERM ends it with status 0", proxy.stop())


def is_refused(proxy):
    try:
        reset(proxy.connect())
        return False
    except OSError:
        return True


def ending():
    server = listener()
    proxy = Proxy("--grace", "60", "--stats", to=[address(server)])
    client, peer = a_pair(proxy, server)
    sums = {}
    fast = in_thread(pour, client, 16, sums, "sent", False)
    peer.recv(1, socket.MSG_PEEK)
    proxy.process.terminate()
    check("SIGTERM closes the listener", within(
        PATIENCE, lambda: is_refused(proxy)))
    slow = in_thread(drain, peer, sums, "got")
    fast.join(PATIENCE)
    time.sleep(0.2)
    check("a transfer goes on", proxy.process.poll() is None)
    client.shutdown(socket.SHUT_WR)
    slow.join(PATIENCE)
    check("until it is done", sums.get("sent") == sums.get("got", 0))
    peer.close()
    check("then the daemon ends with status 0", proxy.ended() == 0)
    client.close()

    server = listener()
    proxy = Proxy("--grace", "0.3", to=[address(server)])
    client, peer = a_pair(proxy, server)
    thread = in_thread(pour_until_error, client)
    peer.recv(1, socket.MSG_PEEK)
    check("the end of the grace time cuts it, with status 0", proxy.stop())
    peer.settimeout(PATIENCE)
    check("by a reset, which is no end", how_it_ends(peer) == "reset")
    thread.join(PATIENCE)
    check("on both sides", not thread.is_alive())
    client.close()
    peer.close()

    server = listener()
    proxy = Proxy("--grace", "60", to=[address(server)])
    client, peer = a_pair(proxy, server)
    proxy.process.terminate()
    within(PATIENCE, lambda: is_refused(proxy))
    check("a connection at rest may go on", proxy.process.poll() is None)
    client.sendall(b"late")
    check("and does", peer.recv(10) == b"late")
    check("a second signal ends it with status 0", proxy.stop())
    check("by resets", how_it_ends(client) == "reset" and
          how_it_ends(peer) == "reset")
    client.close()
    peer.close()


def usage():
    for options in ([], ["--to"], ["--to", ":80"], ["--to", "127.0.0.1:0"],
                    ["--to", "127.0.0.1"], ["--to", "127.0.0.1:1", "more"],
                    ["--to", "127.0.0.1:1", "--buffer", "0"],
                    ["--to", "127.0.0.1:1", "--connect-timeout", "0"]):
        done = subprocess.run([*PROXY, "--listen", "127.0.0.1:0", *options],
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=PATIENCE)
        check("%s: exit 2, and why" % " ".join(options or ["no --to"]),
              done.returncode == 2 and done.stderr and not done.stdout)
    done = subprocess.run([*PROXY, "--help"], capture_output=True,
                          timeout=PATIENCE)
    check("--help", done.returncode == 0 and
          b"--connect-timeout" in done.stdout and not done.stderr)


# Those that valgrind cannot run, because of signals.
SIGNALS = [in_turn, silence, early_flood, slow_readers, idle, idle_is_not_slow,
           ending]
CASES = [usage, both_ways, versions, pieces, half_close, no_bytes, resets,
         in_turn, silence, early_flood, slow_readers, slow_reader_gets_all,
         many, whims, idle, idle_is_not_slow, ending]


def main():
    wanted = sys.argv[1:]
    for case in CASES:
        if VALGRIND and case in SIGNALS:
            print("# left out: %s: valgrind" % case.__name__)
        elif not wanted or case.__name__ in wanted:
            try:
                case()
            except Exception as error:  # the next case may hold
                check("%s: %r" % (case.__name__, error), False)
                if os.environ.get("TRACE"):
                    raise
    return failed


try:
    sys.exit(main())
finally:
    for process in Proxy.all:
        process.kill()
