"""The functions that expressions of Kubernetes may call, with their types.

Source: cel-go (common/stdlib, cel/library.go, ext), k8s.io/apiserver (pkg/cel/environment/base.go, pkg/cel/library).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from flowdeck.kube.cel_checking.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    UINT,
    Type,
    list_of,
    map_of,
    optional_of,
    parameter,
    type_of,
)

_NAMED = {
    "dyn": DYN,
    "null": NULL,
    "bool": BOOL,
    "int": INT,
    "uint": UINT,
    "double": DOUBLE,
    "string": STRING,
    "bytes": BYTES,
    "duration": DURATION,
    "timestamp": TIMESTAMP,
    "Quantity": Type("struct", "kubernetes.Quantity"),
    "Semver": Type("struct", "kubernetes.Semver"),
    "URL": Type("struct", "kubernetes.URL"),
    "Format": Type("struct", "kubernetes.NamedFormat"),
    "IP": Type("opaque", "net.IP"),
    "CIDR": Type("opaque", "net.CIDR"),
    "Authorizer": Type("struct", "kubernetes.authorization.Authorizer"),
    "PathCheck": Type("struct", "kubernetes.authorization.PathCheck"),
    "GroupCheck": Type("struct", "kubernetes.authorization.GroupCheck"),
    "ResourceCheck": Type("struct", "kubernetes.authorization.ResourceCheck"),
    "Decision": Type("struct", "kubernetes.authorization.Decision"),
    "A": parameter("A"),
    "B": parameter("B"),
}
AUTHORIZER, RESOURCE_CHECK = _NAMED["Authorizer"], _NAMED["ResourceCheck"]

IDENTIFIERS: Mapping[str, Type] = {
    **{name: type_of(_NAMED[name]) for name in ("bool", "bytes", "double", "int", "string", "uint")},
    "dyn": type_of(DYN),
    "list": type_of(list_of(DYN)),
    "map": type_of(map_of(DYN, DYN)),
    "null_type": type_of(NULL),
    "type": type_of(type_of(DYN)),
    "optional_type": type_of(optional_of(DYN)),
    "google.protobuf.Timestamp": type_of(TIMESTAMP),
    "google.protobuf.Duration": type_of(DURATION),
    "kubernetes.Quantity": type_of(_NAMED["Quantity"]),
    "kubernetes.Semver": type_of(_NAMED["Semver"]),
    "kubernetes.URL": type_of(_NAMED["URL"]),
    "kubernetes.NamedFormat": type_of(_NAMED["Format"]),
    "net.IP": type_of(_NAMED["IP"]),
    "net.CIDR": type_of(_NAMED["CIDR"]),
}
"""Names that are no variables."""


@dataclass(frozen=True)
class Overload:
    id: str
    """What costs are told by; names of upstream where a cost depends on it."""
    takes: tuple[Type, ...]
    gives: Type
    is_member: bool
    parameters: frozenset[str]


_ORDERED = ("int", "uint", "double")
_TIMES = (
    "FullYear", "Month", "DayOfYear", "DayOfMonth", "Date", "DayOfWeek", "Hours", "Minutes", "Seconds", "Milliseconds",
)  # fmt: skip
_FORMATS = (
    "dns1123Label", "dns1123Subdomain", "dns1035Label", "qualifiedName", "dns1123LabelPrefix", "dns1123SubdomainPrefix",
    "dns1035LabelPrefix", "labelValue", "uri", "uuid", "byte", "date", "datetime",
)  # fmt: skip

_TABLE = """
_?_:_ (bool,A,A)A =conditional
_&&_ (bool,bool)bool =logical_and
_||_ (bool,bool)bool =logical_or
!_ (bool)bool
@not_strictly_false (bool)bool
_==_ (A,A)bool =equals
_!=_ (A,A)bool =not_equals
_+_ (bytes,bytes)bytes =add_bytes
_+_ (double,double)double
_+_ (duration,duration)duration
_+_ (duration,timestamp)timestamp
_+_ (timestamp,duration)timestamp
_+_ (int,int)int
_+_ (list<A>,list<A>)list<A> =add_list
_+_ (string,string)string =add_string
_+_ (uint,uint)uint
_-_ (double,double)double
_-_ (duration,duration)duration
_-_ (int,int)int
_-_ (timestamp,duration)timestamp
_-_ (timestamp,timestamp)duration
_-_ (uint,uint)uint
_%_ (int,int)int
_%_ (uint,uint)uint
-_ (double)double
-_ (int)int
_[_] (list<A>,int)A =index_list
_[_] (map<A,B>,A)B =index_map
_[_] (optional<list<A>>,int)optional<A>
_[_] (optional<map<A,B>>,A)optional<B>
_[?_] (list<A>,int)optional<A>
_[?_] (optional<list<A>>,int)optional<A>
_[?_] (map<A,B>,A)optional<B>
_[?_] (optional<map<A,B>>,A)optional<B>
@in (A,list<A>)bool =in_list
@in (A,map<A,B>)bool =in_map
size (bytes)int
size .(bytes)int
size (list<A>)int
size .(list<A>)int
size (map<A,B>)int
size .(map<A,B>)int
size (string)int
size .(string)int
type (A)type<A>
dyn (A)dyn
bool (bool)bool
bool (string)bool
bytes (bytes)bytes
bytes (string)bytes =string_to_bytes
double (double)double
double (int)double
double (string)double
double (uint)double
duration (duration)duration
duration (int)duration
duration (string)duration
int (int)int
int (double)int
int (duration)int
int (string)int
int (timestamp)int
int (uint)int
string (string)string
string (bool)string
string (bytes)string =bytes_to_string
string (double)string
string (duration)string
string (int)string
string (timestamp)string
string (uint)string
string (CIDR)string
string (IP)string
timestamp (timestamp)timestamp
timestamp (int)timestamp
timestamp (string)timestamp
uint (uint)uint
uint (double)uint
uint (int)uint
uint (string)uint
contains .(string,string)bool =contains_string
endsWith .(string,string)bool =ends_with_string
startsWith .(string,string)bool =starts_with_string
matches (string,string)bool =matches
matches .(string,string)bool =matches_string
charAt .(string,int)string
indexOf .(string,string)int
indexOf .(string,string,int)int
indexOf .(list<A>,A)int
lastIndexOf .(string,string)int
lastIndexOf .(string,string,int)int
lastIndexOf .(list<A>,A)int
lowerAscii .(string)string
upperAscii .(string)string
replace .(string,string,string)string
replace .(string,string,string,int)string
split .(string,string)list<string>
split .(string,string,int)list<string>
substring .(string,int)string
substring .(string,int,int)string
trim .(string)string
format .(string,list<dyn>)string =string_format
strings.quote (string)string =strings_quote
join .(list<string>)string
join .(list<string>,string)string
find .(string,string)string
findAll .(string,string)list<string>
findAll .(string,string,int)list<string>
sets.contains (list<A>,list<A>)bool
sets.equivalent (list<A>,list<A>)bool
sets.intersects (list<A>,list<A>)bool
slice .(list<A>,int,int)list<A>
flatten .(list<list<A>>)list<A>
flatten .(list<dyn>,int)list<dyn>
lists.range (int)list<int>
reverse .(list<A>)list<A>
distinct .(list<A>)list<A>
url (string)URL
getScheme .(URL)string
getHost .(URL)string
getHostname .(URL)string
getPort .(URL)string
getEscapedPath .(URL)string
getQuery .(URL)map<string,list<string>>
isURL (string)bool
ip (string)IP =string_to_ip
ip .(CIDR)IP =cidr_ip
ip.isCanonical (string)bool
isIP (string)bool
family .(IP)int
isUnspecified .(IP)bool
isLoopback .(IP)bool
isLinkLocalMulticast .(IP)bool
isLinkLocalUnicast .(IP)bool
isGlobalUnicast .(IP)bool
cidr (string)CIDR
isCIDR (string)bool
containsIP .(CIDR,string)bool =cidr_contains_ip_string
containsIP .(CIDR,IP)bool
containsCIDR .(CIDR,string)bool =cidr_contains_cidr_string
containsCIDR .(CIDR,CIDR)bool
prefixLength .(CIDR)int
masked .(CIDR)CIDR
quantity (string)Quantity
isQuantity (string)bool
sign .(Quantity)int
isGreaterThan .(Quantity,Quantity)bool
isGreaterThan .(Semver,Semver)bool
isLessThan .(Quantity,Quantity)bool
isLessThan .(Semver,Semver)bool
compareTo .(Quantity,Quantity)int
compareTo .(Semver,Semver)int
asApproximateFloat .(Quantity)double
asInteger .(Quantity)int
isInteger .(Quantity)bool
add .(Quantity,Quantity)Quantity
add .(Quantity,int)Quantity
sub .(Quantity,Quantity)Quantity
sub .(Quantity,int)Quantity
semver (string)Semver
semver (string,bool)Semver
isSemver (string)bool
isSemver (string,bool)bool
major .(Semver)int
minor .(Semver)int
patch .(Semver)int
validate .(Format,string)optional<list<string>>
format.named (string)optional<Format>
optional.of (A)optional<A>
optional.ofNonZeroValue (A)optional<A>
optional.none ()optional<A>
value .(optional<A>)A
hasValue .(optional<A>)bool
or .(optional<A>,optional<A>)optional<A>
orValue .(optional<A>,A)A
cel.@mapInsert (map<A,B>,map<A,B>)map<A,B>
cel.@mapInsert (map<A,B>,A,B)map<A,B>
path .(Authorizer,string)PathCheck
group .(Authorizer,string)GroupCheck
serviceAccount .(Authorizer,string,string)Authorizer
resource .(GroupCheck,string)ResourceCheck
subresource .(ResourceCheck,string)ResourceCheck
namespace .(ResourceCheck,string)ResourceCheck
name .(ResourceCheck,string)ResourceCheck
fieldSelector .(ResourceCheck,string)ResourceCheck
labelSelector .(ResourceCheck,string)ResourceCheck
check .(PathCheck,string)Decision
check .(ResourceCheck,string)Decision
allowed .(Decision)bool
reason .(Decision)string
error .(Decision)string
errored .(Decision)bool
"""
_LINE = re.compile(r"(\S+) (\.?)\((.*)\)(\S+)(?: =(\w+))?")


def _generated() -> Sequence[str]:
    """The lines that come once for each of several types."""
    lines = [f"{name} ({each},{each}){each}" for name in ("_*_", "_/_") for each in _ORDERED]
    lines += [f"format.{name} ()Format" for name in _FORMATS]
    compared = [(a, b) for a in _ORDERED for b in _ORDERED]
    same = [(each, each) for each in ("bool", "string", "bytes", "timestamp", "duration")]
    for name in ("_<_", "_<=_", "_>_", "_>=_"):
        for a, b in compared + same:
            lines.append(f"{name} ({a},{b})bool" + (f" =less_{a}" if a in ("string", "bytes") else ""))
    for name in _TIMES:
        lines += [f"get{name} .(timestamp)int", f"get{name} .(timestamp,string)int"]
        if name in ("Hours", "Minutes", "Seconds", "Milliseconds"):
            lines.append(f"get{name} .(duration)int")
    for each in ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"):
        lines += [f"isSorted .(list<{each}>)bool", f"max .(list<{each}>){each}", f"min .(list<{each}>){each}"]
        lines += [f"sort .(list<{each}>)list<{each}>"]
    return lines + [f"sum .(list<{each}>){each}" for each in ("int", "uint", "double", "duration")]


@cache
def functions() -> Mapping[str, Sequence[Overload]]:
    """Name -> its overloads."""
    found: dict[str, list[Overload]] = {}
    for line in [*_TABLE.strip().splitlines(), *_generated()]:
        match = _LINE.fullmatch(line)
        assert match is not None, line
        name, dot, takes, gives, own = match.groups()
        types = tuple(map(_type, _split(takes)))
        free = frozenset(re.findall(r"\b[AB]\b", f"{takes},{gives}"))
        found.setdefault(name, []).append(Overload(own or line, types, _type(gives), bool(dot), free))
    return found


def _split(text: str) -> list[str]:
    """At the commas that are in no brackets."""
    parts, depth = [""], 0
    for char in text:
        depth += {"<": 1, ">": -1}.get(char, 0)
        if char == "," and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return parts if text else []


def _type(text: str) -> Type:
    name, bracket, rest = text.partition("<")
    if not bracket:
        return _NAMED[name]
    inner = [_type(part) for part in _split(rest[:-1])]
    match name:
        case "list":
            return list_of(*inner)
        case "map":
            return map_of(*inner)
        case "optional":
            return optional_of(*inner)
    return type_of(*inner)
