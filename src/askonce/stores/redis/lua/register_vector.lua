-- After VADD: record the expiry and the age of an element, remove some expired elements and those
-- that are too many, and let the set expire with the last of its elements.
-- KEYS: vectors, expiry, age, number. ARGV: element, expires, now, the most elements.
local SWEPT = 32
local LONGEST_LIFE_MS = 1e14
local function forget(elements)
    for _, element in ipairs(elements) do
        redis.call('VREM', KEYS[1], element)
        redis.call('ZREM', KEYS[2], element)
        redis.call('ZREM', KEYS[3], element)
    end
end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[3], redis.call('INCR', KEYS[4]), ARGV[1])
forget(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[3], 'LIMIT', 0, SWEPT))
local most = tonumber(ARGV[4])
local over = redis.call('ZCARD', KEYS[3]) - most
if most > 0 and over > 0 then
    forget(redis.call('ZRANGE', KEYS[3], 0, over - 1))
end
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
if last then
    local left = math.ceil((tonumber(last) - tonumber(ARGV[3])) * 1000)
    left = string.format('%.0f', math.min(math.max(left, 1), LONGEST_LIFE_MS))
    for _, name in ipairs(KEYS) do redis.call('PEXPIRE', name, left) end
end
return 1
