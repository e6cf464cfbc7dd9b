"""The schema of `metadata`, for custom kinds, whose own schema says no more than `type: object`.

Source: k8s.io/apimachinery (pkg/apis/meta/v1/types.go).
"""

from flowdeck.kube.objects import Tree

_TEXT: Tree = {"type": "string"}
_BOOLEAN: Tree = {"type": "boolean"}
_INTEGER: Tree = {"type": "integer", "format": "int64"}
_TIME: Tree = {"type": "string", "format": "date-time"}
_TEXTS: Tree = {"type": "object", "additionalProperties": _TEXT}

OBJECT_META: Tree = {
    "type": "object",
    "properties": {
        "annotations": _TEXTS,
        "creationTimestamp": _TIME,
        "deletionGracePeriodSeconds": _INTEGER,
        "deletionTimestamp": _TIME,
        "finalizers": {
            "type": "array",
            "items": _TEXT,
            "x-kubernetes-list-type": "set",
            "x-kubernetes-patch-strategy": "merge",
        },
        "generateName": _TEXT,
        "generation": _INTEGER,
        "labels": _TEXTS,
        "managedFields": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "apiVersion": _TEXT,
                    "fieldsType": _TEXT,
                    "fieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "manager": _TEXT,
                    "operation": _TEXT,
                    "subresource": _TEXT,
                    "time": _TIME,
                },
            },
            "x-kubernetes-list-type": "atomic",
        },
        "name": _TEXT,
        "namespace": _TEXT,
        "ownerReferences": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "apiVersion": _TEXT,
                    "blockOwnerDeletion": _BOOLEAN,
                    "controller": _BOOLEAN,
                    "kind": _TEXT,
                    "name": _TEXT,
                    "uid": _TEXT,
                },
                "x-kubernetes-map-type": "atomic",
            },
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "x-kubernetes-patch-strategy": "merge",
            "x-kubernetes-patch-merge-key": "uid",
        },
        "resourceVersion": _TEXT,
        "selfLink": _TEXT,
        "uid": _TEXT,
    },
}
