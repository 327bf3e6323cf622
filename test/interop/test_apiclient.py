"""The methods of the official `apiclient` that concern artifacts, and what it does when the line fails."""
import hashlib
import io
import os
import signal
import socket
import threading
import time

import pytest
import requests
from shakenfist_client import apiclient

NOBODY = '00000000-0000-4000-8000-000000000000'


def uploaded(client, name, data, **kw):
    u = client.create_upload()
    assert client.send_upload(u['uuid'], data) == len(data)
    return client.upload_artifact(name, u['uuid'], **kw)


def read(client, blob, **kw):
    return b''.join(client.get_blob_data(blob, **kw))


def test_upload_object(system):
    u = system.create_upload()
    assert sorted(u)[:0] == [] and {'uuid', 'state', 'metadata', 'version', 'node', 'created_at'} <= set(u)
    assert (u['state'], u['node'][:5], u['version']) == ('created', 'node-', 3)
    assert abs(u['created_at'] - time.time()) < 60
    assert system.send_upload(u['uuid'], b'hello') == 5
    assert system.send_upload(u['uuid'], b' world') == 11
    assert system.truncate_upload(u['uuid'], 5) is None
    assert system.send_upload(u['uuid'], b'!') == 6
    a = system.upload_artifact('object', u['uuid'])
    assert read(system, a['blob_uuid']) == b'hello!'
    with pytest.raises(apiclient.ResourceNotFoundException):
        system.send_upload(u['uuid'], b'late')


def test_send_upload_file(system):
    data = os.urandom(5 * 1024 * 1024 + 3)
    u = system.create_upload()
    system.send_upload_file(u['uuid'], io.BytesIO(data))
    a = system.upload_artifact('file', u['uuid'])
    assert a['blobs']['1']['size'] == len(data)
    assert hashlib.sha512(read(system, a['blob_uuid'])).hexdigest() == hashlib.sha512(data).hexdigest()
    assert read(system, a['blob_uuid'], offset=1_000_001) == data[1_000_001:]
    assert read(system, a['blob_uuid'], offset=len(data)) == b''


def test_a_small_json_file_is_bytes(system):
    for data in (b'{"a": 1}', b'12345', b'null', b'"text"'):
        assert read(system, uploaded(system, 'json', data)['blob_uuid']) == data


def test_reuse_by_checksum(system):
    a = uploaded(system, 'sum', b'summed up')
    blob = system.get_blob_by_sha512(hashlib.sha512(b'summed up').hexdigest())
    assert blob['uuid'] == a['blob_uuid']
    again = system.blob_artifact('sum too', blob['uuid'])
    assert again['blob_uuid'] == blob['uuid']
    assert system.get_blob_by_sha512('0' * 128) is None
    assert system.get_blob_hash(blob['uuid'], 'sha512') == blob['sha512']
    for _ in range(600):
        if system.get_blob_hash(blob['uuid'], 'sha256'):
            break
        time.sleep(0.1)
    assert system.get_blob_hash(blob['uuid'], 'sha256') == hashlib.sha256(b'summed up').hexdigest()
    with pytest.raises(apiclient.RequestMalformedException):
        system.get_blob_hash(blob['uuid'], 'md5')


def test_artifact_methods(system):
    a = uploaded(system, 'methods', b'one')
    uploaded(system, 'methods', b'two')
    shown = system.get_artifact('methods')
    assert sorted(shown['blobs']) == [1, 2] and shown['index'] == 2
    assert a['uuid'] in [x['uuid'] for x in system.get_artifacts()]
    node, = system.get_blob(a['blob_uuid'])['locations']
    assert a['uuid'] in [x['uuid'] for x in system.get_artifacts(node=node)]
    assert [v['index'] for v in system.get_artifact_versions(a['uuid'])] == [1, 2]
    assert system.set_artifact_max_versions('methods', 1) is None
    assert sorted(system.get_artifact('methods')['blobs']) == [2]
    assert system.share_artifact('methods')['shared'] is True
    assert system.unshare_artifact('methods')['shared'] is False
    assert system.set_artifact_metadata_item('methods', 'k', {'deep': [1]}) is None
    assert system.get_artifact_metadata('methods') == {'k': {'deep': [1]}}
    assert system.delete_artifact_metadata_item('methods', 'k') is None
    assert system.get_artifact_events('methods', event_type='audit', limit=2) is not None
    assert system.delete_artifact_version('methods', 2)['state'] == 'deleted'
    with pytest.raises(apiclient.ResourceNotFoundException):
        system.get_artifact('methods')
    assert system.delete_artifact(a['uuid']) is None


def test_blob_methods(system):
    b = uploaded(system, 'blobs', b'blob methods')['blob_uuid']
    assert system.get_blob(b)['size'] == 12
    assert b in [x['uuid'] for x in system.get_blobs()]
    assert system.set_blob_metadata_item(b, 'k', 'v') is None
    assert system.get_blob_metadata(b) == {'k': 'v'}
    assert system.delete_blob_metadata_item(b, 'k') is None
    assert isinstance(system.get_blob_events(b, limit=1), list)
    with pytest.raises(apiclient.IncapableException):
        list(system.get_blob_data(b, limit=5))


def test_labels(system):
    b = uploaded(system, 'to label', b'to label')['blob_uuid']
    assert system.update_label('newest', b)['blobs'][1]['uuid'] == b
    assert system.update_label('system/newest', b)['index'] == 1


def test_namespaces_trusts_and_isolation(server, system, tenant):
    one, two = tenant(), tenant()
    a = uploaded(one, 'private', b'private bytes')
    assert [n['name'] for n in one.get_namespaces()] == [one.namespace]
    for call in (lambda: two.get_artifact(a['uuid']), lambda: two.get_blob(a['blob_uuid']), lambda: read(two, a['blob_uuid']),
                 lambda: two.get_artifact('private'), lambda: two.get_namespace(one.namespace),
                 lambda: two.blob_artifact('stolen', a['blob_uuid'])):
        with pytest.raises(apiclient.ResourceNotFoundException):
            call()
    assert two.get_blob_by_sha512(hashlib.sha512(b'private bytes').hexdigest()) is None
    assert two.namespace in one.add_namespace_trust(one.namespace, two.namespace)['trust']['full']
    assert read(two, two.get_artifact(a['uuid'])['blob_uuid']) == b'private bytes'
    one.remove_namespace_trust(one.namespace, two.namespace)
    with pytest.raises(apiclient.ResourceNotFoundException):
        two.get_artifact(a['uuid'])
    assert one.get_namespace_keynames(one.namespace) == ['deploy']
    assert one.add_namespace_key(one.namespace, 'second', 'x') == 'second'
    one.delete_namespace_key(one.namespace, 'second')
    one.set_namespace_metadata_item(one.namespace, 'k', 1)
    assert one.get_namespace_metadata(one.namespace) == {'k': 1}
    one.delete_namespace_metadata_item(one.namespace, 'k')
    assert one.delete_all_artifacts(None) == [a['uuid']]
    with pytest.raises(apiclient.UnauthenticatedException):
        one.delete_namespace(two.namespace)
    system.delete_namespace(two.namespace)


def test_errors_have_their_classes(system, tenant):
    one = tenant()
    u = system.create_upload()
    with pytest.raises(apiclient.ResourceNotFoundException):
        system.truncate_upload(NOBODY, 0)
    with pytest.raises(apiclient.RequestMalformedException):
        system.truncate_upload(u['uuid'], 10)
    with pytest.raises(apiclient.RequestMalformedException):
        system.upload_artifact('empty', u['uuid'])
    with pytest.raises(apiclient.UnauthorizedException):
        uploaded(one, 'shared', b'x', shared=True)
    with pytest.raises(apiclient.UnauthorizedException):
        system.create_namespace('system')
    with pytest.raises(apiclient.RequestMalformedException):
        system.set_artifact_max_versions(uploaded(system, 'm', b'm')['uuid'], 0)
    with pytest.raises(apiclient.UnauthenticatedException):
        one.get_blobs()


def test_a_token_that_died_is_replaced_without_a_word(server, system, tenant):
    one = tenant()
    assert one.get_artifacts() is not None
    one.cached_auth = 'Bearer ' + one.cached_auth.split(' ')[1][:-6] + 'AAAAAA'
    assert one.get_artifacts() is not None


def test_the_request_id_is_told(system):
    system.get_artifacts()
    assert len(system.most_recent_request_id) == 36


def test_a_connection_cut_in_the_middle_of_an_append_is_sent_again_whole(server, system):
    """The client repeats a request blindly when the connection breaks: an append must not count twice or in part."""
    upstream = ('127.0.0.1', server.port)
    cuts = [40_000]
    listener = socket.create_server(('127.0.0.1', 0))

    def pump(source, target, budget=None):
        try:
            while data := source.recv(65536):
                if budget is not None:
                    budget[0] -= len(data)
                    if budget[0] < 0:
                        break
                target.sendall(data)
        except OSError:
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    armed = threading.Event()

    def serve():
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(upstream)
            budget = None
            if armed.is_set() and cuts:
                budget = [cuts.pop()]
            threading.Thread(target=pump, args=(near, far, budget), daemon=True).start()
            threading.Thread(target=pump, args=(far, near), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    client = apiclient.Client(base_url='http://127.0.0.1:%d' % listener.getsockname()[1], namespace='system', key=server.key,
                              suppress_configuration_lookup=True)
    u = client.create_upload()
    client.send_upload(u['uuid'], b'start')
    armed.set()
    client.session.close()
    data = os.urandom(100_000)
    try:
        total = client.send_upload(u['uuid'], data)
    except apiclient.APIException:
        client.truncate_upload(u['uuid'], 5)
        total = client.send_upload(u['uuid'], data)
    assert total == 100_005
    assert not cuts, 'the connection was never cut'
    a = client.upload_artifact('cut', u['uuid'])
    assert read(client, a['blob_uuid']) == b'start' + data
    listener.close()


def test_a_download_goes_on_at_its_offset_after_a_cut(server, system):
    data = os.urandom(4 * 1024 * 1024)
    blob = uploaded(system, 'resumed', data)['blob_uuid']
    got = b''
    for chunk in system.get_blob_data(blob):
        got += chunk
        if len(got) >= 1_000_000:
            break
    system.session.close()
    system.session = requests.Session()
    for chunk in system.get_blob_data(blob, offset=len(got)):
        got += chunk
    assert got == data


def test_an_upload_survives_a_restart_of_the_server(make_server):
    server = make_server()
    client = server.client()
    data = os.urandom(1_000_000)
    u = client.create_upload()
    assert client.send_upload(u['uuid'], data[:600_000]) == 600_000
    server.stop(signal.SIGKILL)
    server.start()
    client.truncate_upload(u['uuid'], 500_000)
    assert client.send_upload(u['uuid'], data[500_000:]) == len(data)
    a = client.upload_artifact('survivor', u['uuid'])
    assert read(client, a['blob_uuid']) == data
