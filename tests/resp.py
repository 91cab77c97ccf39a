#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""resp.py - clients of examples/resp that no library would be.

	resp.py GROUP PORT PID [OTHER]

plays the cases of a group against the daemon with that port and process id.
OTHER is the port of a redis-server, to compare with.  A line for each promise,
"ok - ..." or "not ok - ..."; status 1 if any is broken.

No case sleeps in the hope that something has happened: what must be in order is
ordered by a reply on another connection, which the same loop gives.
"""

import os
import random
import signal
import socket
import sys
import threading
import time

TIMEOUT = 60
GROUP, PORT, PID = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
OTHER = int(sys.argv[4]) if len(sys.argv) > 4 else None
failed = False


def check(what, is_ok, why=""):
    global failed
    if is_ok:
        print(f"ok - {GROUP}: {what}", flush=True)
        return
    failed = True
    print(f"not ok - {GROUP}: {what}", flush=True)
    if why != "":
        print(f"# {why!r}"[:2000], flush=True)


def check_equal(what, got, wanted):
    check(what, got == wanted, (got, wanted))


class Error(str):
    """An error reply."""


class Ended(Exception):
    """The stream is over, or was reset."""


class Client:
    def __init__(self, port=PORT, window=None):
        self.socket = socket.socket()
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Ended
        self.rest += data

    def line(self):
        while b"\r\n" not in self.rest:
            self.more()
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line

    def take(self, size):
        parts, have = [self.rest], len(self.rest)
        while have < size:
            self.rest = b""
            self.more()
            parts.append(self.rest)
            have += len(self.rest)
        data = b"".join(parts)
        self.rest = data[size:]
        return data[:size]

    def reply(self):
        line = self.line()
        kind, text = line[:1], line[1:]
        if kind == b"+":
            return text.decode()
        if kind == b"-":
            return Error(text.decode("latin-1"))
        if kind == b":":
            return int(text)
        if kind == b"$":
            size = int(text)
            return None if size < 0 else self.take(size + 2)[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(text))]
        raise AssertionError(f"no reply: {line!r}")

    def __call__(self, *args):
        self.send(command(*args))
        return self.reply()

    def replies(self):
        """All until the connection ends."""
        try:
            while True:
                yield self.reply()
        except Ended:
            return

    def until_end(self):
        return list(self.replies())


def to_bytes(arg):
    return arg if isinstance(arg, bytes) else str(arg).encode("latin-1")


def command(*args):
    parts = [b"*%d\r\n" % len(args)]
    for arg in map(to_bytes, args):
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(parts)


def info(client):
    lines = client("INFO").decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


def rss():
    with open(f"/proc/{PID}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def is_watched():
    """By a sanitizer or valgrind, who keep memory of their own."""
    with open(f"/proc/{PID}/maps", encoding="utf-8") as maps:
        text = maps.read()
    return bool(os.environ.get("SAN_FLAGS")) or any(
        name in text for name in ("libasan", "libtsan", "vgpreload"))


def nr_fds():
    return len(os.listdir(f"/proc/{PID}/fd"))


def within(seconds, is_so):
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


#
# commands: what is answered
#

OK = "OK"
NOT_INTEGER = Error("ERR value is not an integer or out of range")
OVERFLOW = Error("ERR increment or decrement would overflow")
SYNTAX = Error("ERR syntax error")


def wrong_count(name):
    return Error(f"ERR wrong number of arguments for '{name}' command")


def wrong_time(name):
    return Error(f"ERR invalid expire time in '{name}' command")


COMMANDS = [
    ("flushall", OK),
    ("ping", "PONG"),
    ("PiNg x", b"x"),
    ("ping x y", wrong_count("ping")),
    ("echo hello", b"hello"),
    ("echo", wrong_count("echo")),
    ("get a", None),
    ("set a 1", OK),
    ("get a", b"1"),
    ("set a 2 nx", None),
    ("set b 2 NX", OK),
    ("set c 3 xx", None),
    ("set a 3 XX", OK),
    ("set a 4 get", b"3"),
    ("set c 1 get", None),
    ("set c 2 nx get", b"1"),
    ("get c", b"1"),
    ("set a 1 nx xx", SYNTAX),
    ("set a 1 ex", SYNTAX),
    ("set a 1 ex 10 px 10", SYNTAX),
    ("set a 1 ex 10 keepttl", SYNTAX),
    ("set a 1 keepttl ex 10", SYNTAX),
    ("set a 1 what", SYNTAX),
    ("set a 1 ex x", NOT_INTEGER),
    ("set a 1 ex 0", wrong_time("set")),
    ("set a 1 px -1", wrong_time("set")),
    ("set a 1 ex 9223372036854775807", wrong_time("set")),
    ("set a 1 px 9223372036854775807", wrong_time("set")),
    ("set a", wrong_count("set")),
    ("set a 5 ex 100", OK),
    ("ttl a", 100),
    ("set a 6 keepttl", OK),
    ("ttl a", 100),
    ("persist a", 1),
    ("persist a", 0),
    ("ttl a", -1),
    ("pttl a", -1),
    ("ttl nokey", -2),
    ("pttl nokey", -2),
    ("expire a 50", 1),
    ("ttl a", 50),
    ("set a 7", OK),
    ("ttl a", -1),
    ("expire nokey 50", 0),
    ("expire a x", NOT_INTEGER),
    ("expire a 9223372036854775807", wrong_time("expire")),
    ("pexpire a 100000", 1),
    ("ttl a", 100),
    ("expire a 0", 1),
    ("exists a", 0),
    ("set a 7", OK),
    ("pexpire a -5", 1),
    ("get a", None),
    ("del a b c", 2),
    ("mset a 1 b 2 a 3", OK),
    ("mget a b nokey a", [b"3", b"2", None, b"3"]),
    ("mset a", wrong_count("mset")),
    ("mset a 1 b", wrong_count("mset")),
    ("exists a a b nokey", 3),
    ("touch a nokey", 1),
    ("unlink a nokey", 1),
    ("del", wrong_count("del")),
    ("dbsize", 1),
    ("incr n", 1),
    ("incrby n 10", 11),
    ("decr n", 10),
    ("decrby n 20", -10),
    ("incrby n 9223372036854775807", 9223372036854775797),
    ("incrby n 11", OVERFLOW),
    ("decrby n -9223372036854775808",
     Error("ERR decrement would overflow")),
    ("set n -9223372036854775808", OK),
    ("decr n", OVERFLOW),
    ("incr n", -9223372036854775807),
    ("set n 9223372036854775808", OK),
    ("incr n", NOT_INTEGER),
    ("set n 01", OK),
    ("incr n", NOT_INTEGER),
    ("set n -0", OK),
    ("incr n", NOT_INTEGER),
    ("set n \"\"", OK),
    ("incr n", NOT_INTEGER),
    ("incrby n 1.5", NOT_INTEGER),
    ("set n \" 1\"", OK),
    ("incr n", NOT_INTEGER),
    ("del n", 1),
    ("append s hello", 5),
    ("append s \" world\"", 11),
    ("get s", b"hello world"),
    ("strlen s", 11),
    ("strlen nokey", 0),
    ("type s", "string"),
    ("type nokey", "none"),
    ("setnx s x", 0),
    ("setnx t x", 1),
    ("setex t 100 y", OK),
    ("ttl t", 100),
    ("setex t 0 y", wrong_time("setex")),
    ("psetex t 100000 z", OK),
    ("psetex t x z", NOT_INTEGER),
    ("append t z", 2),
    ("ttl t", 100),
    ("getset t w", b"zz"),
    ("ttl t", -1),
    ("getdel t", b"w"),
    ("getdel t", None),
    ("select 0", OK),
    ("select 1", Error("ERR DB index is out of range")),
    ("select x", NOT_INTEGER),
    ("client setinfo lib-name x", OK),
    ("client getname", b""),
    ("client setname me", OK),
    ("client getname", b"me"),
    ("config get save", [b"save", b""]),
    ("config get appendonly", [b"appendonly", b"no"]),
    ("config get nothing", []),
    ("flushall async", OK),
    ("flushall what", SYNTAX),
    ("dbsize", 0),
    ("hello 3", Error(
        "ERR unknown command 'hello', with args beginning with: '3' ")),
    ("nonsense", Error(
        "ERR unknown command 'nonsense', with args beginning with: ")),
]


def commands():
    with Client() as client:
        wrong = []
        for line, wanted in COMMANDS:
            client.send(line.encode() + b"\r\n")
            got = client.reply()
            if got != wanted or type(got) is not type(wanted):
                wrong.append((line, got, wanted))
        check(f"{len(COMMANDS)} typed commands are answered as they should",
              not wrong, wrong)
        nr = client("COMMAND", "COUNT")
        check_equal("COMMAND tells all commands", len(client("COMMAND")), nr)
        check_equal("COMMAND INFO tells arity and keys",
                    client("COMMAND", "INFO", "mset", "x"),
                    [[b"mset", -3, ["write", "denyoom"], 1, -1, 2], []])
        check_equal("COMMAND DOCS is a map of all",
                    len(client("COMMAND", "DOCS")), 2 * nr)
        check_equal("and of one",
                    client("COMMAND", "DOCS", "get", "x")[0::2], [b"get"])
        check("INFO has what libraries look for",
              {"redis_version", "used_memory", "maxmemory",
               "connected_clients"} <= set(info(client)))
        check_equal("QUIT says OK and ends",
                    (client("QUIT"), client.until_end()), (OK, []))
    with Client() as client:
        evil = "x" * 500 + "\r\n+OK\r\n"
        reply = client(evil, evil, evil)
        check("an unknown command does not break the lines of the reply",
              isinstance(reply, Error) and len(reply) < 400, reply)
        check_equal("and what follows is in step", client("PING"), "PONG")


#
# protocol: bytes in any portions, and wrong ones
#

def split_everywhere():
    whole = (command("SET", "split", "a\r\nb") + command("GET", "split") +
             b"ping 'a b'\r\n\r\n" + command("MGET", "split", "nokey"))
    wanted = [OK, b"a\r\nb", b"a b", [b"a\r\nb", None]]
    wrong = []
    with Client() as other:
        for at in range(1, len(whole)):
            with Client() as client:
                client.send(whole[:at])
                other("PING")
                client.send(whole[at:])
                got = [client.reply() for _ in wanted]
                if got != wanted:
                    wrong.append((at, got))
    check("a stream split at any byte is the same stream", not wrong, wrong)


def byte_by_byte():
    whole = command("ECHO", "x" * 50) + b"echo 'y z'\r\n"
    with Client() as client, Client() as other:
        for byte in whole:
            client.send(bytes([byte]))
            other("PING")
        check_equal("so is one that comes byte by byte",
                    [client.reply(), client.reply()], [b"x" * 50, b"y z"])


BAD = [
    (b"*x\r\n", "invalid multibulk length"),
    (b"*99999999\r\n", "invalid multibulk length"),
    (b"*1\r\n:0\r\n", "expected '$', got ':'"),
    (b"*1\r\n$-1\r\n", "invalid bulk length"),
    (b"*1\r\n$536870913\r\n", "invalid bulk length"),
    (b"*1\r\n$18446744073709551617\r\n", "invalid bulk length"),
    (b"*1\r\n$4\r\nPINGxx", "expected CR LF after an argument"),
    (b"*1\r\n$" + b"1" * 100, "too big bulk count string"),
    (b"*" + b"1" * 100, "too big mbulk count string"),
    (b"set a 'b\r\n", "unbalanced quotes in request"),
    (b"x" * 70000, "too big inline request"),
]


def malformed():
    for data, why in BAD:
        with Client() as client:
            client.send(command("PING") + data + command("PING"))
            check_equal(f"{why}: said, after what was right, then the end",
                        client.until_end(),
                        ["PONG", Error("ERR Protocol error: " + why)])
    with Client() as client:
        client.send(b"*0\r\n*-1\r\n\r\n" + command("PING"))
        check_equal("empty commands are not answered", client.reply(), "PONG")
    with Client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nset a evil\r\n")
        check_equal("a browser is cut off", client.until_end(), [])
    with Client() as client:
        check_equal("and nothing of it is done", client("GET", "a"), None)


def pipeline():
    nr = 10000
    parts, wanted = [], []
    for i in range(nr):
        parts.append(command("SET", f"p{i % 100}", i))
        wanted.append(OK)
        parts.append(command("GET", f"p{i % 100}"))
        wanted.append(str(i).encode())
    data = b"".join(parts)
    with Client() as client:
        client.send(data)
        got = [client.reply() for _ in wanted]
        check(f"{2 * nr} commands at once are answered in order",
              got == wanted)
    with Client() as client:
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
        got = client.until_end()
        check("also when the end of the stream follows them", got == wanted,
              len(got))


def end_behind():
    """The end of the stream is heard of while replies wait to be taken."""
    value = b"v" * 100_000
    with Client(window=4096) as client, Client() as other:
        other("SET", "big", value)
        client.send(command("GET", "big") * 100)
        client.socket.shutdown(socket.SHUT_WR)
        other("PING")
        replies = client.until_end()
        check_equal("replies that wait are sent after the end of the stream",
                    (len(replies), set(replies) == {value}), (100, True))


def large():
    value = random.Random(1).randbytes(8_000_000)
    with Client() as client:
        check_equal("8 MB are taken", client("SET", "large", value), OK)
        check("and given back", client("GET", "large") == value)
        check_equal("and deleted", client("DEL", "large"), 1)
        many = [f"k{i}" for i in range(100_000)]
        check_equal("100,000 arguments are taken", client("DEL", *many), 0)


def halves():
    """Ends of all kinds, in the middle."""
    before = nr_fds()
    for i in range(50):
        client = Client()
        client.send(command("SET", "half", "x" * 5000)[:-(1 + i * 50)])
        if i % 2:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                     b"\1\0\0\0\0\0\0\0")
        client.socket.close()
    check("clients that go in the middle leave no descriptor",
          within(10, lambda: nr_fds() <= before), (nr_fds(), before))
    with Client() as client:
        check_equal("and no half value", client("GET", "half"), None)
        check("nor memory",
              within(10, lambda:
                     int(info(client)["mem_clients_normal"]) < 65536))


def protocol():
    split_everywhere()
    byte_by_byte()
    malformed()
    pipeline()
    end_behind()
    large()
    halves()


#
# greedy: clients that want too much
#

def fill(client, data):
    """Send data again and again until it cannot be sent for a second; the
    number of times it was taken whole, and the rest."""
    client.socket.settimeout(1)
    nr = 0
    while True:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[client.socket.send(rest):]
            except TimeoutError:
                client.socket.settimeout(TIMEOUT)
                return nr, bytes(rest)
        nr += 1


def send_last(client, data):
    client.send(data)
    client.socket.shutdown(socket.SHUT_WR)


def never_reads():
    value = b"v" * 500
    with Client() as other:
        other("SET", "big", value)
        before = rss()
        with Client(window=4096) as client:
            data = command("GET", "big") * 1000
            nr, rest = fill(client, data)
            check_equal("a client that does not read does not hold up others",
                        other("PING"), "PONG")
            grown = rss() - before
            check("nor has it our memory", grown < 32 << 20, grown)
            sender = threading.Thread(target=send_last, args=(client, rest))
            sender.start()
            nr_replies = sum(reply == value for reply in client.replies())
            sender.join()
            check_equal("when it reads after all, it gets every reply",
                        nr_replies, 1000 * (nr + 1))


def too_much_output():
    with Client() as client, Client() as other:
        other("SET", "big", b"v" * 1_000_000)
        client.send(command("MGET", *["big"] * 1000))
        got = b""
        try:
            while True:
                client.more()
                got = client.rest[-1:]
                client.rest = b""
        except Ended:
            pass
        check_equal("a reply beyond --max-output is cut, with its client",
                    other("PING"), "PONG")
        check("and its memory comes back",
              within(10, lambda:
                     int(info(other)["mem_clients_normal"]) < 1 << 20), got)
        other("DEL", "big")


def tight():
    """--max-output=1024"""
    value = b"v" * 100
    with Client() as client:
        client("SET", "k", value)
        client.send(command("GET", "k") * 500)
        check_equal("many replies may be more than --max-output",
                    [client.reply() for _ in range(500)], [value] * 500)
        check_equal("so may one be that is not larger",
                    client("MGET", *["k"] * 9), [value] * 9)
        client.send(command("MGET", *["k"] * 2000))
        check_equal("one of small parts that is larger cuts its client",
                    client.until_end(), [])


def many_announce():
    """Each holds a request that does not end."""
    with Client() as other:
        limit = int(info(other)["maxmemory"])
        value = b"x" * 1_000_000
        clients, nr_refused = [], 0
        for _ in range(200):
            client = Client()
            try:
                client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8000000\r\n" +
                            value)
            except (BrokenPipeError, ConnectionResetError):
                nr_refused += 1
            clients.append(client)
            other("PING")
        memory = info(other)
        check("unfinished requests have half of --memory at most",
              int(memory["mem_clients_normal"]) <= limit // 2, memory)
        check("and there is room for others",
              other("SET", "k", "y" * 10000) == OK and
              other("GET", "k") == b"y" * 10000)
        check("in all, --memory holds",
              int(info(other)["used_memory"]) <= limit)
        for client in clients:
            client.socket.close()
        check("and it comes back",
              within(10, lambda:
                     int(info(other)["mem_clients_normal"]) < 1 << 20),
              (info(other), nr_refused))


def greedy():
    never_reads()
    too_much_output()
    many_announce()


#
# stalled: --stall=0.5 --max-connections=10, so that high water is a megabyte
#

def is_ended_within(client, seconds):
    client.socket.settimeout(seconds)
    try:
        client.until_end()
        return True
    except TimeoutError:
        return False


def stalled():
    with Client() as idle, Client() as partial, Client() as other:
        other("SET", "big", b"v" * 100_000)
        idle("PING")
        partial.send(b"*2\r\n$3\r\nGET\r\n$1000\r\n")
        check("a request that does not go on is closed",
              is_ended_within(partial, 20))
        check_equal("a client that is at rest is not", idle("PING"), "PONG")
        with Client(window=4096) as client:
            client.send(command("GET", "big") * 2000)
            check("one that takes no replies is closed",
                  within(20, lambda: int(
                      info(other)["connected_clients"]) == 2))

    with Client() as other, Client(window=4096) as client:
        other("SET", "small", b"v" * 10_000)

        def holds_more_than(size):
            return int(info(other)["mem_clients_normal"]) > size

        for _ in range(5000):
            client.send(command("GET", "small"))
            if holds_more_than(300_000) and not within(
                    0.3, lambda: not holds_more_than(300_000)):
                break
        client.socket.shutdown(socket.SHUT_WR)
        check("one that has ended and takes no replies is closed, too",
              within(20, lambda: not holds_more_than(10_000)))


#
# times
#

def times():
    with Client() as client:
        client("FLUSHALL")
        before = time.monotonic()
        client("SET", "k", "v", "PX", 300)
        after_set = time.monotonic()
        left = client("PTTL", "k")
        check("PTTL tells what is left", 0 < left <= 300 or
              time.monotonic() - before >= 0.3, left)
        while client("GET", "k") is not None:
            if time.monotonic() - after_set > 20:
                break
            time.sleep(0.005)
        gone = time.monotonic()
        check("a key does not go before its time", gone - before >= 0.299,
              gone - before)
        check("and goes when it is over", gone - after_set < 10)
        check_equal("it is not counted any more", client("DBSIZE"), 0)

        for i in range(5000):
            client.send(command("SET", f"k{i}", "v", "PX", 50 + i % 100))
        for _ in range(5000):
            client.reply()
        client("SET", "stays", "v", "EX", 1000)
        check("keys that nobody reads go, too",
              within(20, lambda: client("DBSIZE") == 1), client("DBSIZE"))
        memory = info(client)
        check("all of them have been counted",
              int(memory["expired_keys"]) >= 5001)
        client("SET", "sooner", "v", "PX", 50)
        check("one that is due sooner than the next is not late",
              within(20, lambda: client("DBSIZE") == 1))


#
# memory: --memory=8M --buffers=64 (a megabyte, which --memory does not count)
#

def memory():
    limit = 8 << 20
    with Client() as client:
        check_equal("the limit is told", int(info(client)["maxmemory"]), limit)
        base = rss()
        rng = random.Random(5)
        most = 0
        for _ in range(100):
            batch = [command("SET", f"key:{rng.randrange(10**9)}",
                             b"v" * rng.randrange(2000))
                     for _ in range(1000)]
            client.send(b"".join(batch))
            for _ in batch:
                if client.reply() != OK:
                    check("SET is never refused", False)
                    return
            most = max(most, int(info(client)["used_memory"]))
        check("100,000 keys are taken, and the limit holds",
              limit // 2 < most <= limit, most)
        told = info(client)
        check("keys were evicted for it", int(told["evicted_keys"]) > 50000)
        grown = rss() - base
        if is_watched():
            print("# left out: what the process has, under a sanitizer")
        else:
            check("what the process has is not much more", grown < 2 * limit,
                  grown)
        check("a value larger than all is refused, nothing else happens",
              client("SET", "k", b"v" * (limit // 4 + 1)).startswith("ERR"))


def full():
    """--memory=8M --no-eviction"""
    with Client() as client:
        client("SET", "first", "value")
        nr = 0
        while client("SET", f"k{nr}", b"v" * 10000) == OK:
            nr += 1
            if nr > 10000:
                break
        check("it takes what there is room for", 500 < nr < 900, nr)
        reply = client("SET", "more", b"v" * 10000)
        check("then it says OOM", isinstance(reply, Error) and
              reply.startswith("OOM "), reply)
        check_equal("nothing is evicted", client("GET", "first"), b"value")
        check_equal("keys can be deleted", client("DEL", "k0"), 1)
        check_equal("which makes room", client("SET", "more", b"v" * 9000), OK)
        client.send(command("MGET", *["k1"] * 150))
        check_equal("a reply may have a quarter of --memory",
                    len(client.reply()), 150)
        client.send(command("MGET", *["k1"] * 300))
        try:
            client.reply()
            check("and no more", False)
        except Ended:
            check("and no more", True)


#
# stopping: SIGTERM with a client at rest, and one with replies to come
#

def stopping():
    value = b"v" * 50_000
    with Client() as idle, Client(window=4096) as slow:
        idle("SET", "big", value)
        slow.send(command("GET", "big") * 200)
        idle("PING")
        os.kill(PID, signal.SIGTERM)
        check_equal("a client at rest hears of the end", idle.until_end(), [])
        replies = slow.until_end()
        check_equal("one that has asked gets all replies first",
                    (len(replies), set(replies) == {value}), (200, True))


#
# shared: --workers=3, whose keys are the same
#

def shared():
    clients = [Client() for _ in range(40)]
    keys = [f"n{i}" for i in range(7)]
    clients[0]("DEL", *keys)
    data = b"".join(command("INCR", keys[i % 7]) for i in range(7000))
    for client in clients:
        client.send(data)
    for client in clients:
        for _ in range(7000):
            client.reply()
    wrong = []
    for client in clients:
        got = client("MGET", *keys)
        if got != [b"40000"] * 7:
            wrong.append(got)
    check("what 40 clients count is added up, and seen by all", not wrong,
          wrong[:3])
    many = {f"s{i}": str(i).encode() for i in range(500)}
    clients[0]("MSET", *[x for pair in many.items() for x in pair])
    check("what one sets all get",
          all(client("MGET", *many) == list(many.values())
              for client in clients))
    clients[1].send(b"".join(command("PEXPIRE", key, 30) for key in many))
    check_equal("and any may set a time",
                [clients[1].reply() for _ in many], [1] * len(many))
    check("when keys go, though nobody asks for them",
          within(20, lambda: clients[2]("DBSIZE") == 7),
          clients[2]("DBSIZE"))
    check_equal("FLUSHALL is for all",
                (clients[3]("FLUSHALL"), clients[4]("DBSIZE")), (OK, 0))
    for client in clients:
        client.socket.close()


#
# random: the same commands to a dict, and to a redis-server
#

class Model:
    """Times are 1000 seconds, so none is over while a case runs."""

    def __init__(self):
        self.values, self.timed = {}, set()

    def set(self, key, value, is_timed=False):
        self.values[key] = value
        self.timed.discard(key)
        if is_timed:
            self.timed.add(key)
        return OK

    def do_get(self, key):
        return self.values.get(key)

    def do_set(self, key, value, *options):
        old, words = self.values.get(key), [o.lower() for o in options]
        keep = "keepttl" in words and key in self.timed
        result = old if "get" in words else OK
        if ("nx" in words and old is not None) or \
           ("xx" in words and old is None):
            return old if "get" in words else None
        self.set(key, value, keep or "ex" in words or "px" in words)
        return result

    def do_setnx(self, key, value):
        return 0 if key in self.values else bool(self.set(key, value)) + 0

    def do_setex(self, key, _, value):
        return self.set(key, value, True)

    def do_getset(self, key, value):
        return self.do_set(key, value, "get")

    def do_getdel(self, key):
        old = self.values.get(key)
        self.do_del(key)
        return old

    def do_del(self, *keys):
        nr = 0
        for key in keys:
            nr += self.values.pop(key, None) is not None
            self.timed.discard(key)
        return nr

    def do_exists(self, *keys):
        return sum(key in self.values for key in keys)

    def do_mget(self, *keys):
        return [self.values.get(key) for key in keys]

    def do_mset(self, *pairs):
        for key, value in zip(pairs[::2], pairs[1::2]):
            self.set(key, value)
        return OK

    def do_append(self, key, more):
        self.values[key] = self.values.get(key, b"") + more
        return len(self.values[key])

    def do_strlen(self, key):
        return len(self.values.get(key, b""))

    def do_incrby(self, key, number):
        text = self.values.get(key, b"0")
        try:
            value = int(text)
        except ValueError:
            return NOT_INTEGER
        if str(value).encode() != text or not -2**63 <= value < 2**63:
            return NOT_INTEGER
        if not -2**63 <= value + number < 2**63:
            return OVERFLOW
        self.values[key] = str(value + number).encode()
        return value + number

    def do_decrby(self, key, number):
        return self.do_incrby(key, -number)

    def do_incr(self, key):
        return self.do_incrby(key, 1)

    def do_decr(self, key):
        return self.do_incrby(key, -1)

    def do_expire(self, key, seconds):
        if key not in self.values:
            return 0
        if seconds <= 0:
            self.do_del(key)
        else:
            self.timed.add(key)
        return 1

    def do_persist(self, key):
        had = key in self.timed
        self.timed.discard(key)
        return int(had)

    def do_ttl(self, key):
        if key not in self.values:
            return -2
        return 1000 if key in self.timed else -1

    def do_type(self, key):
        return "string" if key in self.values else "none"

    def do_dbsize(self):
        return len(self.values)

    def do_flushall(self):
        self.values.clear()
        self.timed.clear()
        return OK


def make_value(rng):
    kind = rng.randrange(4)
    if kind == 0:
        return str(rng.randrange(-10**6, 10**6)).encode()
    if kind == 1:
        return str(rng.choice([2**63 - 1, -2**63, 2**63, 2**62])).encode()
    if kind == 2:
        return rng.randbytes(rng.randrange(20))
    return rng.randbytes(rng.choice([40, 64, 300, 5000, 20000]))


def make_args(rng):
    """A command as the model takes it: name, and keys, values, numbers."""
    def key():
        return f"k{rng.randrange(12)}"

    def keys():
        return [key() for _ in range(rng.randrange(1, 6))]

    def options():
        time_of = [[], [], ["EX", 1000], ["px", 1000000], ["KEEPTTL"]]
        return (rng.choice([[], [], ["nx"], ["XX"]]) +
                rng.choice([[], [], ["GET"]]) + rng.choice(time_of))

    name = rng.choice(
        "get get get set set set set setnx setex getset getdel del exists "
        "mget mset append strlen incrby decrby incr decr expire persist ttl "
        "type dbsize".split() + (["flushall"] if rng.random() < .02 else []))
    if name in ("get", "getdel", "strlen", "incr", "decr", "persist", "ttl",
                "type"):
        return [name, key()]
    if name == "set":
        return [name, key(), make_value(rng)] + [
            o if isinstance(o, int) else o for o in options()]
    if name in ("setnx", "getset", "append"):
        return [name, key(), make_value(rng)]
    if name == "setex":
        return [name, key(), 1000, make_value(rng)]
    if name in ("del", "exists", "mget"):
        return [name] + keys()
    if name == "mset":
        return [name] + [x for k in keys() for x in (k, make_value(rng))]
    if name in ("incrby", "decrby"):
        return [name, key(), rng.choice([1, 7, -5, 2**62, -2**62])]
    if name == "expire":
        return [name, key(), rng.choice([1000, 1000, 1000, 0, -1])]
    return [name]


def model_answer(model, args):
    words = [str(a) if isinstance(a, int) and args[0] == "set" else a
             for a in args[1:]]
    return getattr(model, "do_" + args[0])(*words)


def is_same(args, got, wanted):
    if args[0] == "ttl" and wanted == 1000:
        return isinstance(got, int) and 900 < got <= 1000
    return got == wanted and type(got) is type(wanted)


def play(name, clients, seed, nr):
    rng, model = random.Random(seed), Model()
    for client in clients:
        client("FLUSHALL")
    done = 0
    while done < nr:
        batch = [make_args(rng) for _ in range(rng.choice([1, 2, 16, 300]))]
        wanted = [model_answer(model, args) for args in batch]
        data = b"".join(command(*args) for args in batch)
        for client in clients:
            client.send(data)
        for client in clients:
            for args, want in zip(batch, wanted):
                got = client.reply()
                if not is_same(args, got, want):
                    check(name, False, (seed, client is clients[0], args, got,
                                        want))
                    return
        done += len(batch)
    check(name, True)


def random_commands():
    with Client() as client:
        for seed in range(4):
            play(f"10,000 random commands do to it what they do to a dict "
                 f"({seed})", [client], seed, 10000)
        if OTHER is None:
            print("# left out: there is no redis-server to compare with")
            return
        with Client(OTHER) as other:
            play("and to redis-server", [client, other], 99, 20000)
            wrong = []
            for line, _ in COMMANDS:
                if line.split()[0] in ("hello", "config", "client"):
                    continue
                client.send(line.encode() + b"\r\n")
                other.send(line.encode() + b"\r\n")
                pair = client.reply(), other.reply()
                if pair[0] != pair[1]:
                    wrong.append((line, pair))
            check("redis-server answers all typed commands as we do",
                  not wrong, wrong)


GROUPS = {
    "commands": commands,
    "protocol": protocol,
    "greedy": greedy,
    "tight": tight,
    "stalled": stalled,
    "times": times,
    "memory": memory,
    "full": full,
    "shared": shared,
    "stopping": stopping,
    "random": random_commands,
}

try:
    GROUPS[GROUP]()
except (Ended, OSError) as error:
    check(f"goes on to its end: {error!r}", False)
sys.exit(failed)
