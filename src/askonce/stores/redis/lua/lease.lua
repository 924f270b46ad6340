-- After fence.lua: return the fence of a new lease, or nothing while the key has a lease.
-- KEYS: lease. ARGV: ms.
local now = clock()
local held = redis.call('HMGET', KEYS[1], 'fence', 'until')
if number(held[2]) > now then return false end
local fence = show(math.max(number(held[1]) + 1, now))
redis.call('HSET', KEYS[1], 'fence', fence, 'until', show(now + ARGV[1] * 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[1] + FENCE_KEPT_MS)
return fence
