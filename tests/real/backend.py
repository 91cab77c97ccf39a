# SPDX-License-Identifier: BSD-2-Clause
"""
backend.py - what stands behind a proxy in these tests; it knows no libev.

  backend.py FOLDER

HTTP: GET gives the files of FOLDER, PUT answers with the SHA-256 of what came.
UDP, same port: each datagram comes back.  Prints the port when it is ready.
"""

import hashlib
import http.server
import socket
import sys
import threading


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def __init__(self, *arguments):
        super().__init__(*arguments, directory=sys.argv[1])

    def log_message(self, *_):
        pass

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = hashlib.sha256(body).hexdigest().encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


def echo(sock):
    while True:
        data, peer = sock.recvfrom(65536)
        sock.sendto(data, peer)


def both_ports():
    while True:
        server = Server(("127.0.0.1", 0), Handler)
        datagrams = socket.socket(type=socket.SOCK_DGRAM)
        try:
            datagrams.bind(server.server_address)
            return server, datagrams
        except OSError:
            server.server_close()
            datagrams.close()


http_server, udp = both_ports()
threading.Thread(target=echo, args=(udp,), daemon=True).start()
print(http_server.server_port, flush=True)
http_server.serve_forever()
