"""
A running Holdfast server and the official Shaken Fist client, unmodified, talking to it. With TEST_NODES=3 the server is
three nodes behind nginx.
"""
import json
import os
import pathlib
import random
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from shakenfist_client import apiclient

ROOT = pathlib.Path(__file__).resolve().parents[2]
NODE = os.environ.get('TEST_NODE', str(ROOT / 'node_modules/.bin/node'))
SF_CLIENT = str(pathlib.Path(sys.executable).parent / 'sf-client')


CLAIMS = []


def free_port():
    """A port that nobody else takes while this process runs: the rule of test/support/ports.ts."""
    while True:
        port = random.randrange(14000, 32000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind('\0holdfast-test-port-%d' % port)
            with socket.socket() as probe:
                probe.bind(('127.0.0.1', port))
        except OSError:
            claim.close()
            continue
        CLAIMS.append(claim)
        return port


NODES = int(os.environ.get('TEST_NODES', '1'))
PROGRAM = ['packages/server/src/main.js'] if NODES == 1 else ['scripts/start-nodes.ts', '--nodes', str(NODES)]


class Server:
    """One server on a data directory of its own."""

    def __init__(self, data_dir, **settings):
        self.data_dir = pathlib.Path(data_dir)
        self.port = free_port()
        self.settings = settings
        self.process = None
        self.database_name = None
        self.blob_prefix = 'interop-' + secrets.token_hex(12)

    def start(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith('HOLDFAST_')}
        env.update(HOLDFAST_LISTEN='127.0.0.1:%d' % self.port, HOLDFAST_DATA_DIR=str(self.data_dir),
                   HOLDFAST_NODE_NAME='node-1', HOLDFAST_LOG_LEVEL='warn',
                   **self.database(), **self.blobs(), **self.settings)
        self.log = open(str(self.data_dir) + '.log', 'a')
        self.process = subprocess.Popen([NODE, *PROGRAM], cwd=ROOT, env=env, start_new_session=True,
                                        stdout=self.log, stderr=self.log)
        deadline = time.time() + 60 * NODES
        while True:
            try:
                urllib.request.urlopen(self.url + '/readyz', timeout=1)
                self.key
                break
            except OSError:
                if time.time() > deadline or self.process.poll() is not None:
                    raise RuntimeError(open(self.log.name).read())
                time.sleep(0.05)
        return self

    def database(self):
        """Settings for a database of this store's own, where the tests are told of a PostgreSQL; see test/support."""
        admin = os.environ.get('TEST_POSTGRES_URL')
        if not admin:
            return {}
        if self.database_name is None:
            self.database_name = 'interop_' + secrets.token_hex(12)
            subprocess.run(['psql', '-qAt', '-v', 'ON_ERROR_STOP=1', admin, '-c',
                            'CREATE DATABASE %s TEMPLATE template0' % self.database_name], check=True)
        return {'HOLDFAST_DATABASE_URL': '%s/%s' % (admin.rsplit('/', 1)[0], self.database_name)}

    def blobs(self):
        """Settings for blobs under a prefix of this store's own, where the tests are told of an S3 server."""
        endpoint = os.environ.get('TEST_S3_URL')
        if not endpoint:
            return {}
        return {'AWS_ACCESS_KEY_ID': 'test:tester', 'AWS_SECRET_ACCESS_KEY': 'testing', 'HOLDFAST_S3_PATIENCE': '5',
                'HOLDFAST_BLOB_STORE': 's3://holdfast/%s' % self.blob_prefix, 'HOLDFAST_S3_ENDPOINT': endpoint}

    def stop(self, sig=signal.SIGTERM):
        if sig == signal.SIGKILL:
            os.killpg(self.process.pid, sig)
        else:
            self.process.send_signal(sig)
        self.process.wait(timeout=40)

    @property
    def url(self):
        return 'http://127.0.0.1:%d' % self.port

    @property
    def key(self):
        return json.loads((self.data_dir / 'client.json').read_text())['key']

    def client(self, namespace='system', key=None):
        return apiclient.Client(base_url=self.url, namespace=namespace, key=key or self.key,
                                suppress_configuration_lookup=True, async_strategy=apiclient.ASYNC_PAUSE)

    def rss_peak(self):
        """Peak resident memory of the server process so far, in MiB; of the largest one, where there are nodes."""
        return max(int(line.split()[1]) for line in self.status_lines('VmHWM')) / 1024

    def memory_now(self):
        """What is resident now, and by how many threads: to be told with a peak that is too high."""
        return ', '.join(' '.join(line.split()) for line in self.status_lines('RssAnon', 'RssFile', 'Threads'))

    def status_lines(self, *names):
        """The lines with these names of what the system tells about the process, or about each of the nodes."""
        me = '/proc/%d' % self.process.pid
        nodes = pathlib.Path('%s/task/%d/children' % (me, self.process.pid)).read_text().split() if NODES > 1 else []
        statuses = [pathlib.Path(p, 'status').read_text() for p in ['/proc/' + n for n in nodes] or [me]]
        return [line for s in statuses for line in s.splitlines() if line.startswith(names)]


class Cli:
    """`sf-client` as a person runs it, in one namespace; its output is never larger than a limit."""

    def __init__(self, server, home, namespace='system', key=None):
        self.server, self.home = server, home
        self.namespace, self.key = namespace, key or server.key
        self.version_env = {'PATH': os.environ['PATH'], 'HOME': str(home), 'LANG': 'C.UTF-8'}

    def run(self, *args, output='pretty', ok=True, **kw):
        command = [SF_CLIENT, '--' + output, '--apiurl', self.server.url, '--namespace', self.namespace,
                   '--key', self.key, *map(str, args)]
        limit = 6 * 1024 ** 3  # some releases never stop writing: better an error than a full disk

        done = subprocess.run(command, env=self.version_env, cwd=self.home, capture_output=True, text=True, timeout=300,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)), **kw)
        if ok:
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            assert done.returncode != 0, done.stdout + done.stderr
        return done.stdout if ok else done.stdout + done.stderr

    def json(self, *args):
        return json.loads(self.run(*args, output='json'))


@pytest.fixture(scope='session')
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp('store') / 'data', HOLDFAST_FETCH_ALLOW='127.0.0.1/32').start()
    yield made
    made.stop()


@pytest.fixture(scope='session')
def system(server):
    return server.client()


@pytest.fixture
def cli(server, tmp_path):
    return Cli(server, tmp_path)


_counter = [0]


@pytest.fixture
def tenant(server, system):
    """Makes namespaces, each with a key, and answers a client for it."""
    def make():
        _counter[0] += 1
        name = 'tenant-%d' % _counter[0]
        system.create_namespace(name)
        system.add_namespace_key(name, 'deploy', 'key of ' + name)
        return server.client(name, 'key of ' + name)
    return make


@pytest.fixture(scope='session')
def images():
    """A real bootable ISO and a qcow2 made from it (scripts/make-test-images.sh)."""
    directory = pathlib.Path(os.environ['TEST_IMAGES'])
    return directory / 'netboot.iso', directory / 'netboot.qcow2'


@pytest.fixture
def make_server(tmp_path):
    started = []

    def make(**settings):
        s = Server(tmp_path / ('store-%d' % len(started)), **settings).start()
        started.append(s)
        return s
    yield make
    for s in started:
        if s.process.poll() is None:
            s.stop()
        shutil.rmtree(s.data_dir, ignore_errors=True)
