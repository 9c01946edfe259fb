"""Uploads a file by tuspy in two steps, the second of which knows the upload's URL alone.

tus.py URL TOKEN FILE
"""

import os
import sys

from tusclient.client import TusClient

url, token, path = sys.argv[1:]
client = TusClient(url, headers={"Authorization": f"Token {token}"})
half = os.path.getsize(path) // 2
first = client.uploader(path, chunk_size=4096, metadata={"filename": os.path.basename(path)})
first.upload(stop_at=half)
second = client.uploader(path, chunk_size=1 << 20, url=first.url)
assert half <= second.offset < os.path.getsize(path), second.offset
second.upload()
