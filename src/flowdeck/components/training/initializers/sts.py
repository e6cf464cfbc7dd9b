"""Temporary AWS credentials for a role (`ROLE_ARN`), from the keys in the environment or a web-identity token.

Source: the AWS Security Token Service API, version 2011-06-15; Signature Version 4.
"""

import hashlib
import hmac
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from flowdeck.components.training.initializers.settings import InitializerError

SESSION = "kubeflow-trainer-initializer"
TIMEOUT_S = 30


def assume_role(role: str, env: Mapping[str, str]) -> dict[str, str]:
    """`{access_key_id, secret_access_key, session_token}` of the role; raises `InitializerError`."""
    region = env.get("REGION") or "us-east-1"
    url = env.get("AWS_ENDPOINT_URL_STS") or (
        "https://sts.amazonaws.com/" if region == "auto" else f"https://sts.{region}.amazonaws.com/"
    )
    query = {"Version": "2011-06-15", "RoleArn": role, "RoleSessionName": SESSION}
    if token_file := env.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        query |= {"Action": "AssumeRoleWithWebIdentity", "WebIdentityToken": Path(token_file).read_text().strip()}
        headers = {}
    else:
        query["Action"] = "AssumeRole"
        now = datetime.now(UTC)  # noqa: TID251 - a program of its own; a signature is of this moment
        headers = signed(url, urllib.parse.urlencode(query), env, "us-east-1" if region == "auto" else region, now)
    request = urllib.request.Request(url, urllib.parse.urlencode(query).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return _credentials(answer.read())
    except urllib.error.URLError as error:
        raise InitializerError(f"role {role} cannot be assumed: {error}") from error


def signed(url: str, body: str, env: Mapping[str, str], region: str, now: datetime) -> dict[str, str]:
    """The headers that sign a POST to STS."""
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "host": urllib.parse.urlsplit(url).netloc,
        "x-amz-date": stamp,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{text}\n" for name, text in headers.items())
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body.encode()).hexdigest()}"
    scope = f"{day}/{region}/sts/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{env.get('SECRET_ACCESS_KEY', '')}".encode()
    for part in (day, region, "sts", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"{env.get('ACCESS_KEY_ID', '')}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return headers


def _credentials(answer: bytes) -> dict[str, str]:
    found = {element.tag.rpartition("}")[2]: element.text or "" for element in ElementTree.fromstring(answer).iter()}
    return {
        "access_key_id": found["AccessKeyId"],
        "secret_access_key": found["SecretAccessKey"],
        "session_token": found["SessionToken"],
    }
