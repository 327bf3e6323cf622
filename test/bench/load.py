"""The load of the benchmarks: requests from as many clients as wanted at once, at as little cost as the kernel allows.

Reads one JSON object from stdin and writes one to stdout. A body goes from the file to the socket by sendfile; what comes
back is received into 1 MiB of memory that begins at the border of a page, and forgotten, so that on a machine with few cores the
time that is measured is mostly that of the server. Every peer gets its bytes from this program.

  {"port": N, "clients": [[request, ...], ...]}
  request: {"method", "target", "headers": {}, "body": {"path", "offset", "length"} or {"text"},
            "expect": [status, ...], "save": {"name": "json.FIELD" or "header.NAME"}, "digest": true, "discard": true}

A client sends its requests one after the other over one connection. {name} in a target or a text stands for what an
earlier request of the same client saved. "digest" answers the SHA-512 of the body. "discard" throws the body away inside the
kernel (MSG_TRUNC), where nobody ever reads it: no client does that (docs/decisions/0090-clients-that-receive.md).

  {"command": [word, ...]} runs a command to its end instead.

Answers {"seconds", "clients": [{"requests": [{"seconds", "firstByte", "bytes", "sha512", and what was saved}]}]}, or for a command
{"seconds", "cpuSeconds", "peakRss", "output"}. What goes wrong ends it with a message and an exit code.
"""

import hashlib
import json
import mmap
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import time

DISCARD = bytearray(4 * 1024 * 1024)
PIECE = 1024 * 1024


class Client:
    def __init__(self, port, requests):
        self.port = port
        self.requests = requests
        self.saved = {}
        self.results = []
        self.failure = None
        self.socket = None
        self.rest = b""
        self.memory = memoryview(mmap.mmap(-1, PIECE))

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(True)

    def run(self):
        try:
            for request in self.requests:
                self.results.append(self.exchange(request))
        except Exception as error:  # noqa: BLE001: the main thread tells of it
            self.failure = error
        finally:
            self.socket.close()

    def exchange(self, request):
        started = time.perf_counter()
        target = self.fill(request["target"])
        body = request.get("body")
        text = self.fill(body["text"]).encode() if body and "text" in body else b""
        length = body["length"] if body and "length" in body else len(text)
        lines = ["%s %s HTTP/1.1" % (request["method"], target), "Host: 127.0.0.1:%d" % self.port]
        lines += ["%s: %s" % pair for pair in request.get("headers", {}).items()]
        if body:
            lines.append("Content-Length: %d" % length)
        head = ("\r\n".join(lines) + "\r\n\r\n").encode() + text
        has_file = body is not None and "path" in body
        self.socket.sendall(head, socket.MSG_MORE if has_file else 0)
        cut = False
        if has_file:
            try:
                self.send_file(body["path"], body["offset"], length)
            except ConnectionError:
                # Refused before the end of the body: the reply says why.
                cut = True
        status, headers = self.read_head()
        first_byte = time.perf_counter() - started
        result = {"firstByte": first_byte}
        content = b""
        if request.get("digest"):
            sha512 = hashlib.sha512()
            result["bytes"] = self.read_body(headers, sha512.update)
            result["sha512"] = sha512.hexdigest()
        elif cut or status >= 300 or "save" in request:
            parts = []
            result["bytes"] = self.read_body(headers, parts.append)
            content = b"".join(parts)
        else:
            result["bytes"] = self.read_body(headers, discard=request.get("discard", False))
        result["seconds"] = time.perf_counter() - started
        if cut or status not in request.get("expect", [200]):
            raise RuntimeError("%s %s answered %d %r" % (request["method"], target, status, content[:500]))
        for name, where in request.get("save", {}).items():
            kind, field = where.split(".", 1)
            value = headers[field] if kind == "header" else str(json.loads(content)[field])
            self.saved[name] = re.sub(r"^https?://[^/]*", "", value)
            result[name] = self.saved[name]
        return result

    def fill(self, text):
        return re.sub(r"\{(\w+)\}", lambda found: self.saved[found[1]], text)

    def send_file(self, path, offset, length):
        with open(path, "rb") as source:
            end = offset + length
            while offset < end:
                # A body may be longer than the file: the file is then sent again from its beginning.
                at = offset % os.fstat(source.fileno()).st_size
                sent = os.sendfile(self.socket.fileno(), source.fileno(), at, min(end - offset, 1 << 30))
                if sent == 0:
                    raise RuntimeError("the file ended at %d" % offset)
                offset += sent

    def read_head(self):
        data = self.rest
        while b"\r\n\r\n" not in data:
            part = self.socket.recv(PIECE if len(data) else 4096)
            if not part:
                raise RuntimeError("the connection ended before a reply: %r" % data[:200])
            data += part
        head, self.rest = data.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.split(":", 1) for line in lines]
        return int(first.split(" ")[1]), {name.strip().lower(): value.strip() for name, value in pairs}

    def read_body(self, headers, take=None, discard=False):
        """Hands the body to `take` piece by piece, or forgets it, and tells its length."""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self.read_chunks(take)
        length = int(headers.get("content-length", 0))
        first, self.rest = self.rest[:length], self.rest[length:]
        if take:
            take(first)
        got = len(first)
        while got < length:
            if discard:
                count = self.socket.recv_into(DISCARD, min(len(DISCARD), length - got), socket.MSG_TRUNC)
            else:
                count = self.socket.recv_into(self.memory, min(PIECE, length - got))
                if take:
                    take(bytes(self.memory[:count]))
            if count == 0:
                raise RuntimeError("the body ended after %d of %d bytes" % (got, length))
            got += count
        return got

    def read_chunks(self, take):
        got = 0
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            content = self.read_exactly(size)
            if take:
                take(content)
            got += size
            self.read_until(b"\r\n")
            if size == 0:
                return got

    def read_until(self, mark):
        while mark not in self.rest:
            part = self.socket.recv(65536)
            if not part:
                raise RuntimeError("the connection ended inside a body")
            self.rest += part
        found, self.rest = self.rest.split(mark, 1)
        return found

    def read_exactly(self, size):
        while len(self.rest) < size:
            part = self.socket.recv(65536)
            if not part:
                raise RuntimeError("the connection ended inside a body")
            self.rest += part
        found, self.rest = self.rest[:size], self.rest[size:]
        return found


def load(spec):
    clients = [Client(spec["port"], requests) for requests in spec["clients"]]
    for client in clients:
        client.connect()
    threads = [threading.Thread(target=client.run) for client in clients]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    for client in clients:
        if client.failure:
            raise client.failure
    return {"seconds": seconds, "clients": [{"requests": client.results} for client in clients]}


def command(words):
    started = time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError("%s ended with %d: %s" % (" ".join(words), done.returncode, done.stdout[-500:]))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": seconds,
        "cpuSeconds": used.ru_utime + used.ru_stime,
        "peakRss": used.ru_maxrss * 1024,
        "output": done.stdout,
    }


def main():
    spec = json.load(sys.stdin)
    try:
        print(json.dumps(command(spec["command"]) if "command" in spec else load(spec)))
    except Exception as error:  # noqa: BLE001: in words, for whoever started the benchmark
        sys.exit("%s: %s" % (type(error).__name__, error))


main()
