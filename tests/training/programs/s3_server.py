"""A moto server with a bucket in it."""

import os
import threading

import boto3
from moto.server import ThreadedMotoServer

host, port = os.environ["HOST"], int(os.environ["PORT"])
ThreadedMotoServer(host, port).start()
keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys)
client.create_bucket(Bucket="data")
for name in ("train/part-0.csv", "train/deep/part-1.csv", "train/notes.tmp", "other/no.csv"):
    client.put_object(Bucket="data", Key=name, Body=name.encode())
threading.Event().wait()
