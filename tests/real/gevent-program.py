# SPDX-License-Identifier: BSD-2-Clause
"""
gevent-program.py - what a program on gevent sees of its event loop.

Run by gevent.sh with libev's epoll backend and with evring.  What it prints
holds no time, number of a process, port or file descriptor: it has to be the
same line by line on both.

  gevent-program.py          all parts below, one "ok - part: promise" per line
  gevent-program.py serve    an HTTP server until SIGTERM; prints its address

A promise that is broken prints "not ok" with what was seen, and the exit
status is 1.  After the parts there must be as many files open as before, and no
child left.  Nothing here waits without a bound: each part has LIMIT seconds.
"""

import errno
import hashlib
import os
import signal
import sys
import tempfile
import time
import traceback

import gevent
import gevent.event
import gevent.fileobject
import gevent.libev.corecext
import gevent.lock
import gevent.monkey
import gevent.os
import gevent.pool
import gevent.pywsgi
import gevent.queue
import gevent.select
import gevent.server
import gevent.socket
import gevent.subprocess
import gevent.threadpool

LIMIT = 20
LOCAL = ("127.0.0.1", 0)
READ, WRITE = 1, 2
failed = False


def check(what, seen, wanted=True):
    """One promise: what was seen has to be what is wanted."""
    global failed
    if seen == wanted:
        print("ok - " + what, flush=True)
        return
    failed = True
    print("not ok - %s: %r, not %r" % (what, seen, wanted), flush=True)


def loop():
    return gevent.get_hub().loop


def spawn_all(function, arguments):
    """What function returns for each argument, a greenlet for each."""
    greenlets = [gevent.spawn(function, a) for a in arguments]
    gevent.joinall(greenlets, raise_error=True)
    return [g.value for g in greenlets]


def nr_fds():
    return len(os.listdir("/proc/self/fd"))


def wait_until(condition):
    """Bounded by the limit of the part."""
    while not condition():
        gevent.sleep(0.005)


def nr_threads():
    """Those of the kernel for a ring do not count."""
    count = 0
    for task in os.listdir("/proc/self/task"):
        try:
            with open("/proc/self/task/%s/comm" % task) as name:
                count += not name.read().startswith("iou-")
        except OSError:  # it ended
            pass
    return count


def has_child():
    try:
        gevent.monkey.get_original("os", "waitpid")(-1, os.WNOHANG)
        return True
    except ChildProcessError:
        return False


def digest(data):
    return hashlib.sha256(data).hexdigest()


def receive_all(sock):
    data = b""
    while True:
        part = sock.recv(65536)
        if not part:
            return data
        data += part


# ---- time --------------------------------------------------------------------


def part_sleep():
    seen = []

    def late(milliseconds):
        gevent.sleep(milliseconds / 1000)
        seen.append(milliseconds)

    # Each begins when it is its turn, which may come late on a slow machine.
    for _ in range(20):
        seen.clear()
        spawn_all(late, [30, 2, 20, 1, 10])
        if seen == sorted(seen):
            break
    check("those who sleep wake up in order", seen, [1, 2, 10, 20, 30])

    seen.clear()

    def turns(name):
        for _ in range(3):
            seen.append(name)
            gevent.sleep(0)

    spawn_all(turns, "abc")
    check("sleep(0) gives way to all", "".join(seen), "abcabcabc")

    start = time.monotonic()
    for _ in range(200):
        gevent.sleep(0.0002)
    took = time.monotonic() - start
    check("200 sleeps of 0.2 ms take 20 ms at least", took > 0.02)
    check("and 10 s at most", took < 10)

    start = time.monotonic()
    loop().update_now()
    gevent.sleep(0.05)
    check("a sleep of 50 ms takes 45 ms at least",
          time.monotonic() - start > 0.045)


def part_timers():
    seen = []
    repeated = loop().timer(0.001, 0.001)
    repeated.start(lambda: seen.append(1))
    wait_until(lambda: len(seen) >= 5)
    repeated.stop()
    count = len(seen)
    gevent.sleep(0.02)
    check("a timer repeats until it is stopped", len(seen), count)

    again = loop().timer(0.002, 0.002)
    again.again(lambda: seen.append("again"))
    wait_until(lambda: "again" in seen)
    again.close()
    repeated.close()
    check("again starts a timer", "again" in seen)


def timed_out(function, *arguments, seconds=0.01):
    try:
        with gevent.Timeout(seconds):
            function(*arguments)
    except gevent.Timeout:
        return True
    return False


def part_timeouts():
    check("Timeout interrupts sleep", timed_out(gevent.sleep, LIMIT))
    check("and an event", timed_out(gevent.event.Event().wait))
    check("and a queue", timed_out(gevent.queue.Queue().get))
    one, other = gevent.socket.socketpair()
    check("and recv", timed_out(one.recv, 1))
    check("and sendall", timed_out(one.sendall, bytes(16 << 20)))
    check("and not what is done in time",
          timed_out(gevent.sleep, 0, seconds=LIMIT), False)
    other.settimeout(0.01)
    other.close()
    one.close()
    one, other = gevent.socket.socketpair()
    one.settimeout(0.01)
    try:
        seen = one.recv(1)
    except gevent.socket.timeout:
        seen = "timeout"
    check("a socket's own timeout", seen, "timeout")
    other.sendall(b"late")
    check("leaves the socket usable", one.recv(9), b"late")
    one.close()
    other.close()
    check("with_timeout gives its value",
          gevent.with_timeout(0.01, gevent.sleep, LIMIT, timeout_value="v"),
          "v")


def part_idle():
    seen = []
    gevent.spawn_later(0, seen.append, "timer")
    gevent.idle()
    gevent.sleep(0.001)
    check("idle comes back", seen, ["timer"])
    watchers = [loop().prepare(), loop().check()]
    watchers[0].start(lambda: seen.append("prepare"))
    watchers[1].start(lambda: seen.append("check"))
    seen.clear()
    wait_until(lambda: len(seen) >= 8)
    for watcher in watchers:
        watcher.close()
    start = seen.index("prepare")
    check("prepare and check take turns",
          seen[start:start + 6], ["prepare", "check"] * 3)


# ---- sockets -----------------------------------------------------------------


def echo(sock, _address):
    while True:
        data = sock.recv(65536)
        if not data:
            return
        sock.sendall(data)


def ask(address, message):
    sock = gevent.socket.create_connection(address)
    sock.sendall(message)
    sock.shutdown(gevent.socket.SHUT_WR)
    answer = receive_all(sock)
    sock.close()
    return answer


def part_stream_server():
    server = gevent.server.StreamServer(LOCAL, echo)
    server.start()
    messages = [b"%d " % n * (n * 97) for n in range(1, 61)]
    answers = spawn_all(lambda m: ask(server.address, m), messages)
    check("60 clients at once get what they sent", answers, messages)

    def one_by_one(name):
        wrong = 0
        for n in range(60):
            message = b"%d %d" % (name, n)
            wrong += ask(server.address, message) != message
        return wrong

    check("480 connections, 8 at a time, none mixed up",
          spawn_all(one_by_one, range(8)), [0] * 8)
    server.stop()
    try:
        seen = gevent.socket.create_connection(server.address)
    except ConnectionRefusedError:
        seen = "refused"
    check("a server that stopped refuses at once", seen, "refused")


def part_big_transfer():
    server = gevent.server.StreamServer(LOCAL, echo)
    server.start()
    data = os.urandom(4096) * 1024
    sock = gevent.socket.create_connection(server.address)
    sender = gevent.spawn(sock.sendall, data)
    sender.link(lambda _: sock.shutdown(gevent.socket.SHUT_WR))
    gevent.sleep(0.05)
    answer = receive_all(sock)
    check("4 MB come back when they are read late",
          digest(answer), digest(data))
    sock.close()
    server.stop()


def part_stop_with_clients():
    accepted = []

    def hold(sock, address):
        accepted.append(sock)
        echo(sock, address)

    server = gevent.server.StreamServer(LOCAL, hold, spawn=gevent.pool.Pool())
    server.start()
    clients = [gevent.socket.create_connection(server.address)
               for _ in range(20)]
    wait_until(lambda: len(accepted) == 20)
    readers = [gevent.spawn(c.recv, 1) for c in clients]
    gevent.sleep(0)
    server.stop(timeout=0)
    gevent.joinall(readers)
    check("a server that stops hangs up on its 20 clients",
          [r.value for r in readers], [b""] * 20)
    for client in clients:
        client.close()
    accepted.clear()


def part_forgotten():
    """A descriptor that is closed while a watcher is active on it."""
    one, other = gevent.socket.socketpair()
    seen = []
    watcher = loop().io(one.fileno(), READ)
    watcher.start(lambda: seen.append(1))
    gevent.sleep(0.001)
    number = one.detach()
    os.close(number)
    check("a peer hears at once of close() without stop",
          gevent.select.select([other], [], [], 0)[0] == [other] and
          other.recv(1), b"")
    other.close()
    gevent.sleep(0.002)
    watcher.stop()
    watcher.close()
    check("and the watcher of nothing is silent", seen, [])
    pairs = [gevent.socket.socketpair() for _ in range(3)]
    for n, (left, right) in enumerate(pairs):
        left.sendall(b"%d" % n)
    check("descriptors with the same numbers work",
          [right.recv(1) for _, right in pairs], [b"0", b"1", b"2"])
    for left, right in pairs:
        left.close()
        right.close()


def part_closed_under_reader():
    one, other = gevent.socket.socketpair()

    def read():
        try:
            return one.recv(1)
        except OSError as error:
            return errno.errorcode[error.errno]

    reader = gevent.spawn(read)
    gevent.sleep(0.001)
    one.close()
    check("close() under a reader ends its wait", reader.get(), "EBADF")
    check("and reaches the peer", other.recv(1), b"")
    other.close()


def part_watchers():
    one, other = gevent.socket.socketpair()
    seen = []
    readers = [loop().io(one.fileno(), READ) for _ in range(2)]
    for n, watcher in enumerate(readers):
        watcher.start(seen.append, n)
    gevent.sleep(0.002)
    check("nothing to read, no event", seen, [])
    other.sendall(b"x")
    wait_until(lambda: seen.count(0) >= 3 and seen.count(1) >= 3)
    readers[0].stop()
    seen.clear()
    wait_until(lambda: len(seen) >= 3)
    check("what is not read is told on every turn", set(seen), {1})
    one.recv(1)
    gevent.sleep(0)
    seen.clear()
    gevent.sleep(0.002)
    check("until it was read", seen, [])
    writer = loop().io(one.fileno(), WRITE)
    writer.start(seen.append, "w")
    wait_until(lambda: seen)
    check("writers are told apart from readers", set(seen), {"w"})
    for watcher in readers + [writer]:
        watcher.close()
    one.close()
    other.close()


def part_datagrams():
    class Echo(gevent.server.DatagramServer):
        def handle(self, data, address):
            self.socket.sendto(data[::-1], address)

    server = Echo(LOCAL)
    server.start()

    def client(n):
        sock = gevent.socket.socket(type=gevent.socket.SOCK_DGRAM)
        sock.connect(("127.0.0.1", server.server_port))
        sock.send(b"%03d" % n)
        answer = sock.recv(9)
        sock.close()
        return answer

    check("40 datagrams are answered", spawn_all(client, range(40)),
          [(b"%03d" % n)[::-1] for n in range(40)])
    server.stop()


def part_select():
    pairs = [gevent.socket.socketpair() for _ in range(4)]
    pairs[2][1].sendall(b"x")
    ends = [left for left, _ in pairs]
    check("select finds the one that can be read",
          ends.index(gevent.select.select(ends, [], [], LIMIT)[0][0]), 2)
    poll = gevent.select.poll()
    for left in ends:
        poll.register(left, gevent.select.POLLIN)
    check("so does poll", poll.poll(LIMIT * 1000),
          [(ends[2].fileno(), gevent.select.POLLIN)])
    for left, right in pairs:
        left.close()
        right.close()


# ---- HTTP --------------------------------------------------------------------


def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read()
    if path == "/late":
        gevent.sleep(0.02)
    start_response("404 Not Found" if path == "/none" else "200 OK",
                   [("Content-Type", "text/plain"), ("X-Path", path)])
    answer = "%s %s %s\n" % (environ["REQUEST_METHOD"], path, digest(body))
    return [answer.encode()]  # one piece: curl may be printing others


def part_http():
    """urllib as it comes, on patched sockets."""
    import urllib.error
    import urllib.request
    server = gevent.pywsgi.WSGIServer(LOCAL, application, log=None)
    server.start()
    top = "http://127.0.0.1:%d/" % server.server_port

    def get(n):
        path = "late" if n % 5 == 0 else "n%d" % n
        with urllib.request.urlopen(top + path, timeout=LIMIT) as answer:
            return path, answer.headers["X-Path"], answer.read()

    nothing = digest(b"").encode()
    check("urllib in 50 greenlets gets its pages",
          [a for a in spawn_all(get, range(50))
           if a[1] != "/" + a[0] or
           a[2] != b"GET /%s %s\n" % (a[0].encode(), nothing)], [])
    body = bytes(range(256)) * 4096
    with urllib.request.urlopen(top + "post", body, LIMIT) as answer:
        check("a POST of 1 MB arrives", answer.read(),
              b"POST /post %s\n" % digest(body).encode())
    try:
        urllib.request.urlopen(top + "none", timeout=LIMIT)
        seen = 0
    except urllib.error.HTTPError as error:
        seen = error.code
        error.close()
    check("an error is an error", seen, 404)
    server.stop()


def serve():
    server = gevent.pywsgi.WSGIServer(LOCAL, application, log=None)
    gevent.signal_handler(signal.SIGTERM, server.stop)
    server.start()
    print("http://127.0.0.1:%d" % server.server_port, flush=True)
    server.serve_forever()
    print("stopped", flush=True)


# ---- greenlets ---------------------------------------------------------------


def part_queues():
    queue = gevent.queue.Queue(maxsize=3)
    seen = []

    def producer():
        for n in range(50):
            queue.put(n)
        queue.put(StopIteration)

    gevent.spawn(producer)
    seen.extend(queue)
    check("a queue keeps its order", seen, list(range(50)))
    semaphore = gevent.lock.BoundedSemaphore(2)
    inside, most = [], []

    def enter(n):
        with semaphore:
            inside.append(n)
            most.append(len(inside))
            gevent.sleep(0.0005)
            inside.remove(n)

    spawn_all(enter, range(20))
    check("two at a time enter", max(most), 2)
    pool = gevent.pool.Pool(4)
    check("a pool's answers are in order",
          pool.map(lambda n: gevent.sleep(0.001 * (n % 3)) or n, range(20)),
          list(range(20)))


def part_kill():
    cleaned = []

    def body(n):
        try:
            gevent.sleep(LIMIT * 2)
        finally:
            cleaned.append(n)

    greenlets = [gevent.spawn(body, n) for n in range(10)]
    gevent.sleep(0.001)
    gevent.killall(greenlets)
    check("killed greenlets clean up", sorted(cleaned), list(range(10)))


# ---- processes and signals ---------------------------------------------------


def part_subprocess():
    run = gevent.subprocess
    data = os.urandom(300000)
    cat = run.Popen(["cat"], stdin=run.PIPE, stdout=run.PIPE)
    check("300 kB through cat", cat.communicate(data)[0], data)
    check("and its status", cat.returncode, 0)

    def status(code):
        return run.call(["sh", "-c", "exit %d" % code])

    check("the statuses of 12 children", spawn_all(status, range(12)),
          list(range(12)))
    child = run.Popen(["sleep", "60"])
    gevent.sleep(0.001)
    child.kill()
    check("a child that was killed", child.wait(), -signal.SIGKILL)
    child = run.Popen(["sleep", "60"])
    try:
        seen = child.wait(timeout=0.01)
    except run.TimeoutExpired:
        seen = "expired"
    check("waiting for a child can time out", seen, "expired")
    child.terminate()
    check("and go on", child.wait(), -signal.SIGTERM)
    talk = run.Popen(["sh", "-c", "while read x; do echo \"<$x>\"; done"],
                     stdin=run.PIPE, stdout=run.PIPE)
    lines = []
    for n in range(20):
        talk.stdin.write(b"%d\n" % n)
        talk.stdin.flush()
        lines.append(talk.stdout.readline())
    talk.stdin.close()
    check("a talk line by line", lines, [b"<%d>\n" % n for n in range(20)])
    talk.stdout.close()
    check("ends when its input ends", talk.wait(), 0)
    apart = run.run(["sh", "-c", "echo out; echo err >&2; exit 3"],
                    stdout=run.PIPE, stderr=run.PIPE)
    # evring may have something to say after it.
    check("standard error apart", (apart.stdout, apart.stderr[:4]),
          (b"out\n", b"err\n"))
    check("no child is left", has_child(), False)


def status_of(pid):
    """libev takes the statuses of all children: it has to be asked."""
    result = gevent.event.AsyncResult()
    watcher = loop().child(pid)
    watcher.start(lambda: result.set(os.WEXITSTATUS(watcher.rstatus)))
    status = result.get()
    watcher.close()
    return status


def part_child_watcher():
    pids = [os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", "exit %d" % n)
            for n in (5, 6)]
    check("child watchers get the statuses", spawn_all(status_of, pids),
          [5, 6])


def part_signals():
    seen = []
    handlers = [gevent.signal_handler(number, seen.append, number.name)
                for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP)]
    sleeper = gevent.spawn(gevent.sleep, 0.05)
    for name in ("USR1", "TERM", "HUP"):
        count = len(seen)
        gevent.subprocess.check_call(
            ["sh", "-c", "kill -%s %d" % (name, os.getpid())])
        wait_until(lambda count=count: len(seen) > count)
    check("signals come as callbacks", seen, ["SIGUSR1", "SIGTERM", "SIGHUP"])
    sleeper.join()
    check("and disturb no sleep", sleeper.successful())
    os.kill(os.getpid(), signal.SIGUSR1)
    wait_until(lambda: len(seen) == 4)
    check("a signal to itself, too", seen[3], "SIGUSR1")
    for handler in handlers:
        handler.cancel()


# Not by name: a child must not run the parts that come after.
def in_child(body):
    status = 99
    try:
        with gevent.Timeout(LIMIT):
            status = body()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def child_body():
    """What a forked child does with its copy of the loop."""
    server = gevent.server.StreamServer(LOCAL, echo)
    server.start()
    if ask(server.address, b"from a child") != b"from a child":
        return 1
    server.stop()
    if gevent.subprocess.call(["sh", "-c", "exit 4"]) != 4:
        return 2
    gevent.sleep(0.001)
    return 42


# Greenlets that are ready go on in a child, too: there are none here.
def fork_and_watch():
    pid = gevent.os.fork_and_watch()
    if pid == 0:
        in_child(child_body)
    return pid


def watched_status(pid):
    return os.WEXITSTATUS(gevent.os.waitpid(pid, 0)[1])


def fork_and_reinit():
    pid = gevent.monkey.get_original("os", "fork")()
    if pid == 0:
        gevent.reinit()
        in_child(child_body)
    return pid


def fork_and_be_idle():
    """The child uses no loop; what it inherited is the parent's."""
    pid = gevent.monkey.get_original("os", "fork")()
    if pid == 0:
        os._exit(7)
    return pid


def part_fork():
    one, other = gevent.socket.socketpair()
    reader = gevent.spawn(one.recv, 9)
    gevent.sleep(0.001)
    check("a child of fork_and_watch works",
          watched_status(fork_and_watch()), 42)
    check("and a child with reinit", status_of(fork_and_reinit()), 42)
    check("and an idle one ends", status_of(fork_and_be_idle()), 7)
    pids = [fork_and_watch() for _ in range(3)]
    check("three at once", spawn_all(watched_status, pids), [42] * 3)
    other.sendall(b"still")
    check("the parent's waits are left alone", reader.get(timeout=LIMIT),
          b"still")
    one.close()
    other.close()
    check("no child is left", has_child(), False)


# ---- threads -----------------------------------------------------------------


def part_threadpool():
    pool = gevent.threadpool.ThreadPool(3)
    check("a thread pool's answers are in order",
          pool.map(lambda n: digest(b"%d" % n), range(40)),
          [digest(b"%d" % n) for n in range(40)])
    ticks = []
    ticker = gevent.spawn(lambda: [ticks.append(gevent.sleep(0.001))
                                   for _ in range(5)])
    sleep = gevent.monkey.get_original("time", "sleep")
    pool.apply(sleep, (0.05,))
    ticker.join()
    check("the loop goes on while a thread is at work", len(ticks), 5)
    pool.kill()


def part_async():
    """Wake-ups from three threads, each counted to its end."""
    done = []
    watcher = loop().async_()
    event = gevent.event.Event()

    def woken():
        if len(done) == 3:
            event.set()

    watcher.start(woken)

    def sender():
        for _ in range(200):
            watcher.send()
        done.append(1)
        watcher.send()

    start_thread = gevent.monkey.get_original("_thread", "start_new_thread")
    for _ in range(3):
        start_thread(sender, ())
    check("no wake-up of a thread is lost", event.wait(LIMIT))
    watcher.close()


def in_thread(n):
    """A server and its clients on the loop of this thread."""
    if loop().default:
        return "the default loop"
    server = gevent.server.StreamServer(LOCAL, echo)
    server.start()
    messages = [b"%d %d" % (n, m) for m in range(20)]
    answers = spawn_all(lambda m: ask(server.address, m), messages)
    server.stop()
    gevent.sleep(0.001)
    return answers == messages


def part_loops_in_threads():
    pool = gevent.threadpool.ThreadPool(4)
    check("four threads, four loops",
          [r.get() for r in [pool.spawn(in_thread, n) for n in range(4)]],
          [True] * 4)
    pool.kill()
    wait_until(lambda: nr_threads() == 1)


def part_loops():
    seen = 0
    for _ in range(20):
        other = gevent.libev.corecext.loop(default=False)
        timer = other.timer(0.0001)
        fired = []
        timer.start(fired.append, 1)
        other.run()
        seen += len(fired)
        timer.close()
        other.destroy()
    check("20 loops made, run and destroyed", seen, 20)


# ---- files -------------------------------------------------------------------


def part_files():
    ends = os.pipe()
    reader = gevent.fileobject.FileObjectPosix(ends[0], "rb")
    writer = gevent.fileobject.FileObjectPosix(ends[1], "wb")
    data = os.urandom(200000)

    def write():
        writer.write(data)
        writer.close()

    gevent.spawn(write)
    check("200 kB through a pipe", reader.read(), data)
    reader.close()
    with tempfile.NamedTemporaryFile() as plain:
        with gevent.fileobject.FileObjectThread(plain.name, "wb") as out:
            out.write(data)
        with gevent.fileobject.FileObjectThread(plain.name, "rb") as back:
            check("a plain file, by threads", back.read(), data)
    with tempfile.TemporaryFile() as plain:
        try:
            gevent.socket.wait_read(plain.fileno(), timeout=LIMIT)
            seen = "ready"
        except Exception as error:  # what libev makes of it, on both sides
            seen = type(error).__name__
        check("a plain file on the loop is always ready", seen, "ready")


def part_stat():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "watched")
        open(path, "w").close()
        event = gevent.event.Event()
        watcher = loop().stat(path, 0.2)
        watcher.start(event.set)
        gevent.sleep(0.01)
        with open(path, "w") as out:
            out.write("seven..")
        check("a change of a file is told", event.wait(LIMIT))
        check("with what it is now", watcher.attr.st_size, 7)
        event.clear()
        os.unlink(path)
        check("and that it is gone", event.wait(LIMIT))
        check("as nothing", watcher.attr is None)
        watcher.close()


# ---- all ---------------------------------------------------------------------

PARTS = [
    part_sleep, part_timers, part_timeouts, part_idle,
    part_stream_server, part_big_transfer, part_stop_with_clients,
    part_forgotten, part_closed_under_reader, part_watchers, part_datagrams,
    part_select, part_http,
    part_queues, part_kill,
    part_subprocess, part_child_watcher, part_signals, part_fork,
    part_threadpool, part_async, part_loops_in_threads, part_loops,
    part_files, part_stat,
]


def run_part(part):
    global failed
    print("# " + part.__name__[5:], flush=True)
    try:
        with gevent.Timeout(LIMIT):
            part()
    except BaseException as error:
        failed = True
        print("not ok - %s: %r" % (part.__name__, error), flush=True)
        traceback.print_exc()


def use_first():
    """What is made at its first use, and stays."""
    gevent.get_hub().threadpool.apply(len, ("",))
    watcher = loop().stat("/", 1)
    watcher.start(len, "")
    watcher.close()
    wait_until(lambda: nr_threads() == 1)


def run_all():
    check("gevent runs on libev", type(loop()).__module__,
          "gevent.libev.corecext")
    check("with epoll", loop().backend, "epoll")
    use_first()
    before = nr_fds()
    for part in PARTS:
        run_part(part)
    gevent.with_timeout(LIMIT, wait_until, lambda: nr_fds() <= before,
                        timeout_value=None)
    check("no file is left open", nr_fds() - before, 0)
    check("no child is left", has_child(), False)


def main():
    gevent.config.threadpool_idle_task_timeout = 0.1
    gevent.monkey.patch_all(thread=False, signal=False)
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        run_all()
    sys.exit(failed)


main()
