#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""
http-client.py - the example http as no browser would use it: bytes as they
should not come, clients that do not read, files that change while they are
sent.

http-client.py PORT PID ROOT GROUP...

PORT is the server's on 127.0.0.1, PID its process, ROOT what it serves (made
and filled by http.sh, changed here).  Prints a line for each promise; status 1
if any was broken.
"""
import os
import random
import re
import signal
import socket
import struct
import sys
import threading
import time

PORT, PID, ROOT = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
MODE = os.environ.get("MODE", "")
LIMIT = 30  # seconds, for what should come at once
failed = False


def check(what, ok, detail=""):
    global failed
    print("%sok - %s%s" % ("" if ok else "not ", MODE and MODE + ": ", what))
    if not ok:
        failed = True
        print("# got: %.400r" % (detail,))
    sys.stdout.flush()


def content(name):
    with open(os.path.join(ROOT, name), "rb") as f:
        return f.read()


class Client:
    """A connection, and the answers that come on it."""

    def __init__(self, rcvbuf=None):
        self.s = socket.socket()
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(LIMIT)
        self.s.connect(("127.0.0.1", PORT))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, data):
        self.s.sendall(data)

    def more(self):
        data = self.s.recv(65536)
        self.rest += data
        return bool(data)

    def answer(self, method="GET"):
        """(status, headers, body); None at the end of the stream."""
        while b"\r\n\r\n" not in self.rest:
            if not self.more():
                return None
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            headers[name.lower()] = value
        size = int(headers.get("content-length", "0"))
        if method == "HEAD" or status == 304:
            size = 0
        while len(self.rest) < size:
            if not self.more():
                return status, headers, self.rest
        body, self.rest = self.rest[:size], self.rest[size:]
        return status, headers, body

    def is_ended(self):
        """Nothing more comes."""
        try:
            return not self.rest and not self.more()
        except ConnectionResetError:
            return True

    def reset(self):
        self.s.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.s.close()


def get(path, *headers, method="GET", version="1.1"):
    lines = ["%s %s HTTP/%s" % (method, path, version), "Host: test"]
    return ("\r\n".join(lines + list(headers)) + "\r\n\r\n").encode("latin-1")


def ask(data, method="GET"):
    with Client() as c:
        c.send(data)
        return c.answer(method)


def status_of(data, method="GET"):
    answer = ask(data, method)
    return answer and answer[0]


def serves(name="small"):
    answer = ask(get("/" + name))
    return answer and answer[0] == 200 and answer[2] == content(name)


# ---- what is asked ----------------------------------------------------------


def forms():
    """One request, one answer; closed, or good for the next request."""
    small = content("small")
    long = "x" * 20000
    cases = [
        # what, request, status, whether the connection goes on
        ("a file", get("/small"), 200, True),
        ("an absolute target", get("http://test/small"), 200, True),
        ("an absolute target without a path", get("http://test"), 200, True),
        ("a query", get("/small?a=/../../b%00"), 200, True),
        ("encoded letters", get("/%73m%61ll"), 200, True),
        ("needless segments", get("//.//dir/../small"), 200, True),
        ("a directory", get("/dir/"), 200, True),
        ("a directory without its slash", get("/dir"), 301, True),
        ("a directory without index", get("/bare/"), 404, True),
        ("a slash behind a file", get("/small/"), 404, True),
        ("a name that is not there", get("/none"), 404, True),
        ("a name of 300 bytes", get("/" + "n" * 300), 404, True),
        ("a path of 5000 bytes", get("/" + "n/" * 2500), 404, True),
        ("a link within", get("/dir/inner"), 200, True),
        ("a link that leads out", get("/outer"), 403, True),
        ("a link to a directory outside", get("/outside/secret"), 403, True),
        ("a link to itself", get("/loop"), 403, True),
        ("a FIFO", get("/fifo"), 403, True),
        ("a socket", get("/socket"), 403, True),
        ("an empty file", get("/empty"), 200, True),
        ("HTTP/1.0", get("/small", version="1.0"), 200, False),
        (
            "HTTP/1.0 with keep-alive",
            get("/small", "Connection: keep-alive", version="1.0"),
            200,
            True,
        ),
        ("Connection: close", get("/small", "Connection: close"), 200, False),
        (
            "an upgrade to another protocol",
            get("/small", "Connection: Upgrade", "Upgrade: h2c"),
            200,
            True,
        ),
        ("empty lines before", b"\r\n\r\n" + get("/small"), 200, True),
        # refused
        ("no host", b"GET / HTTP/1.1\r\n\r\n", 400, False),
        ("two hosts", get("/small", "Host: b"), 400, False),
        ("a target without slash", get("small"), 400, False),
        ("NUL in the path, encoded", get("/small%00"), 400, True),
        ("NUL in the path", get("/sm\0all"), 400, False),
        ("a percent sign alone", get("/%"), 400, True),
        ("half an encoded byte", get("/small%7"), 400, True),
        ("not a hexadecimal number", get("/%zz"), 400, True),
        ("POST", get("/small", "Content-Length: 3", method="POST") + b"abc",
         405, True),
        ("OPTIONS *", get("*", method="OPTIONS"), 405, True),
        ("DELETE", get("/small", method="DELETE"), 405, True),
        ("CONNECT", get("test:80", method="CONNECT"), 405, False),
        ("an unknown method", get("/small", method="FOO"), 501, False),
        ("no HTTP", b"hello\r\n\r\n", 501, False),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 501, False),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None, False),
        ("HTTP/3.0", get("/", version="3.0"), 505, False),
        ("a long target", get("/" + long), 414, False),
        ("a long header", get("/", "X: " + long), 431, False),
        ("many headers", get("/", *["A: b"] * 5000), 431, False),
        ("a long header's name", get("/", long + ": x"), 431, False),
        # bodies
        ("a body that is not wanted",
         get("/small", "Content-Length: 5") + b"12345", 200, True),
        ("a chunked body",
         get("/small", "Transfer-Encoding: chunked") +
         b"3\r\nabc\r\n5;x=y\r\n12345\r\n0\r\nTrailer: x\r\n\r\n", 200, True),
        ("what looks like headers behind a body",
         get("/small", "Transfer-Encoding: chunked") +
         b"0\r\nIf-None-Match: *\r\nRange: bytes=0-0\r\n\r\n", 200, True),
        ("more of it than a head may be long",
         get("/small", "Transfer-Encoding: chunked") + b"0\r\n" +
         b"Range:\r\n" * 8200 + b"Range: " + b"x" * 9000 + b"\r\n\r\n",
         200, True),
        ("chunks that are mostly parameters",
         get("/small", "Transfer-Encoding: chunked") +
         (b"1;" + b"x" * 60 + b"\r\na\r\n") * 20000, 413, False),
        ("a body of 1 MB", get("/small", "Content-Length: 1000000"),
         413, False),
        ("a huge Content-Length",
         get("/small", "Content-Length: 18446744073709551615"), None, False),
        ("a Content-Length beyond 64 bits",
         get("/small", "Content-Length: 99999999999999999999999"), 400, False),
        ("a negative Content-Length", get("/small", "Content-Length: -1"),
         400, False),
        ("a long chunked body",
         get("/small", "Transfer-Encoding: chunked") +
         b"10000\r\n" + b"x" * 65536 + b"\r\n1\r\nx\r\n", 413, False),
        ("a huge chunk",
         get("/small", "Transfer-Encoding: chunked") +
         b"fffffffffffffffff\r\nx", 400, False),
        ("an unknown encoding",
         get("/small", "Transfer-Encoding: gzip"), 501, False),
        ("Expect: 100-continue",
         get("/small", "Content-Length: 5", "Expect: 100-continue"),
         417, False),
        # smuggling
        ("a length and chunks",
         get("/small", "Content-Length: 3", "Transfer-Encoding: chunked") +
         b"0\r\n\r\n", 400, False),
        ("two lengths",
         get("/small", "Content-Length: 3", "Content-Length: 4") + b"abcd",
         400, False),
        ("a blank before the colon", get("/small", "Content-Length : 3"),
         400, False),
        ("an encoding said twice",
         get("/small", "Transfer-Encoding: chunked",
             "Transfer-Encoding: identity"), None, False),
    ]
    for what, request, want, goes_on in cases:
        with Client() as c:
            c.send(request)
            method = "HEAD" if request.startswith(b"HEAD") else "GET"
            answer = c.answer(method)
            status = answer and answer[0]
            ok = status == want or (want is None and status in (400, 413, 501, 505))
            check("%s: %s" % (what, want or "refused"), ok, answer)
            if goes_on:
                c.send(get("/small"))
                answer = c.answer()
                check("  and the connection goes on behind it: " + what,
                      answer and answer[0] == 200 and answer[2] == small,
                      answer)
            else:
                c.s.shutdown(socket.SHUT_WR)
                check("  and the connection is closed",
                      c.is_ended(), c.rest)


def traversal():
    secret = "%s-outside/secret" % ROOT
    ups = ["..", "%2e%2e", ".%2e", "%2E.", "..;", "%252e%252e", "..%00",
           "%c0%ae%c0%ae", "..\\", "%5c..", "....", ".%2e%2f..", "..%2f.."]
    bad = []
    for up in ups:
        for slash in ("/", "%2f", "%2F", "//", "\\", "%5c"):
            for depth in (1, 2, 8):
                for tail in (secret, "etc/passwd", "secret"):
                    path = "/" + (up + slash) * depth + tail.lstrip("/")
                    for p in (path, "/dir" + path, "http://t" + path):
                        answer = ask(get(p))
                        if not answer or answer[0] not in (400, 403, 404):
                            bad.append((p, answer))
    check("no way of writing \"..\" leads out", not bad, bad[:3])
    answer = ask(get("//evil.example/%2e./dir"))
    check("a redirection stays on this server",
          answer[0] == 404 or
          re.match("/[^/]", answer[1].get("location", "/x")), answer)
    answer = ask(get("//dir"))
    check("and so does one of a directory",
          answer[0] == 301 and answer[1]["location"] == "/dir/", answer)
    answer = ask(get("/sp%20ace%22"))
    check("and is encoded",
          answer[0] == 301 and answer[1]["location"] == "/sp%20ace%22/",
          answer)


def conditions():
    small = content("small")
    size = len(small)
    _, headers, _ = ask(get("/small"))
    tag, date = headers["etag"], headers["last-modified"]
    old, new = "Thu, 01 Jan 1970 00:00:01 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    cases = [
        (["If-Modified-Since: " + date], 304),
        (["If-Modified-Since: " + new], 304),
        (["If-Modified-Since: " + old], 200),
        (["If-Modified-Since: Thu Jan  1 00:00:01 1970"], 200),
        (["If-Modified-Since: Monday, 01-Jan-01 00:00:01 GMT"], 200),
        (["If-Modified-Since: Fri Jan  1 00:00:00 2100"], 304),
        (["If-Modified-Since: yesterday"], 200),
        (["If-Modified-Since:"], 200),
        (["If-Modified-Since: " + date + "x"], 200),
        (["If-None-Match: " + tag], 304),
        (["If-None-Match: W/" + tag], 304),
        (["If-None-Match: \"a\", W/\"b\" ,," + tag + ", \"c\""], 304),
        (["If-None-Match: *"], 304),
        (["If-None-Match: \"a\""], 200),
        (["If-None-Match: \"a\"", "If-Modified-Since: " + date], 200),
        (["If-None-Match: " + tag[:-1]], 200),
        (["If-None-Match: \""], 200),
        (["If-Match: " + tag], 200),
        (["If-Match: *"], 200),
        (["If-Match: W/" + tag], 412),
        (["If-Match: \"a\""], 412),
        (["If-Unmodified-Since: " + date], 200),
        (["If-Unmodified-Since: " + old], 412),
    ]
    for extra, want in cases:
        with Client() as c:
            c.send(get("/small", *extra) + get("/empty"))
            answer, second = c.answer(), c.answer()
        body = small if want == 200 else answer[2]
        check("%s: %d" % (", ".join(extra).replace(tag, "TAG"), want),
              answer[0] == want and answer[2] == body and second[0] == 200,
              answer)
        if want == 304:
            check("  without a body, with a tag",
                  "content-length" not in answer[1] and
                  answer[1].get("etag") == tag, answer)

    huge = "9" * 40
    ranges = [
        ("0-0", 0, 1), ("0-9", 0, 10), ("5-", 5, size - 5),
        ("-7", size - 7, 7), ("-%s" % huge, 0, size),
        ("0-%s" % huge, 0, size), ("%d-" % (size - 1), size - 1, 1),
        ("%d-" % size, 416, 0), ("%s-" % huge, 416, 0),
        ("%s-%s" % (huge, huge), 416, 0), ("-0", 416, 0),
        ("9-5", 200, 0), ("a-b", 200, 0), ("1-2,3-4", 200, 0), ("", 200, 0),
        ("-", 200, 0), ("1", 200, 0), ("--5", 200, 0), ("1-2-3", 200, 0),
        ("18446744073709551615-18446744073709551616", 416, 0),
    ]
    for text, first, nr in ranges:
        answer = ask(get("/small", "Range: bytes=" + text))
        if nr:
            ok = (answer[0] == 206 and answer[2] == small[first:first + nr] and
                  answer[1]["content-range"] ==
                  "bytes %d-%d/%d" % (first, first + nr - 1, size))
        elif first == 416:
            ok = (answer[0] == 416 and
                  answer[1]["content-range"] == "bytes */%d" % size)
        else:
            ok = answer[0] == 200 and answer[2] == small
        check("Range: bytes=%.50s" % text, ok, answer)
    big = content("big")
    answer = ask(get("/big", "Range: bytes=65535-1000000"))
    check("a range of a large file",
          answer[0] == 206 and answer[2] == big[65535:1000001],
          answer[:2])
    answer = ask(get("/empty", "Range: bytes=0-"))
    check("a range of nothing: 416", answer[0] == 416, answer)
    answer = ask(get("/small", "Range: lines=1-2"))
    check("a range of lines is all", answer[0] == 200, answer)
    answer = ask(get("/small", "Range: bytes=0-1", method="HEAD"), "HEAD")
    check("HEAD has no range",
          answer[0] == 200 and answer[1]["content-length"] == str(size),
          answer)
    for value, want in ((tag, 206), (date, 206), (old, 200), (new, 200),
                        ("\"a\"", 200), ("W/" + tag, 200)):
        answer = ask(get("/small", "Range: bytes=0-1", "If-Range: " + value))
        check("If-Range: %s: %d" % (value.replace(tag, "TAG"), want),
              answer[0] == want, answer)


# ---- how it comes -----------------------------------------------------------


def pieces():
    request = get("/dir/../small", "Range: bytes=3-8", "X:", "Y: z ",
                  "If-Range:   \"a\"  ") + get("/empty")
    want = None
    bad = []
    for at in range(len(request)):
        with Client() as c:
            c.send(request[:at])
            if at % 8 == 0:
                time.sleep(0.002)
            c.send(request[at:])
            first, second = c.answer(), c.answer()
            for answer in (first, second):
                answer[1].pop("date")
            want = want or (first, second)
            if (first, second) != want or first[0] != 200:
                bad.append((at, first, second))
    check("a request may come in two pieces, cut anywhere", not bad, bad[:2])
    with Client() as c:
        for i in range(len(request)):
            c.send(request[i:i + 1])
        first, second = c.answer(), c.answer()
        check("or byte by byte", first[0] == 200 and second[0] == 200, first)


def pipeline():
    names = ["small", "none", "big", "dir/", "empty", "middle", "dir"]
    wants = {n: content(n) for n in ("small", "big", "empty", "middle")}
    with Client() as c:
        c.send(b"".join(get("/" + n) for n in names * 15))
        bad = []
        for n in names * 15:
            answer = c.answer()
            if not answer or (n in wants and answer[2] != wants[n]):
                bad.append((n, answer and answer[:2]))
                break
        check("105 requests in one packet are answered in their order",
              not bad, bad)
        c.s.shutdown(socket.SHUT_WR)
        check("and the end is seen behind them", c.is_ended(), c.rest)
    with Client() as c:
        c.send(b"".join(get("/small") for n in range(5000)))
        bad = [i for i in range(5000) if c.answer()[2] != wants["small"]]
        check("5000 are, too", not bad, bad[:5])
    with Client() as c:
        c.send(get("/big") + get("/small", "Connection: close") + get("/dir"))
        c.s.shutdown(socket.SHUT_WR)
        answers = c.answer(), c.answer()
        check("a client that has said all gets all until it asked to close",
              answers[0][2] == wants["big"] and
              answers[1][2] == wants["small"] and c.is_ended(), c.rest)
    with Client() as c:
        c.send(get("/small", method="HEAD") + get("/none", method="HEAD") +
               get("/big", method="HEAD") + get("/small"))
        answers = [c.answer("HEAD") for i in range(3)] + [c.answer()]
        check("HEAD has no body",
              [a[0] for a in answers] == [200, 404, 200, 200] and
              answers[2][1]["content-length"] == str(len(wants["big"])) and
              answers[3][2] == wants["small"], answers[:3])


def reads_all(c, size):
    total = 0
    try:
        while total < size:
            data = c.s.recv(65536)
            if not data:
                break
            total += len(data)
    except ConnectionResetError:
        pass
    return total


def slow():
    """The server has --header-timeout 1 and --idle 1.5."""
    start = time.monotonic()
    with Client() as c:
        try:
            for b in get("/small", "X: " + "x" * 1000):
                c.send(bytes([b]))
                time.sleep(0.1)
                if time.monotonic() - start > LIMIT:
                    break
        except (BrokenPipeError, ConnectionResetError):
            pass
        lasted = time.monotonic() - start
        check("a head that comes byte by byte is cut off", lasted < LIMIT,
              lasted)
        check("but not before its time", lasted > 0.9, lasted)
    with Client() as c:
        c.send(get("/small")[:20])
        answer = c.answer()
        check("half a head is answered by 408",
              answer and answer[0] == 408 and c.is_ended(), answer)
    with Client() as c:
        check("one who says nothing is cut off", c.is_ended())
    with Client() as c:
        c.send(get("/small"))
        c.answer()
        start = time.monotonic()
        ended = c.is_ended()
        lasted = time.monotonic() - start
        check("one who says nothing more is, too", ended)
        check("but has the time to", lasted > 1, lasted)
    for _ in range(5):
        with Client() as c:
            good = True
            for i in range(12):
                c.send(get("/small"))
                answer = c.answer()
                good = good and answer and answer[0] == 200
                time.sleep(0.2)
        if good:
            break
    check("one who talks is not", good)
    with Client(rcvbuf=4096) as c:
        c.send(get("/huge") * 20)
        start = time.monotonic()
        while time.monotonic() - start < 4:
            if not serves() or not serves("big"):
                check("others are served beside one who reads nothing", False)
            time.sleep(0.2)
        total = reads_all(c, 20 * (8 << 20))
        check("who reads nothing is cut off", total < 20 * (8 << 20), total)
    check("others were served meanwhile", serves())
    for _ in range(3):
        with Client(rcvbuf=65536) as c:
            c.send(get("/huge"))
            got = 0
            start = time.monotonic()
            while time.monotonic() - start < 4:
                got += len(c.s.recv(16384))
                time.sleep(0.02)
            got += reads_all(c, 8 << 20)
        if got > 8 << 20:
            break
    check("who reads slowly gets all", got > 8 << 20, got)


def greedy():
    """Many requests, nothing read: bounded memory."""
    def rss():
        with open("/proc/%d/status" % PID) as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    serves("huge")
    clients = []
    before = rss()
    for i in range(50):
        c = Client(rcvbuf=4096)
        c.s.settimeout(0.2)
        try:
            for _ in range(20):
                c.send(get("/huge") * 200)
        except (socket.timeout, ConnectionError):
            pass
        c.s.settimeout(LIMIT)
        clients.append(c)
    time.sleep(0.5)
    grown = rss() - before
    check("clients that ask for much and read nothing get little memory",
          grown < 64 * 1024 or "SANITIZED" in os.environ, grown)
    check("and hold up nobody", serves() and serves("big"))
    for c in clients:
        c.reset()
    check("nor when they go", serves())


def load():
    """Many short requests, on connections of more than one worker."""
    nr, bad = 5000, []

    def one():
        got = tail = b""
        count = 0
        with Client() as c:
            feeder = threading.Thread(
                target=c.send, args=(get("/small") * nr,)
            )
            feeder.start()
            while count < nr:
                got = c.s.recv(65536)
                if not got:
                    break
                # one that is split is counted with what follows
                count += (tail + got).count(b"HTTP/1.1 200")
                tail = got[-11:]
            feeder.join()
        if count != nr:
            bad.append(count)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check("%d requests on 8 connections" % (8 * nr), not bad, bad)


def content_bytes():
    """What the statistics say, which http.sh has put beside the root."""
    def texts():
        with open(os.path.join(ROOT, "..", "err")) as f:
            return f.read().split("stats: end\n")

    before = len(texts())
    os.kill(PID, signal.SIGUSR1)
    within(lambda: len(texts()) > before)
    return int(re.findall(r"^content_bytes: (\d+)", texts()[-2], re.M)[-1])


def pinned():
    """Content that is being sent has the same limit: --cache-bytes 1M."""
    names = ["pin%d" % i for i in range(60)]
    for name in names:
        write(name, b"x" * 262144)
    clients, most = [], 0
    for k in range(6):
        c = Client(rcvbuf=2048)
        # more than the kernel takes, so that some of the files are waiting
        c.send(b"".join(get("/" + names[(10 * k + i) % 60],
                            "Range: bytes=0-20000") for i in range(400)))
        clients.append(c)
    for _ in range(10):
        most = max(most, content_bytes())
        time.sleep(0.05)
    check("content that waits to be sent is within the limit",
          0 < most <= 1 << 20, most)
    check("and the rest is served all the same", serves() and serves("pin59"))
    for c in clients:
        c.reset()


def hoarders():
    """Clients that keep a worker's buffers busy: --workers 1 --buffers 16."""
    clients = []
    for _ in range(8):
        c = Client(rcvbuf=4096)
        c.send(get("/huge"))
        clients.append(c)
    for _ in range(25):
        for c in clients:
            c.send(b"G")
        time.sleep(0.02)
    check("clients that keep buffers busy hold up nobody", serves())
    for c in clients:
        c.reset()


# ---- files that change ------------------------------------------------------


def write(name, data):
    with open(os.path.join(ROOT, name), "wb") as f:
        f.write(data)


def becomes(name, want):
    """The server learns of a change after --cache-seconds."""
    start = time.monotonic()
    while time.monotonic() - start < LIMIT:
        answer = ask(get("/" + name))
        got = answer[2] if answer[0] == 200 else answer[0]
        if got == want:
            return True
        time.sleep(0.1)
    return False


def changes():
    path = os.path.join(ROOT, "changing")
    write("changing", b"one")
    check("a new file is there", becomes("changing", b"one"))
    write("changing", b"two")
    check("a file that is written anew, of the same size",
          becomes("changing", b"two"))
    write("changing.new", b"three")
    os.rename(path + ".new", path)
    check("another file in its place", becomes("changing", b"three"))
    os.utime(path, (1000000000, 1000000000))
    check("another date",
          becomes("changing", b"three") and
          ask(get("/changing"))[1]["last-modified"] and
          within(lambda: ask(get("/changing"))[1]["last-modified"] ==
                 "Sun, 09 Sep 2001 01:46:40 GMT"))
    os.unlink(path)
    check("no file in its place", becomes("changing", 404))
    os.mkdir(path)
    check("a directory in its place", becomes("changing", 301))
    os.rmdir(path)
    os.mkfifo(path)
    check("a FIFO in its place", becomes("changing", 403))
    check("does not hold up others", serves())
    os.unlink(path)
    os.symlink("/etc/passwd", path)
    check("a link out in its place", becomes("changing", 403))
    os.unlink(path)

    size = 64 << 20
    with open(path, "wb") as f:
        f.truncate(size)
    time.sleep(1.2)  # another worker may know the name still
    with Client(rcvbuf=65536) as c:
        c.send(get("/changing"))
        total = len(c.s.recv(1000))
        os.truncate(path, 20 << 20)
        total += reads_all(c, size)
        check("a file that shrinks while it is sent ends the connection",
              total < size, total)
    check("and nothing else", serves())
    with open(path, "wb") as f:
        f.truncate(size)
    time.sleep(1.2)
    with Client(rcvbuf=65536) as c:
        c.send(get("/changing"))
        total = len(c.s.recv(1000))
        os.unlink(path)
        total += reads_all(c, size - total)
        check("a file that vanishes while it is sent is sent", total >= size,
              total)


def within(is_so):
    start = time.monotonic()
    while time.monotonic() - start < LIMIT:
        if is_so():
            return True
        time.sleep(0.05)
    return False


def forbidden():
    """The server is not root."""
    path = os.path.join(ROOT, "forbidden")
    write("forbidden", b"x")
    os.chmod(path, 0)
    check("a file that may not be read: 403",
          status_of(get("/forbidden")) == 403)
    os.chmod(path, 0o644)
    check("and may be then", becomes("forbidden", b"x"))
    os.unlink(path)


# ---- ends -------------------------------------------------------------------


def resets():
    for request in (get("/huge"), get("/big"), get("/none"), get("/small"),
                    get("/small")[:10], b""):
        for delay in (0, 0.001, 0.01):
            for read in (0, 1, 100000):
                c = Client()
                c.send(request * 3)
                if read and b"huge" in request:
                    c.s.recv(read)
                time.sleep(delay)
                c.reset()
    check("connections may be reset at any time", serves())
    for i in range(20):
        c = Client()
        c.send(get("/huge"))
        c.s.close()
    check("or be closed with data unread", serves())


def noise():
    """The same on each run."""
    dice = random.Random(5)
    words = [b"GET ", b"HEAD ", b"POST ", b"/small", b"/big", b"/", b"..",
             b"%2e", b"%", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r",
             b"Host: a\r\n", b"Range: bytes=", b"0-5", b"-", b"\0", b"\xff",
             b"Content-Length: 10\r\n", b"Transfer-Encoding: chunked\r\n",
             b"If-None-Match: ", b"\"", b"*", b":", b" ", b"\t", b"0\r\n\r\n",
             b"Connection: close\r\n", b"a" * 300, b"Expect: x\r\n"]
    good = get("/small", "Range: bytes=1-2") + get("/dir")
    for i in range(1500):
        if i % 2:
            data = b"".join(dice.choices(words, k=dice.randrange(30)))
        else:
            data = bytearray(good)
            for _ in range(dice.randrange(1, 4)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            data = bytes(data)
        c = Client()
        try:
            c.send(data)
            c.s.shutdown(socket.SHUT_WR)
            c.s.settimeout(5)
            while c.s.recv(65536):
                pass
        except (ConnectionError, OSError) as e:
            if isinstance(e, socket.timeout):
                check("every connection ends", False, data)
        c.s.close()
    check("1500 connections full of noise do no harm", serves())


def crowd():
    """Many at once, each with its own pace."""
    wants = {n: content(n) for n in ("small", "big", "middle", "empty")}
    bad = []

    def one(seed):
        dice = random.Random(seed)
        try:
            with Client(rcvbuf=dice.choice([32768, 131072, None])) as c:
                for _ in range(6):
                    names = dice.choices(list(wants), k=dice.randrange(1, 6))
                    c.send(b"".join(get("/" + n) for n in names))
                    for n in names:
                        if c.answer()[2] != wants[n]:
                            bad.append(n)
        except Exception as e:
            bad.append(repr(e))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check("40 clients at once get what they asked for", not bad, bad[:3])


def main():
    for name in sys.argv[4:]:
        globals()[name]()
    return failed


sys.exit(main())
