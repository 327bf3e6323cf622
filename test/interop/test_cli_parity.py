"""Every artifact, blob, label and namespace command of `sf-client` beside `holdfast`: the same words on the same objects give
the same output in all three formats. What differs on purpose is listed here, once, in `same`; what is broken in `sf-client`
has tests of its own at the end."""
import http.server
import json
import os
import re
import struct
import subprocess
import sys
import threading
import time
import traceback

import click
import pytest
from shakenfist_client import main

from conftest import ROOT, Cli

HOLDFAST = str(ROOT / 'packages/cli/bin/holdfast')
UUID = r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
NOBODY = '00000000-0000-4000-8000-000000000000'
FORMATS = ('pretty', 'simple', 'json')


class Ended:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


class Both:
    """Both clients with one home and one environment."""

    def __init__(self, home, **env):
        self.home = home
        self.env = {'PATH': os.environ['PATH'], 'HOME': str(home), 'LANG': 'C.UTF-8', 'TZ': 'Europe/Vienna', **env}

    def official(self, *words, **env):
        """The official program's own start function in a child of this process: loading it anew each time takes a second."""
        paths = [self.home / 'official.out', self.home / 'official.err']
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.chdir(self.home)
                for fd, path in zip((1, 2), paths):
                    os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), fd)
                sys.stdout, sys.stderr = (open(fd, 'w', closefd=False, encoding='utf-8') for fd in (1, 2))
                os.environ.clear()
                os.environ.update({**self.env, **env})
                time.tzset()
                sys.argv = ['sf-client', *map(str, words)]
                try:
                    main.cli()
                    code = 0
                except SystemExit as e:
                    code = e.code if isinstance(e.code, int) else int(e.code is not None)
                except BaseException:
                    traceback.print_exc()
                    code = 1
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return Ended(code, *(path.read_text() for path in paths))

    def holdfast(self, *words, stdin='', **env):
        done = subprocess.run([HOLDFAST, *map(str, words)], cwd=self.home, env={**self.env, **env}, input=stdin,
                              capture_output=True, text=True, timeout=120)
        return Ended(done.returncode, done.stdout, done.stderr)

    def same(self, *words, formats=FORMATS, differ=None):
        """Runs a reading command with both in every format and compares; answers the last output."""
        for shape in formats:
            theirs, ours = (run('--' + shape, *words) for run in (self.official, self.holdfast))
            assert (theirs.code, theirs.err) == (0, ''), theirs.err
            assert ours.code == 0, ours.err
            if differ is None:
                assert ours.out == theirs.out, (shape, words)
            else:
                assert differ(ours.out, shape) == differ(theirs.out, shape), (shape, words)
        return ours.out


@pytest.fixture(scope='module')
def both(server, tmp_path_factory):
    return Both(tmp_path_factory.mktemp('home'), SHAKENFIST_API_URL=server.url, SHAKENFIST_NAMESPACE='system',
                SHAKENFIST_KEY=server.key)


@pytest.fixture(scope='module')
def things(server, system, both):
    """Objects of every kind, with everything that is hard to print."""
    def upload(name, data, **options):
        u = system.create_upload()
        system.send_upload(u['uuid'], data)
        return system.upload_artifact(name, u['uuid'], **options)
    for i in range(12):
        a = upload('many versions', b'version %d ' % i * 100000)
        if i == 0:
            system.set_artifact_max_versions(a['uuid'], 11)
    header = struct.pack('>4sIQIIQIIQQIIQQQQII', b'QFI\xfb', 3, 0, 0, 16, 3 * 1024 ** 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 104)
    qcow2 = header + bytes(65536)
    disk = upload('dïsk ✓', qcow2, source_url='https://example.com/disk.qcow2')
    upload('given to all', b'for all', shared=True)
    system.create_namespace('neighbour')
    system.add_namespace_key('neighbour', 'one', 'secret one')
    system.add_namespace_key('neighbour', 'two', 'secret two')
    system.add_namespace_trust('neighbour', 'system')
    system.set_namespace_metadata_item('neighbour', 'a long name of a key', 'värde')
    system.set_namespace_metadata_item('neighbour', 'k', '')
    # The official program cannot do the next two; its library can be asked by hand
    for path in ('/artifacts/%s/metadata' % disk['uuid'], '/blobs/%s/metadata' % disk['blob_uuid']):
        for key, value in (('os', 'debian'), ('a key that is wide', 'ünicode'), ('quote', 'it\'s "so"')):
            system._request_url('POST', path, data={'key': key, 'value': value})
    label = system._request_url('POST', '/label/stable', data={'blob_uuid': disk['blob_uuid'], 'max_versions': 5}).json()
    upload('gone', b'gone')
    gone = system.delete_artifact('gone')
    return {'disk': system.get_artifact(disk['uuid']), 'many': system.get_artifact(a['uuid']), 'label': label,
            'gone': gone}


def without_mime_type(output, shape):
    """The official client looks for this column under a name that no server sends: it is always empty there."""
    if shape == 'json':
        return output
    cut, at = (r',', 5) if shape == 'simple' else (r'\|', 6)
    rows = [re.split(cut, line) for line in output.splitlines() if not line.startswith('+')]
    return [[cell.strip() for i, cell in enumerate(row) if i != at] for row in rows]


def test_artifacts_are_listed_and_shown_alike(both, things):
    both.same('artifact', 'list')
    for ref in ('many versions', 'dïsk ✓', 'given to all', *(things[x]['uuid'] for x in ('disk', 'label', 'gone'))):
        both.same('artifact', 'show', ref)
    both.same('artifact', 'versions', 'many versions')


def test_histories_are_shown_alike(both, things):
    uuid = things['many']['uuid']
    for words in ((uuid,), (uuid, '--limit', '3'), (uuid, '-l', '2', '-t', 'audit'), (things['disk']['uuid'], '--type', 'usage')):
        both.same('artifact', 'events', *words)
    both.same('blob', 'events', things['disk']['blob_uuid'])


def test_blobs_are_listed_and_shown_alike(both, things):
    both.same('blob', 'list', differ=without_mime_type)
    both.same('blob', 'list', '--no-audit', differ=without_mime_type)
    blob = json.loads(both.same('blob', 'show', things['disk']['blob_uuid']))
    assert blob['virtual size'] == 3 * 1024 ** 3
    # Each search counts as a use
    both.same('blob', 'sha512', blob['sha512'], differ=levelled)
    both.same('blob', 'sha512', '0' * 128)


def test_namespaces_are_listed_and_shown_alike(both, things):
    for name in ('system', 'neighbour'):
        both.same('namespace', 'show', name)
        both.same('namespace', 'get-metadata', name, formats=('pretty', 'simple'))
    both.same('namespace', 'list')


CHANGES = [
    # What is run with each client on objects of its own, named after it, and what is looked at then: both must be alike
    ('artifact upload NAME FILE', '/artifacts/NAME'),
    ('artifact upload NAME FILE --no-checksum --not-shared', '/artifacts/NAME/versions'),
    ('artifact upload NAME-url OTHER --checksum --source_url https://example.com/NAME.img', '/artifacts'),
    ('artifact upload NAME-shared FILE --shared', '/artifacts/NAME-shared'),
    ('artifact upload NAME-more OTHER --namespace neighbour', '/artifacts/NAME-more'),
    ('artifact max-versions NAME-more 7', '/artifacts/NAME-more'),
    ('artifact share NAME', '/artifacts/NAME'),
    ('artifact unshare NAME', '/artifacts/NAME'),
    ('artifact upload NAME-more FILE --namespace neighbour', '/artifacts/NAME-more/versions'),
    ('artifact delete-version NAME-more 1', '/artifacts/NAME-more/versions'),
    ('label update NAME-label BLOB', '/label/NAME-label'),
    ('label update neighbour/NAME-label BLOB', '/artifacts'),
    ('artifact download NAME-shared DOWN', None),
    ('artifact cache WEB --shared', None),
    ('artifact cache WEB --namespace neighbour --not-shared', None),
    ('artifact delete NAME-more', None),
    ('namespace create NAME-ns', '/auth/namespaces/NAME-ns'),
    ('namespace add-key NAME-ns deploy secret', '/auth/namespaces/NAME-ns'),
    ('namespace update-key NAME-ns deploy other', '/auth/namespaces/NAME-ns'),
    ('namespace set-metadata NAME-ns owner ci', '/auth/namespaces/NAME-ns'),
    ('namespace delete-metadata NAME-ns owner', '/auth/namespaces/NAME-ns'),
    ('namespace add-trust NAME-ns neighbour', '/auth/namespaces/NAME-ns'),
    ('namespace remove-trust NAME-ns neighbour', '/auth/namespaces/NAME-ns'),
    ('namespace delete-key NAME-ns deploy', '/auth/namespaces/NAME-ns'),
    ('artifact upload NAME-inside FILE --namespace NAME-ns', '/artifacts'),
    ('namespace clean --confirm --namespace NAME-ns', '/artifacts'),
    ('namespace delete NAME-ns', '/auth/namespaces'),
]

# Progress that the official client prints among its results
CHATTER = ('Searching for a pre-existing blob with this hash...', 'Creating artifact')


def levelled(output, name='NAME'):
    """An output without what is different for every object: names, UUIDs, digests, times."""
    text = re.sub(UUID, 'UUID', output.replace(name, 'NAME'))
    text = re.sub(r'\b[0-9a-f]{32,}\b', 'DIGEST', text)
    text = re.sub(r'\b1[0-9]{9}(\.[0-9]+)?\b', 'TIME', text)
    return [line for line in text.splitlines() if line not in CHATTER]


@pytest.mark.parametrize('shape', FORMATS)
def test_changes_are_made_and_told_alike(shape, both, things, system):
    def get(path):
        return system._request_url('GET', path).json()

    for kind in ('file', 'other'):
        for client in ('official', 'holdfast'):
            (both.home / ('%s-%s.%s' % (client, shape, kind))).write_bytes(('%s %s %s ' % (kind, client, shape)).encode() * 5000)

    class Web(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header('Content-Length', '3')
            self.end_headers()
            self.wfile.write(b'web')

        def log_message(self, *args):
            pass
    web = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Web)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        for line, look in CHANGES:
            told = []
            for run in (both.official, both.holdfast):
                name = '%s-%s' % (run.__name__, shape)
                words = {'FILE': name + '.file', 'OTHER': name + '.other', 'DOWN': name + '.down',
                         'WEB': 'http://127.0.0.1:%d/%s.img' % (web.server_port, name)}
                words = [words.get(word, word.replace('NAME', name)) for word in line.split()]
                if words[-1] == 'BLOB':
                    words[-1] = get('/artifacts/%s-shared' % name)['blob_uuid']
                ended = run('--' + shape, *words)
                assert ended.code == 0, (words, ended.out, ended.err)
                seen = look and get(look.replace('NAME', name))
                if look in ('/artifacts', '/auth/namespaces'):
                    seen = sorted((x for x in seen if name in json.dumps(x)), key=lambda x: x.get('source_url', ''))
                seen = levelled(json.dumps(seen, sort_keys=True, indent=1), name)
                told.append((ended.code, levelled(ended.out, name), seen))
            # Not left to pytest, which takes minutes to compare long lists
            for theirs, ours in zip(*told):
                if theirs != ours:
                    pairs = zip(theirs, ours) if isinstance(ours, list) else [(theirs, ours)]
                    pytest.fail('%s: %s' % (line, [pair for pair in pairs if pair[0] != pair[1]] or told))
        for client in ('official', 'holdfast'):
            name = '%s-%s' % (client, shape)
            assert (both.home / (name + '.down')).read_bytes() == (both.home / (name + '.file')).read_bytes()
    finally:
        web.shutdown()


def commands_of(group, words=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands_of(command, (*words, name))
        else:
            yield (*words, name), command


OURS = [(words, command) for words, command in commands_of(main.cli)
        if words[0] in ('artifact', 'blob', 'label', 'namespace', 'version')]


def test_every_command_argument_and_option_is_there(both):
    assert len(OURS) == 35
    hidden = {'--not-shared', '--no-audit', '--audit'}
    for words, command in OURS:
        text = both.holdfast(*words, '--help').out
        usage = text.split('\n\n')[0]
        wanted = [p.name for p in command.params if isinstance(p, click.Argument)]
        found = [name for name in re.findall(r'[<\[]([a-z_0-9]+)\]?', usage) if name != 'options']
        if words == ('artifact', 'upload'):
            found = found[:2]  # the other way to write it is ours
        assert found == wanted, words
        for option in (p for p in command.params if isinstance(p, click.Option)):
            for flag in (*option.opts, *option.secondary_opts):
                assert flag in text or flag in hidden, (words, flag)


def test_global_options_stand_before_the_command(both, server, things):
    for words in (['--no-verbose'], ['--async', 'continue'], ['--async-strategy', 'block'],
                  ['--namespace', 'neighbour', '--key', 'secret one'], ['--apiurl', server.url, '--simple', '--json']):
        theirs, ours = (run(*words, '--json', 'namespace', 'show', 'neighbour') for run in (both.official, both.holdfast))
        assert (ours.code, json.loads(ours.out)) == (theirs.code, json.loads(theirs.out)), words
    assert [run('--verbose', 'namespace', 'list').code for run in (both.official, both.holdfast)] == [0, 0]
    assert [run('--async', 'later', 'namespace', 'list').code for run in (both.official, both.holdfast)] == [2, 2]


def test_settings_are_found_alike(server, things, tmp_path):
    """Flags before the environment before ~/.shakenfist, and no key of a file for a server from elsewhere."""
    mine = {'apiurl': server.url, 'namespace': 'neighbour', 'key': 'secret two'}
    (tmp_path / '.shakenfist').write_text(json.dumps(mine))
    both = Both(tmp_path)
    env = {'SHAKENFIST_API_URL': server.url, 'SHAKENFIST_NAMESPACE': 'system', 'SHAKENFIST_KEY': server.key}
    right = ['--namespace', 'system', '--key', server.key]
    cases = [([], {}), (right, {}), ([], env), (['--namespace', 'neighbour', '--key', 'secret one'], env),
             (right, {'SHAKENFIST_KEY': 'wrong'}), ([], {'SHAKENFIST_NAMESPACE': 'system', 'SHAKENFIST_KEY': server.key}),
             ([], {'SHAKENFIST_KEY': 'wrong'}), (['--key', 'wrong'], env), (['--apiurl', server.url], {}),
             ([], {'SHAKENFIST_API_URL': 'http://127.0.0.1:1/'})]
    for words, extra in cases:
        # The environment would wait for a server that is not there
        patient = ['--patience', '0'] if extra.get('SHAKENFIST_API_URL', '').endswith(':1/') else []
        theirs = both.official('--json', *words, 'artifact', 'list', **extra)
        ours = both.holdfast('--json', *patient, *words, 'artifact', 'list', **extra)
        # The official client prints its errors among the results
        assert (ours.code == 0, ours.out) == (theirs.code == 0, theirs.out if theirs.code == 0 else ''), (words, extra, ours.err)


def test_failures_are_failures_to_both(both, things):
    for words, code in ((('artifact', 'show', 'no such thing'), 3), (('artifact', 'delete', NOBODY), 3), (('blob', 'show', NOBODY), 3),
                        (('artifact', 'unshare', 'many versions'), 4), (('label', 'update', 'x', NOBODY), 3),
                        (('artifact', 'upload', 'x', '/no/such/file'), None), (('artifact', 'show'), 2), (('frob',), 2),
                        (('namespace', 'create', 'neighbour'), 4), (('namespace', 'show', 'no-such-namespace'), 3),
                        (('artifact', 'max-versions', 'many versions', '0'), 2)):
        theirs, ours = both.official(*words), both.holdfast(*words)
        assert theirs.code != 0 and ours.code != 0, words
        assert (ours.out, ours.code) == ('', code or 1), (words, ours.err)


# What is broken in the official client

@pytest.mark.parametrize('kind', ['artifact', 'blob'])
def test_metadata_can_be_set_and_deleted(kind, both, things, system):
    ref = 'many versions' if kind == 'artifact' else things['many']['blob_uuid']
    assert both.official(kind, 'set-metadata', ref, 'colour', 'grün').code != 0
    done = both.holdfast('--json', kind, 'set-metadata', ref, 'colour', 'grün')
    assert (done.code, done.out) == (0, '{}\n')
    read = system.get_artifact_metadata if kind == 'artifact' else system.get_blob_metadata
    target = things['many']['uuid'] if kind == 'artifact' else ref
    assert read(target)['colour'] == 'grün'
    both.same(kind, 'show', ref)
    assert both.official(kind, 'delete-metadata', ref, 'colour').code != 0
    assert 'colour' in read(target)
    assert both.holdfast(kind, 'delete-metadata', ref, 'colour').code == 0
    assert 'colour' not in read(target)


def test_references_can_be_audited(both, things):
    assert both.official('blob', 'list', '--audit').code != 0
    listed = both.holdfast('--simple', 'blob', 'list', '--audit')
    assert (listed.code, listed.out.count('!!!')) == (0, 0)
    row = next(line for line in listed.out.splitlines() if line.startswith(things['disk']['blob_uuid']))
    assert re.search(r',(\d+) \(audit \1\) ,$', row)


def test_metadata_of_a_namespace_can_be_had_as_json(both, things):
    assert both.official('--json', 'namespace', 'get-metadata', 'neighbour').out == ''
    assert json.loads(both.holdfast('--json', 'namespace', 'get-metadata', 'neighbour').out) == \
        {'a long name of a key': 'värde', 'k': ''}


# Completion, in the shells themselves

SHELLS = {
    'bash': 'source <(holdfast completion bash); COMP_WORDS=({words} "{last}"); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); '
            '_holdfast; printf "%s\\n" "${{COMPREPLY[@]}}"',
    'fish': 'holdfast completion fish | source; complete -C "{words} {last}"',
    'zsh': 'compdef() {{ }}; compadd() {{ shift; eval "print -l -- \\${{$1}}"; }}; _files() {{ ls }}; '
           'source <(holdfast completion zsh); words=({words} "{last}"); CURRENT=$#words; _holdfast',
}


@pytest.mark.parametrize('shell', SHELLS)
def test_shells_complete(shell, both, things):
    (both.home / 'bin').mkdir(exist_ok=True)
    if not (both.home / 'bin/holdfast').exists():
        (both.home / 'bin/holdfast').symlink_to(HOLDFAST)
    env = {**both.env, 'PATH': '%s:%s' % (both.home / 'bin', both.env['PATH'])}

    def candidates(*words):
        script = SHELLS[shell].format(words=' '.join(words[:-1]), last=words[-1])
        flags = {'bash': ['--norc'], 'zsh': ['-f'], 'fish': ['-N']}[shell]
        done = subprocess.run([shell, *flags, '-c', script], env=env, cwd=both.home, capture_output=True, text=True,
                              timeout=60)
        return [line for line in done.stdout.splitlines() if line], done.stderr
    assert candidates('holdfast', 'artifact', 'dow') == (['download'], '')
    assert candidates('holdfast', 'artifact', 'show', 'given') == \
        ([r'given\ to\ all' if shell == 'bash' else 'given to all'], '')
    assert candidates('holdfast', 'namespace', 'show', 'neigh') == (['neighbour'], '')
    assert candidates('holdfast', 'artifact', 'upload', '--no-c') == (['--no-checksum'], '')


# On a server that has none of Holdfast's additions to the API

def test_label_and_artifact_commands_need_no_additions(make_server, tmp_path):
    plain = make_server(HOLDFAST_EXTENSIONS='off')
    both = Both(tmp_path, SHAKENFIST_API_URL=plain.url, SHAKENFIST_NAMESPACE='system', SHAKENFIST_KEY=plain.key)
    (tmp_path / 'file').write_bytes(b'plain' * 1000)
    assert both.holdfast('artifact', 'upload', 'plain', 'file').code == 0
    assert both.holdfast('label', 'update', 'stable', 'plain@1').code == 0
    for words in (('artifact', 'list'), ('artifact', 'show', 'plain'), ('blob', 'list')):
        both.same(*words, differ=without_mime_type if words[0] == 'blob' else None)
    assert both.holdfast('artifact', 'download', 'plain', 'back').code == 0
    assert (tmp_path / 'back').read_bytes() == b'plain' * 1000
    assert ',stable,' in both.holdfast('--simple', 'label', 'list').out
    assert both.holdfast('status').code == 0
