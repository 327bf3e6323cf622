"""Every artifact, blob, label and namespace command of `sf-client`: what it prints, not only that it ends well."""
import hashlib
import http.server
import json
import os
import re
import threading
import time

from conftest import Cli

UUID = r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'


def write(path, data):
    path.write_bytes(data)
    return path


def created(output):
    return re.search('Created artifact (%s)' % UUID, output).group(1)


def uploaded(cli, tmp_path, name, data):
    return created(cli.run('artifact', 'upload', name, write(tmp_path / 'source', data)))


def test_real_images_go_up_and_come_back(cli, images, tmp_path):
    for image in images:
        out = cli.run('artifact', 'upload', image.name, image)
        assert 'Uploading new blob' in out or 'Recycling existing blob' in out
        out = cli.run('artifact', 'download', image.name, tmp_path / 'back')
        assert 'Download complete' in out
        assert (tmp_path / 'back').read_bytes() == image.read_bytes()
    blobs = {b['file format']: b for b in cli.json('blob', 'list')}
    assert blobs['qcow2']['virtual size'] == images[0].stat().st_size
    assert blobs['raw']['mime-type'] == 'application/x-iso9660-image'
    assert blobs['qcow2']['sha512'] == hashlib.sha512(images[1].read_bytes()).hexdigest()


def test_upload_with_and_without_a_checksum_hit(cli, tmp_path):
    source = write(tmp_path / 'f', os.urandom(3 * 1024 * 1024 + 1))
    first = cli.run('artifact', 'upload', 'hit', source)
    assert 'Searching for a pre-existing blob' in first and 'Uploading new blob' in first
    second = cli.run('artifact', 'upload', 'hit-again', source)
    assert 'Recycling existing blob' in second
    third = cli.run('artifact', 'upload', 'no-look', source, '--no-checksum')
    assert 'Uploading new blob' in third and 'Searching' not in third
    shown = [cli.json('artifact', 'show', created(out)) for out in (first, second, third)]
    assert len({a['blob_uuid'] for a in shown}) == 1
    assert shown[0]['blobs']['1']['reference_count'] == 3


def test_upload_options(cli, server, system, tmp_path):
    system.create_namespace('elsewhere')
    source = write(tmp_path / 'f', b'options')
    out = cli.run('artifact', 'upload', 'optional', source, '--shared', '--namespace', 'elsewhere',
                  '--source_url', 'https://example.com/x.img', ok=True)
    a = cli.json('artifact', 'show', created(out))
    assert (a['shared'], a['namespace'], a['source_url']) == (True, 'elsewhere', 'https://example.com/x.img')


def test_show_in_three_shapes(cli, tmp_path):
    uuid = uploaded(cli, tmp_path, 'shown', b'x' * 1024 * 1024)
    pretty = cli.run('artifact', 'show', 'shown')
    for line in ('uuid                     : %s' % uuid, 'namespace                : system', 'type                     : image',
                 'state                    : created', 'source url               : sf://upload/system/shown',
                 'number of versions       : 1', 'maximum versions         : 3', 'shared                   : False', '1.0MB'):
        assert line in pretty
    simple = cli.run('artifact', 'show', uuid, output='simple')
    assert 'uuid:%s' % uuid in simple and 'version,size,instance\n1:1.0MB,' in simple
    shown = cli.json('artifact', 'show', uuid)
    assert sorted(shown) == ['artifact_type', 'blob_uuid', 'blobs', 'index', 'max_versions', 'metadata', 'namespace', 'shared',
                             'source_url', 'state', 'uuid']
    assert shown['blobs']['1']['size'] == 1024 * 1024


def test_list_in_three_shapes(cli, tmp_path):
    uuid = uploaded(cli, tmp_path, 'listed', b'listed')
    row = [line for line in cli.run('artifact', 'list').splitlines() if uuid in line][0]
    assert [cell.strip() for cell in row.strip('|').split('|')] == \
        [uuid, 'system', 'image', 'sf://upload/system/listed', '1 of 1', 'created', 'False']
    simple = cli.run('artifact', 'list', output='simple').splitlines()
    assert simple[0] == 'uuid,namespace,type,source_url,versions,state,shared'
    assert '%s,system,image,sf://upload/system/listed,1 of 1,created,False' % uuid in simple
    assert uuid in [a['uuid'] for a in cli.json('artifact', 'list')]


def test_versions_pruning_and_deletion(cli, tmp_path):
    for i in range(5):
        uuid = uploaded(cli, tmp_path, 'versioned', b'version %d' % i)
    versions = json.loads(cli.run('artifact', 'versions', 'versioned'))
    assert [v['index'] for v in versions] == [3, 4, 5]
    assert versions[-1]['sha512'] == hashlib.sha512(b'version 4').hexdigest()
    cli.run('artifact', 'max-versions', 'versioned', 2)
    assert [v['index'] for v in json.loads(cli.run('artifact', 'versions', uuid))] == [4, 5]
    cli.run('artifact', 'delete-version', 'versioned', 4)
    assert [v['index'] for v in json.loads(cli.run('artifact', 'versions', uuid))] == [5]
    assert 'artifact index not found' in cli.run('artifact', 'delete-version', 'versioned', 4, ok=False)
    assert json.loads(cli.run('artifact', 'delete', 'versioned', output='json'))['state'] == 'deleted'
    assert 'artifact not found' in cli.run('artifact', 'show', 'versioned', ok=False)
    assert cli.json('artifact', 'show', uuid)['state'] == 'deleted'


def test_sharing(cli, server, tenant, tmp_path):
    uuid = uploaded(cli, tmp_path, 'golden', b'golden')
    other = Cli(server, tmp_path, *(lambda c: (c.namespace, c.key))(tenant()))
    assert 'artifact not found' in other.run('artifact', 'show', uuid, ok=False)
    cli.run('artifact', 'share', 'golden')
    assert other.json('artifact', 'show', 'golden')['shared'] is True
    other.run('artifact', 'download', 'golden', tmp_path / 'back')
    assert (tmp_path / 'back').read_bytes() == b'golden'
    assert 'artifact not found' in other.run('artifact', 'delete', uuid, ok=False)
    cli.run('artifact', 'unshare', 'golden')
    assert 'artifact not found' in other.run('artifact', 'show', uuid, ok=False)
    assert 'artifact not shared' in cli.run('artifact', 'unshare', 'golden', ok=False)


def test_events(cli, tmp_path):
    uuid = uploaded(cli, tmp_path, 'eventful', b'eventful')
    uploaded(cli, tmp_path, 'eventful', b'eventful too')
    events = cli.json('artifact', 'events', uuid)
    assert len(events) >= 2 and all(e['fqdn'].startswith('node-') for e in events)
    assert cli.json('artifact', 'events', uuid, '--limit', 1) == events[:1]
    only = cli.json('artifact', 'events', uuid, '--type', events[0]['type'])
    assert only and {e['type'] for e in only} == {events[0]['type']}
    assert events[0]['message'] in cli.run('artifact', 'events', uuid)
    assert cli.run('artifact', 'events', uuid, output='simple').startswith('timestamp,node,duration,message,extra\n')
    blob = cli.json('artifact', 'show', uuid)['blob_uuid']
    assert cli.json('blob', 'events', blob)


def test_cache_fetches_a_url(cli, tmp_path):
    write(tmp_path / 'remote.img', b'remote bytes' * 1000)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args):
            pass

    web = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        cli.run('artifact', 'cache', 'http://127.0.0.1:%d/remote.img' % web.server_port, '--shared')
        for _ in range(600):
            a = cli.json('artifact', 'show', 'remote.img')
            if a['state'] != 'initial':
                break
            time.sleep(0.1)
        assert (a['state'], a['shared']) == ('created', True)
        cli.run('artifact', 'download', 'remote.img', tmp_path / 'back')
        assert (tmp_path / 'back').read_bytes() == b'remote bytes' * 1000
        assert 'HOLDFAST_FETCH_ALLOW' in cli.run('artifact', 'cache', 'http://10.0.0.1/x.img', ok=False)
    finally:
        web.shutdown()


def test_labels(cli, tmp_path):
    uuid = uploaded(cli, tmp_path, 'labelled', b'labelled')
    blob = cli.json('artifact', 'show', uuid)['blob_uuid']
    cli.run('label', 'update', 'unlike-others', blob)
    label = cli.json('artifact', 'show', 'unlike-others')
    assert (label['artifact_type'], label['blob_uuid'], label['source_url']) == ('label', blob, 'sf://label/system/unlike-others')
    cli.run('label', 'update', 'system/unlike-others', blob)
    assert cli.json('artifact', 'show', 'unlike-others')['index'] == 1
    assert 'blob not found' in cli.run('label', 'update', 'unlike-others', '00000000-0000-4000-8000-000000000000', ok=False)


def test_blobs(cli, tmp_path):
    data = os.urandom(100_000)
    uuid = uploaded(cli, tmp_path, 'blobby', data)
    blob = cli.json('artifact', 'show', uuid)['blob_uuid']
    digest = hashlib.sha512(data).hexdigest()
    pretty = cli.run('blob', 'show', blob)
    for line in ('uuid            : %s' % blob, 'actual size     : 100000', 'sha512          : %s' % digest, 'format          : raw',
                 'reference count : 1', 'locations       : node-'):
        assert line in pretty
    assert cli.json('blob', 'sha512', digest)['uuid'] == blob
    assert cli.json('blob', 'sha512', '0' * 128) is None
    assert 'No blob found' in cli.run('blob', 'sha512', '0' * 128)
    assert blob in cli.run('blob', 'list')
    assert blob in cli.run('blob', 'list', output='simple')
    assert blob in [b['uuid'] for b in cli.json('blob', 'list')]
    assert 'blob not found' in cli.run('blob', 'show', '00000000-0000-4000-8000-000000000000', ok=False)


def test_metadata_commands_that_are_broken_in_the_client_fail_cleanly(cli, tmp_path):
    uuid = uploaded(cli, tmp_path, 'noted', b'noted')
    assert 'Traceback' not in cli.run('artifact', 'set-metadata', uuid, 'k', 'v', ok=False)
    blob = cli.json('artifact', 'show', uuid)['blob_uuid']
    assert 'Traceback' not in cli.run('blob', 'set-metadata', blob, 'k', 'v', ok=False)


def test_metadata_is_shown(cli, system, tmp_path):
    uuid = uploaded(cli, tmp_path, 'described', b'described')
    system.set_artifact_metadata_item(uuid, 'os', 'debian')
    assert 'os      : debian' in cli.run('artifact', 'show', uuid)
    assert cli.json('artifact', 'show', uuid)['metadata'] == {'os': 'debian'}


def test_namespaces(cli, server, tmp_path):
    cli.run('namespace', 'create', 'made')
    assert re.search(r'\| +made +\| +created +\| +system +\|', cli.run('namespace', 'list'))
    cli.run('namespace', 'add-key', 'made', 'deploy', 'first-secret')
    made = Cli(server, tmp_path, 'made', 'first-secret')
    shown = made.json('namespace', 'show', 'made')
    assert (shown['keys'], shown['trust'], shown['state']) == (['deploy'], {'full': ['system']}, 'created')
    cli.run('namespace', 'update-key', 'made', 'deploy', 'second-secret')
    assert 'Not authenticated' in made.run('namespace', 'show', 'made', ok=False)
    made.key = 'second-secret'
    made.run('namespace', 'set-metadata', 'made', 'owner', 'ci')
    assert 'owner' in made.run('namespace', 'get-metadata', 'made')
    assert 'owner: ci' in made.run('namespace', 'show', 'made')
    made.run('namespace', 'delete-metadata', 'made', 'owner')
    assert made.json('namespace', 'show', 'made')['metadata'] == {}
    cli.run('namespace', 'create', 'friend')
    assert 'friend' in made.json('namespace', 'add-trust', 'made', 'friend')['trust']['full']
    assert made.json('namespace', 'remove-trust', 'made', 'friend')['trust']['full'] == ['system']
    uploaded(made, tmp_path, 'to be cleaned', b'to be cleaned')
    assert 'You must be sure' in made.run('namespace', 'clean')
    made.run('namespace', 'clean', '--confirm')
    assert made.json('artifact', 'list') == [a for a in made.json('artifact', 'list') if a['namespace'] != 'made']
    assert 'Not authenticated' in made.run('namespace', 'delete', 'friend', ok=False)
    cli.run('namespace', 'delete-key', 'made', 'deploy')
    cli.run('namespace', 'delete', 'made')
    assert 'namespace not found' in cli.run('namespace', 'show', 'made', ok=False)


def test_backup_create(cli, tmp_path):
    uploaded(cli, tmp_path, 'backed up', b'backed up')
    out = cli.run('backup', 'create', tmp_path / 'summary.json')
    assert 'Created summary' in out
    summary = json.loads((tmp_path / 'summary.json').read_text())
    for blob in summary['blobs']:
        data = (tmp_path / 'blobs' / blob).read_bytes()
        assert hashlib.sha512(data).hexdigest() == summary['blobs'][blob]['sha512']


def test_a_wrong_key_is_said_clearly(server, tmp_path):
    out = Cli(server, tmp_path, 'system', 'wrong').run('artifact', 'list', ok=False)
    assert 'Not authenticated' in out and 'Traceback' not in out
