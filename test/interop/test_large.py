"""What size costs: a file of GiB through the official client's requests, and conversions of it and of 16 MiB."""
import hashlib
import os
import statistics
import time

MIB = 1024 * 1024
GIB = 1024 * MIB
BLOCK = os.urandom(2 * MIB)
# The S3 client and what its connections hold come on top, whatever the size.
MOST_MEMORY = 320 if os.environ.get('TEST_S3_URL') else 200
# Memory that grows with a file shows with one GiB as well; the other configurations need not take as long as the embedded one.
GIBIBYTES = 1 if os.environ.get('TEST_S3_URL') or os.environ.get('TEST_POSTGRES_URL') else 4


def chunks(size):
    """`size` bytes in the largest chunks the official client sends; each differs from the one before."""
    for i in range(size // len(BLOCK)):
        yield i.to_bytes(8, 'big') + BLOCK[8:]


def upload(client, size):
    u = client.create_upload()
    digest = hashlib.sha512()
    total = 0
    for chunk in chunks(size):
        total = client.send_upload(u['uuid'], chunk)
        digest.update(chunk)
    assert total == size
    return u['uuid'], digest.hexdigest()


def convert(client, name, upload_uuid):
    began = time.monotonic()
    artifact = client.upload_artifact(name, upload_uuid)
    return time.monotonic() - began, artifact


def test_gibibytes_up_and_down_in_flat_memory(make_server, capsys):
    server = make_server()
    client = server.client()
    began = time.monotonic()
    uuid, digest = upload(client, GIBIBYTES * GIB)
    sent = time.monotonic() - began
    large, artifact = convert(client, 'large', uuid)
    assert client.get_blob(artifact['blob_uuid'])['sha512'] == digest

    began = time.monotonic()
    back, total = hashlib.sha512(), 0
    for chunk in client.get_blob_data(artifact['blob_uuid']):
        back.update(chunk)
        total += len(chunk)
    received = time.monotonic() - began
    assert (total, back.hexdigest()) == (GIBIBYTES * GIB, digest)
    peak = server.rss_peak()

    small = []
    for i in range(5):
        u = upload(client, 16 * MIB)[0]
        client.send_upload(u, b'%d' % i)
        small.append(convert(client, 'small %d' % i, u)[0])
    with capsys.disabled():
        print('\n%d GiB in 2 MiB appends: up in %.1f s, down in %.1f s, peak RSS of the server %.0f MiB'
              % (GIBIBYTES, sent, received, peak))
        print('conversion: all of it in %.0f ms, 16 MiB in %.0f ms (median of %d), ratio %.2f'
              % (large * 1000, statistics.median(small) * 1000, len(small), large / statistics.median(small)))
    assert peak < MOST_MEMORY, server.memory_now()


def test_sf_client_downloads_more_than_512_mib(make_server, tmp_path, capsys):
    """Clients of 2024 that see the word `blob-data-limit` never finish this one (wire contract, B8)."""
    from conftest import Cli
    server = make_server()
    source = tmp_path / 'source'
    with open(source, 'wb') as f:
        for chunk in chunks(600 * MIB):
            f.write(chunk)
    cli = Cli(server, tmp_path)
    began = time.monotonic()
    assert 'Created artifact' in cli.run('artifact', 'upload', 'big', source)
    up = time.monotonic() - began
    assert 'Download complete' in cli.run('artifact', 'download', 'big', tmp_path / 'back')
    with capsys.disabled():
        print('\nsf-client, 600 MiB: up in %.1f s, down in %.1f s' % (up, time.monotonic() - began - up))
    assert (tmp_path / 'back').stat().st_size == 600 * MIB
    assert hashlib.file_digest(open(tmp_path / 'back', 'rb'), 'sha512').hexdigest() == \
        hashlib.file_digest(open(source, 'rb'), 'sha512').hexdigest()
