-- Follows clock.lua in every script that reads or changes the epoch index.
-- KEYS: hash, seq, stream. ARGV[1]: the highest number that the caller knows.
local KEPT_CHANGES = 20000
local index, seq, changes = KEYS[1], KEYS[2], KEYS[3]
local function run()
    return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
end
local function log(n, before, kind, what)
    redis.call('XADD', changes, 'MAXLEN', '~', KEPT_CHANGES, show(n) .. '-0',
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
