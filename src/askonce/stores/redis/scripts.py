"""The Lua scripts of the Redis store: the steps that must be atomic.

The epoch index is three keys of one slot: the hash of epochs, `seq`, and the stream of changes.
The hash has the fields

    base    the epoch of every tag that was never bumped
    last    the number of the latest change
    run     the run of the server (its `run_id`) under which the hash was last known to be right
    t:TAG   the epoch of a tag that was bumped

`seq` repeats `last`: one MGET with an entry shows a reader whether its cached epochs still hold.
Every change (a bump, a removal, a new index) takes the next number and is appended to the stream
with the number before it: a reader that finds the chain broken has lost changes.

Numbers are microseconds since the Unix epoch, by the server's clock, and at least one more than
any number known. So an index that was lost (flushed, evicted, restored from an old snapshot, held
by a replica that lagged behind) begins again above every epoch that was ever given out, and two
histories of one index never share a number.
"""

import hashlib
from collections.abc import Sequence

from askonce.stores.redis.connections import pack

KEPT_CHANGES = 20_000
FENCE_KEPT_MS = 60_000
"""How long a fence outlives its lease, so that the next one is above it."""


class Script:
    """A Lua script, called by its digest, or by its text if the server does not know it yet."""

    def __init__(self, text: str) -> None:
        self._text = text
        # Redis names a script by its SHA-1.
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def by_digest(self, keys: Sequence[bytes], *args: bytes | str | int) -> bytes:
        return pack("EVALSHA", self._digest, len(keys), *keys, *args)

    def by_text(self, keys: Sequence[bytes], *args: bytes | str | int) -> bytes:
        return pack("EVAL", self._text, len(keys), *keys, *args)


# Lua numbers are doubles: whole up to 2^53, which microseconds reach in the year 2255.
_CLOCK = """
local function number(text) return tonumber(text or '') or 0 end
local function show(n) return string.format('%.0f', n) end
local function clock()
    local now = redis.call('TIME')
    return now[1] * 1000000 + now[2]
end
"""

# KEYS: hash, seq, stream. ARGV[1]: the highest number that the caller knows.
_INDEX = f"""{_CLOCK}
local index, seq, changes = KEYS[1], KEYS[2], KEYS[3]
local function run()
    return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
end
local function log(n, before, kind, what)
    redis.call('XADD', changes, 'MAXLEN', '~', {KEPT_CHANGES}, show(n) .. '-0',
        'before', show(before), 'kind', kind, 'what', what)
    redis.call('HSET', index, 'last', show(n))
    redis.call('SET', seq, show(n))
end
local function begin()
    local top = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)[1]
    local n = math.max(clock(), number(ARGV[1]) + 1, number(redis.call('GET', seq)) + 1,
        number(redis.call('HGET', index, 'last')) + 1,
        number(top and string.match(top[1], '^%d+')) + 1)
    redis.call('DEL', index)
    redis.call('HSET', index, 'base', show(n), 'run', run())
    log(n, 0, 'lost', '')
end
local function present()
    if redis.call('HGET', index, 'run') ~= run() then begin() end
    return number(redis.call('HGET', index, 'last'))
end
local function follow()
    local before = present()
    local n = math.max(before + 1, clock())
    return n, before
end
"""

VERIFY = Script(
    f"""{_INDEX}
if string.find(redis.call('INFO', 'replication'), 'role:slave', 1, true) then
    return redis.error_reply('READONLY this is a replica')
end
present()
return redis.status_reply('OK')
"""
)
"""The first command on every new connection: after a restart or a failover, start a new index.

The server may have come back with an older index, and with entries that were invalid. Every script
that reads or changes the index checks this again, because a connection may live from its server's
time as a replica to its time as a master.
"""

EPOCHS = Script(
    f"""{_INDEX}
local last = show(present())
if redis.call('GET', seq) ~= last then redis.call('SET', seq, last) end
local base = redis.call('HGET', index, 'base')
local found = {{last}}
for i = 2, #ARGV do
    found[i] = redis.call('HGET', index, 't:' .. ARGV[i]) or base
end
return found
"""
)
"""ARGV after the first: tags. Returns the latest number, then the tags' epochs."""

CHANGE = Script(
    f"""{_INDEX}
local n, before = follow()
for i = 4, #ARGV do
    redis.call('HSET', index, 't:' .. ARGV[i], show(n))
end
log(n, before, ARGV[2], ARGV[3])
return show(n)
"""
)
"""ARGV after the first: kind, what, tags to bump. Returns the number of this change."""

LEARN = Script(
    f"""{_INDEX}
local n, before = follow()
for i = 2, #ARGV, 2 do
    -- The other store's epoch of a tag that was never bumped here counts even below our base:
    -- otherwise its entries could not be kept here.
    local known = redis.call('HGET', index, 't:' .. ARGV[i])
    if not known or number(ARGV[i + 1]) > number(known) then
        redis.call('HSET', index, 't:' .. ARGV[i], ARGV[i + 1])
        n = math.max(n, number(ARGV[i + 1]))
    end
end
log(n, before, 'none', '')
return show(n)
"""
)
"""ARGV after the first: tag, epoch, tag, epoch and so on."""

WRITE = Script(
    f"""{_CLOCK}
if number(ARGV[3]) > 0 and number(redis.call('HGET', KEYS[2], 'fence')) > number(ARGV[3]) then
    return 0
end
if #ARGV > 3 then
    local base = redis.call('HGET', KEYS[3], 'base')
    for i = 4, #ARGV, 2 do
        local epoch = base and (redis.call('HGET', KEYS[3], 't:' .. ARGV[i]) or base)
        if epoch ~= ARGV[i + 1] then return 0 end
    end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
)
"""KEYS: entry, lease and, only with tags, hash. ARGV: blob, ms to live, fence, tag, epoch, ..."""

LEASE = Script(
    f"""{_CLOCK}
local now = clock()
local held = redis.call('HMGET', KEYS[1], 'fence', 'until')
if number(held[2]) > now then return false end
local fence = show(math.max(number(held[1]) + 1, now))
redis.call('HSET', KEYS[1], 'fence', fence, 'until', show(now + ARGV[1] * 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[1] + {FENCE_KEPT_MS})
return fence
"""
)
"""KEYS: lease. ARGV: ms. Returns the fence, or nothing while the key has a lease."""

ADD = Script(
    """
for place = 2, #ARGV, 3 do
    local hash = KEYS[tonumber(ARGV[place])]
    local count = redis.call('HINCRBY', hash, ARGV[place + 1], ARGV[place + 2])
    if count == 0 then redis.call('HDEL', hash, ARGV[place + 1]) end
end
return redis.call('HGETALL', KEYS[tonumber(ARGV[1])])
"""
)
"""KEYS: hashes of counters. ARGV: the place of the hash to return, then a hash's place, a name and
a number by turns. All are added, or none."""

RENEW = Script(
    f"""{_CLOCK}
local now = clock()
local held = redis.call('HMGET', KEYS[1], 'fence', 'until')
if held[1] ~= ARGV[2] or number(held[2]) <= now then return 0 end
redis.call('HSET', KEYS[1], 'until', show(now + ARGV[1] * 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[1] + {FENCE_KEPT_MS})
return 1
"""
)
"""KEYS: lease. ARGV: ms, fence."""

RELEASE = Script(
    f"""{_CLOCK}
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'until', 0)
redis.call('PEXPIRE', KEYS[1], {FENCE_KEPT_MS})
return 1
"""
)
"""KEYS: lease. ARGV: fence."""
